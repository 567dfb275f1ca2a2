import { type Commands, commands, type SubjectSummary } from "@wardmq/commands";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Afar, asking, fromAfar } from "../asking.ts";
import { collect, count, day, group, type Json, print, printJson } from "../command-line.ts";
import { controlCommand } from "../control-command.ts";
import { deploymentCommand } from "../deployment-command.ts";
import { allSubjects } from "../device-file.ts";
import { table } from "../table.ts";
import { brokerLines, refuseUnconfirmed, subjectOperand } from "./effect.ts";

/** Gives the group `device`, for what other areas do with one. */
export function addSubjectCommands(program: Command): Command {
  const device = group(program, "device", "register devices", "wardmq device add --help");
  controlCommand<"device.add", Commands["device.add"]["arguments"] & { tag?: readonly string[] }>(
    device,
    "add",
    "device.add",
    {
      examples: [
        "wardmq device add /srv/wardmq --site main --ward icu --model bsm-100",
        "wardmq device add /srv/wardmq --site main --ward icu --id 6b0d6a3e-9f7c-4d2a-8f7e-2f0c1d9a4b55",
      ],
      options: (command) =>
        command
          .requiredOption("--site <site>", "where it stands: the site")
          .requiredOption("--ward <ward>", "where it stands: the ward")
          .option(
            "--org <org>",
            "its tenant, one that the policy names (default: the deployment's own)",
          )
          .option("--model <model>", "its model, for the policy")
          .option("--maker <maker>", "who made it")
          .option("--serial <serial>", "the serial number its maker gave it")
          .option("--owner <owner>", "whose it is")
          .option("--tag <tag>", "a word to find it by; may be repeated", collect)
          .option("--id <uuid>", "its uuid (default: a new one)"),
      arguments: (_, { tag, ...device }) => (tag === undefined ? device : { ...device, tags: tag }),
      text: added,
    },
  );

  const service = group(
    program,
    "service",
    "register services",
    "wardmq service add /srv/wardmq dashboard",
  );
  controlCommand<"service.add", { org?: string }>(service, "add", "service.add", {
    operands: [["NAME", "1 to 64 characters A-Z, a-z, 0-9, _ and -"]],
    examples: ["wardmq service add /srv/wardmq dashboard"],
    options: (command) =>
      command.option(
        "--org <org>",
        "its tenant, one that the policy names (default: the deployment's own)",
      ),
    arguments: ([name = ""], options) => ({ name, ...options }),
    text: added,
  });

  addList(program);

  controlCommand<"revoke", { because?: string }>(program, "revoke", "revoke", {
    operands: [subjectOperand],
    examples: [
      "wardmq revoke /srv/wardmq device:6b0d6a3e-9f7c-4d2a-8f7e-2f0c1d9a4b55 --because stolen",
    ],
    options: (command) => command.option("--because <reason>", "why: it stands in the history"),
    arguments: ([subject = ""], options) => ({ subject, ...options }),
    text: ({ subject, certificatesRevoked, ...effect }) =>
      [
        `revoked ${subject} and ${count(certificatesRevoked, "certificate")}`,
        ...brokerLines(effect),
      ].join("\n"),
    check: refuseUnconfirmed,
  });
  return device;
}

type Wanted = Commands["list"]["arguments"] & { readonly expiringBefore?: string };

function addList(program: Command): void {
  const command = deploymentCommand(program, "list", {
    summary: commands.list.summary,
    examples: [
      "wardmq list /srv/wardmq",
      "wardmq list /srv/wardmq --ward icu --state quarantined",
      "wardmq list /srv/wardmq --expiring-before 2027-03-01 --json",
      "wardmq list --url https://control.example:9443 --credential ./alice",
    ],
  })
    .addOption(new Option("--kind <kind>", "only these").choices(["device", "service"]))
    .option("--state <state>", "registered, active, quarantined, retired or revoked")
    .option("--org <org>", "of this tenant")
    .option("--site <site>", "of this site")
    .option("--ward <ward>", "of this ward")
    .option("--model <model>", "of this model")
    .option("--maker <maker>", "of this maker")
    .option("--serial <serial>", "with this serial number of its maker")
    .option("--owner <owner>", "of this owner")
    .option("--tag <tag>", "with this tag")
    .option("--prefix <text>", "whose uuid, name or serial number begins so")
    .option("--expiring-before <day>", "whose last certificate ends before this day", parseDay)
    .option("--json", "print the result as JSON");
  fromAfar(command).action(
    async (words: string[], { json, url, credential, profile, ...query }: Wanted & Json & Afar) =>
      asking([], words, { url, credential, profile }, async (asked) => {
        const subjects = await allSubjects(asked, query as Commands["list"]["arguments"]);
        if (json) return printJson(subjects);
        print(subjects.length === 0 ? "no devices or services" : subjectTable(subjects));
      }),
  );
}

function parseDay(text: string): number {
  const at = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(at)) return at;
  throw new InvalidArgumentError("write a day such as 2027-03-01");
}

function added({ id }: SubjectSummary): string {
  return `added ${id}\nnext: wardmq credential DIR ${id} --out FOLDER`;
}

function subjectTable(subjects: readonly SubjectSummary[]): string {
  const rows = subjects.map(({ id, state, attributes, certificates }) => {
    const active = certificates.filter((certificate) => certificate.state === "active");
    const until = active.map(({ notAfter }) => day(notAfter)).join(" ");
    const of = (name: string) => attributes[name] ?? "-";
    return [id, state, of("org"), of("site"), of("ward"), of("model"), until === "" ? "-" : until];
  });
  return table(["SUBJECT", "STATE", "ORG", "SITE", "WARD", "MODEL", "CERTIFIED UNTIL"], rows);
}
