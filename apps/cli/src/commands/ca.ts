import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { printable } from "@wardmq/events";
import { encodePem } from "@wardmq/x509";
import type { Command } from "commander";
import { ask } from "../ask.ts";
import { count, type Json, print, printJson } from "../command-line.ts";
import { controlCommand } from "../control-command.ts";
import { deploymentCommand, inDeployment } from "../deployment-command.ts";
import { Failure, systemCode } from "../failure.ts";
import { table } from "../table.ts";

export function addCaCommands(program: Command): void {
  deploymentCommand(program, "crl", {
    summary: "write the CRL of the issuing CA, published anew, to a file for a web server",
    examples: [
      "wardmq crl /srv/wardmq --out /var/www/crl/wardmq.crl",
      "wardmq crl /srv/wardmq --out ./crl.pem --ca 6f1d2c9e0b7a4c3e8d5f1a2b3c4d5e6f70819203",
    ],
  })
    .requiredOption("--out <file>", "where to; PEM when it ends with .pem, else DER")
    .option("--ca <id>", "the CRL of this CA (default: the one that signs now)")
    .option("--json", "print what was written as JSON")
    .action(async (words: string[], options: Json & { out: string; ca?: string }) => {
      const out = resolve(options.out); // before the deployment's folder becomes the current one
      await inDeployment([], async (_, { ca, json }: Json & { ca?: string }) => {
        const { crls } = await ask("crl", {});
        const crl = ca === undefined ? crls[0] : crls.find((one) => one.ca === ca);
        if (crl === undefined) {
          const known = crls.map((one) => one.ca).join(", ");
          throw new Failure(1, "there is no such CA", `the CAs are ${known}`);
        }
        const { der, ...written } = crl;
        const bytes = new Uint8Array(Buffer.from(der, "base64"));
        write(out, out.endsWith(".pem") ? encodePem("X509 CRL", bytes) : bytes);
        if (json) return printJson({ out, ...written });
        print(`wrote CRL ${crl.crlNumber} of ${crl.ca} to ${printable(out, 1000)}`);
        print(`${count(crl.revoked, "certificate")} revoked; the next by ${time(crl.nextUpdate)}`);
      })(words, options);
    });

  controlCommand(program, "horizon", "horizon", {
    examples: ["wardmq horizon /srv/wardmq", "wardmq horizon /srv/wardmq --json"],
    arguments: () => ({}),
    json: ({ days }) => days,
    text: ({ days }) =>
      table(
        ["DAY", "CLASS", "EXPIRING", "SHARE", ""],
        days.map(({ day, class: of, expiring, share, isCluster }) => [
          day,
          of,
          String(expiring),
          `${(share * 100).toFixed(1)} %`,
          isCluster ? "cluster: over 5 % on one day" : "",
        ]),
      ),
  });
}

function write(path: string, content: string | Uint8Array): void {
  try {
    writeFileSync(path, content, { mode: 0o644 });
  } catch (error) {
    const why = systemCode(error) ?? "failed";
    throw new Failure(1, `cannot write ${printable(path)}: ${why}`, "choose another --out");
  }
}

function time(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
