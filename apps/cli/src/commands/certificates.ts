import { resolve } from "node:path";
import { printable } from "@wardmq/events";
import type { Command } from "commander";
import { day, type Json, print, printJson } from "../command-line.ts";
import { credentialFiles, makeCredential } from "../credential.ts";
import { deploymentCommand, inDeployment } from "../deployment-command.ts";

export function addCertificateCommands(program: Command): void {
  deploymentCommand(program, "credential", {
    summary: `make a key and a certificate for a subject: ${credentialFiles.join(", ")}`,
    operands: [["SUBJECT", "device:UUID, service:NAME or operator:NAME"]],
    examples: [
      "wardmq credential /srv/wardmq service:dashboard --out ./dashboard",
      "wardmq credential /srv/wardmq operator:alice --out ./alice",
    ],
  })
    .requiredOption(
      "--out <folder>",
      "where to put the files; a key that is there is never overwritten",
    )
    .option("--json", "print the result as JSON")
    .action(async (words: string[], options: Json & { out: string }) => {
      const out = resolve(options.out); // before the deployment's folder becomes the current one
      await inDeployment(["SUBJECT"], async ([subject = ""], { json }: Json) => {
        const certificate = await makeCredential(subject, out);
        if (json) return printJson({ out, ...certificate });
        print(`wrote ${credentialFiles.join(", ")} for ${subject} to ${printable(out, 1000)}`);
        print(
          `valid until ${day(certificate.notAfter)}, serial number ${certificate.serialNumber}`,
        );
      })(words, options);
    });
}
