import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Commands, commands, rotatingThings, rotationSteps } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import { encodePem } from "@wardmq/x509";
import { type Command, InvalidArgumentError, Option } from "commander";
import { ask } from "../ask.ts";
import { count, group, type Json, print, printJson } from "../command-line.ts";
import { controlCommand } from "../control-command.ts";
import { deploymentCommand, inDeployment } from "../deployment-command.ts";
import { Failure, systemCode } from "../failure.ts";
import { table } from "../table.ts";

export function addCaCommands(program: Command): void {
  deploymentCommand(program, "crl", {
    summary:
      "write the CRL of the issuing CA, or with --root that of the root, published anew, to a file for a web server",
    examples: [
      "wardmq crl /srv/wardmq --out /var/www/crl/wardmq.crl",
      "wardmq crl /srv/wardmq --out ./crl.pem --ca 6f1d2c9e0b7a4c3e8d5f1a2b3c4d5e6f70819203",
      "wardmq crl /srv/wardmq --root --out /var/www/crl/root.crl",
    ],
  })
    .requiredOption("--out <file>", "where to; PEM when it ends with .pem, else DER")
    .option("--ca <id>", "the CRL of this CA (default: the one that signs now)")
    .option("--root", "have the root CA sign its CRL, of revoked issuing CAs: takes its key")
    .option("--json", "print what was written as JSON")
    .action(async (words: string[], options: CrlOptions & { out: string }) => {
      const out = resolve(options.out); // before the deployment's folder becomes the current one
      await inDeployment([], async (_, { ca, root, json }: CrlOptions) => {
        const { crls } = await ask(root ? "root.crl" : "crl", {});
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

interface CrlOptions extends Json {
  readonly ca?: string;
  readonly root?: true;
}

/** `rotate THING`: where it stands, or with an option the next step or the one back. */
export function addRotationCommands(program: Command): void {
  const rotate = group(
    program,
    "rotate",
    "replace a CA or a key by its successor without dropping a session, step by step",
    "wardmq rotate issuing-ca /srv/wardmq --step",
  );
  for (const what of rotatingThings) {
    deploymentCommand(rotate, what, {
      summary: `replace ${names[what]}: shows where the rotation stands, or takes a step`,
      examples: [
        `wardmq rotate ${what} /srv/wardmq`,
        `wardmq rotate ${what} /srv/wardmq --step`,
        ...(what === "server" ? [] : [`wardmq rotate ${what} /srv/wardmq --undo`]),
      ],
    })
      .addOption(new Option("--step", "take the next step").conflicts(["undo", "status"]))
      .addOption(
        new Option("--to <step>", "take the next step if it is this one; repeated, it does nothing")
          .choices([...rotationSteps])
          .conflicts(["step", "undo", "status"]),
      )
      .addOption(new Option("--undo", "take the last step back").conflicts("status"))
      .option("--status", "only show where it stands, as without an option")
      .option("--json", "print the result as JSON")
      .action(
        inDeployment([], async (_, { step, to, undo, json }: Json & Moves) => {
          const status =
            step || to !== undefined
              ? await ask("rotation.step", { what, ...(to === undefined ? {} : { to }) })
              : await ask(undo ? "rotation.undo" : "rotation.status", { what });
          if (json) return printJson(status);
          const stands = what === "server" ? "" : `${status.step}, `;
          print(`${what}: ${stands}${status.meaning}`);
          if (status.startedAt !== undefined) {
            print(`begun ${time(status.startedAt)} by ${printable(status.actor ?? "", 200)}`);
          }
          for (const server of status.servers ?? []) print(serverText(server));
          if (status.waitsFor !== undefined) print(`not yet: ${printable(status.waitsFor, 500)}`);
        }),
      );
  }

  deploymentCommand(rotate, "fleet", {
    summary:
      "emergency: move every device to a new issuing CA and a new key; without --because, how far it is",
    examples: [
      'wardmq rotate fleet /srv/wardmq --because "the key of the CA was copied" --deadline 2027-02-01',
      "wardmq rotate fleet /srv/wardmq",
    ],
  })
    .option("--because <text>", "why: devices, events and the history say it")
    .addOption(
      new Option(
        "--deadline <time>",
        "from then on the former CA gets nobody in (ISO 8601)",
      ).argParser(parseTime),
    )
    .option("--json", "print the result as JSON")
    .action(
      inDeployment([], async (_, { because, deadline, json }: Json & FleetOptions) => {
        if (because === undefined && deadline !== undefined) {
          throw new Failure(2, "--deadline needs --because", "say why the fleet is moved");
        }
        const status =
          because === undefined
            ? await ask("fleet.status", {})
            : await ask("fleet.rotate", {
                because,
                ...(deadline === undefined ? {} : { deadline }),
              });
        if (json) return printJson(status);
        print(fleetText(status));
      }),
    );

  const rootKey = group(
    program,
    "root-key",
    "keep the key of the root CA away from the deployment",
    "wardmq root-key remove /srv/wardmq --to /media/safe/root-ca.key",
  );
  moveCommand(rootKey, "remove", "root-key.remove", "to", "the new file that holds the key then");
  moveCommand(rootKey, "restore", "root-key.restore", "from", "the file that holds the key");
}

interface FleetOptions {
  readonly because?: string;
  readonly deadline?: number;
}

const barWidth = 40;

function fleetText(status: Commands["fleet.status"]["result"]): string {
  if (!status.isRunning) return "no rotation of the fleet is under way";
  const { renewed, told, waiting, others, because = "", deadline } = status;
  const all = Math.max(1, renewed + told + waiting);
  const filled = Math.round((renewed / all) * barWidth);
  return [
    `[${"#".repeat(filled)}${".".repeat(barWidth - filled)}] ${renewed} of ${all} devices renewed`,
    `${told} told and still to come, ${waiting} not told yet`,
    ...(others > 0 ? [`${others} of the services and operators to be renewed by hand`] : []),
    `because ${printable(because, 500)}`,
    ...(deadline === undefined ? [] : [`the former CA gets nobody in from ${time(deadline)}`]),
  ].join("\n");
}

function parseTime(text: string): number {
  const milliseconds = /^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:\d{2}))?$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (!Number.isNaN(milliseconds)) return milliseconds;
  throw new InvalidArgumentError("write it like 2027-02-01 or 2027-02-01T06:00:00Z");
}

type ServerStatus = NonNullable<Commands["rotation.status"]["result"]["servers"]>[number];

function serverText({
  serialNumber,
  notBefore,
  notAfter,
  isOurs,
  renewalAt,
}: ServerStatus): string {
  const ofWhom = isOurs ? "" : ", the operator's own: replace it where it comes from";
  const next = renewalAt === undefined ? "" : `, replaced by itself ${time(renewalAt)}`;
  return `${serialNumber}: from ${time(notBefore)} to ${time(notAfter)}${next}${ofWhom}`;
}

interface Moves {
  readonly step?: boolean;
  readonly to?: (typeof rotationSteps)[number];
  readonly undo?: boolean;
}

const names: Readonly<Record<(typeof rotatingThings)[number], string>> = {
  "issuing-ca": "the CA that signs devices, services and the server",
  root: "the root CA that clients trust",
  "feed-key": "the key by which brokers believe control",
  server: "the key and certificate of each broker, in one step",
};

function moveCommand(
  parent: Command,
  name: string,
  row: "root-key.remove" | "root-key.restore",
  option: "to" | "from",
  meaning: string,
): void {
  deploymentCommand(parent, name, {
    summary: commands[row].summary,
    examples: [`wardmq root-key ${name} /srv/wardmq --${option} /media/safe/root-ca.key`],
  })
    .requiredOption(`--${option} <file>`, meaning)
    .action(async (words: string[], options: { to?: string; from?: string }) => {
      const file = resolve(options[option] ?? ""); // before the deployment's folder becomes the current one
      await inDeployment([], async () => {
        if (row === "root-key.remove") await ask(row, { to: file });
        else await ask(row, { from: file });
        print(
          `the key of the root CA is ${option === "to" ? "now in" : "back from"} ${printable(file, 1000)}`,
        );
      })(words, options);
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
