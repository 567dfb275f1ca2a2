import type { Commands, SubjectSummary } from "@wardmq/commands";
import type { Command } from "commander";
import { count, day, group } from "../command-line.ts";
import { controlCommand } from "../control-command.ts";
import type { Operand } from "../deployment-command.ts";
import { Failure } from "../failure.ts";
import { table } from "../table.ts";

export const subjectOperand: Operand = ["SUBJECT", "device:UUID or service:NAME"];

export function addSubjectCommands(program: Command): void {
  const device = group(program, "device", "register devices", "wardmq device add --help");
  controlCommand<"device.add", Commands["device.add"]["arguments"]>(device, "add", "device.add", {
    examples: [
      "wardmq device add /srv/wardmq --site main --ward icu --model bsm-100",
      "wardmq device add /srv/wardmq --site main --ward icu --id 6b0d6a3e-9f7c-4d2a-8f7e-2f0c1d9a4b55",
    ],
    options: (command) =>
      command
        .requiredOption("--site <site>", "where it stands: the site")
        .requiredOption("--ward <ward>", "where it stands: the ward")
        .option("--model <model>", "its model, for the policy")
        .option("--id <uuid>", "its uuid (default: a new one)"),
    arguments: (_, options) => options,
    text: added,
  });

  const service = group(
    program,
    "service",
    "register services",
    "wardmq service add /srv/wardmq dashboard",
  );
  controlCommand(service, "add", "service.add", {
    operands: [["NAME", "1 to 64 characters A-Z, a-z, 0-9, _ and -"]],
    examples: ["wardmq service add /srv/wardmq dashboard"],
    arguments: ([name = ""]) => ({ name }),
    text: added,
  });

  controlCommand(program, "list", "list", {
    examples: ["wardmq list /srv/wardmq", "wardmq list /srv/wardmq --json"],
    arguments: () => ({}),
    json: ({ subjects }) => subjects,
    text: ({ subjects }) =>
      subjects.length === 0 ? "no devices or services yet" : subjectTable(subjects),
  });

  controlCommand(program, "revoke", "revoke", {
    operands: [subjectOperand],
    examples: ["wardmq revoke /srv/wardmq device:6b0d6a3e-9f7c-4d2a-8f7e-2f0c1d9a4b55"],
    arguments: ([subject = ""]) => ({ subject }),
    text: revocation,
    check: ({ unconfirmed = 0 }) => {
      if (unconfirmed === 0) return;
      throw new Failure(
        1,
        `${count(unconfirmed, "broker")} did not confirm within a second`,
        "the revocation stands; look at wardmq events, and end that broker if it does not follow",
      );
    },
  });
}

function added({ id }: SubjectSummary): string {
  return `added ${id}\nnext: wardmq credential DIR ${id} --out FOLDER`;
}

function revocation({
  subject,
  certificatesRevoked,
  brokers,
  unconfirmed = 0,
}: Commands["revoke"]["result"]): string {
  const closed = brokers.map(
    ({ connectionsClosed, milliseconds }) =>
      `the broker closed ${count(connectionsClosed, "connection")} in ${milliseconds} ms`,
  );
  const none = "no broker runs here; one that starts refuses the subject";
  return [
    `revoked ${subject} and ${count(certificatesRevoked, "certificate")}`,
    ...(brokers.length + unconfirmed === 0 ? [none] : closed),
  ].join("\n");
}

function subjectTable(subjects: readonly SubjectSummary[]): string {
  const rows = subjects.map(({ id, state, attributes, certificates }) => {
    const active = certificates.filter((certificate) => certificate.state === "active");
    const until = active.map(({ notAfter }) => day(notAfter)).join(" ");
    const of = (name: string) => attributes[name] ?? "-";
    return [id, state, of("site"), of("ward"), of("model"), until === "" ? "-" : until];
  });
  return table(["SUBJECT", "STATE", "SITE", "WARD", "MODEL", "CERTIFIED UNTIL"], rows);
}
