import { resolve } from "node:path";
import type { Commands, SubjectSummary } from "@wardmq/commands";
import { type Command, Option } from "commander";
import { type Afar, asking, fromAfar } from "../asking.ts";
import { collect, count, type Json, print, printJson, wholeNumber } from "../command-line.ts";
import { controlCommand } from "../control-command.ts";
import { deploymentCommand } from "../deployment-command.ts";
import {
  allSubjects,
  batch,
  exported,
  type Imported,
  importRows,
  type Refused,
  readDevices,
} from "../device-file.ts";
import { Failure } from "../failure.ts";
import { progressBar } from "../progress.ts";
import { table } from "../table.ts";
import { brokerLines, type Effect, refuseUnconfirmed, subjectOperand } from "./effect.ts";

interface Because {
  readonly because: string;
}

const uuid = "6b0d6a3e-9f7c-4d2a-8f7e-2f0c1d9a4b55";
const because = (command: Command) =>
  command.requiredOption("--because <reason>", "why: it stands in the history");

/** Everything about records beside adding and listing them. */
export function addRegistryCommands(program: Command, device: Command): void {
  controlCommand(program, "show", "show", {
    operands: [subjectOperand],
    examples: [`wardmq show /srv/wardmq device:${uuid}`],
    arguments: ([subject = ""]) => ({ subject }),
    text: described,
  });

  controlCommand<"history", { last: number }>(program, "history", "history", {
    operands: [subjectOperand],
    examples: [`wardmq history /srv/wardmq device:${uuid} --last 5`],
    options: (command) =>
      command.option("--last <n>", "how many lines", wholeNumber(1, 10_000), 20),
    arguments: ([subject = ""], { last }) => ({ subject, last }),
    json: ({ history }) => history,
    text: ({ history }) =>
      history
        .map(({ at, actor, action, reason, details }) =>
          [
            new Date(at).toISOString(),
            actor,
            action,
            ...(reason === undefined ? [] : [`because "${reason}"`]),
            JSON.stringify(details),
          ].join("  "),
        )
        .join("\n"),
  });

  type Edit = Commands["device.edit"]["arguments"];
  const texts = ["model", "maker", "serial", "owner"] as const;
  controlCommand<
    "device.edit",
    Because & Partial<Record<(typeof texts)[number], string>> & { tag?: string[] }
  >(device, "edit", "device.edit", {
    operands: [["UUID", "the device"]],
    examples: [
      `wardmq device edit /srv/wardmq ${uuid} --owner Biomed --because "handed over"`,
      `wardmq device edit /srv/wardmq ${uuid} --owner "" --because "nobody's any more"`,
    ],
    options: (command) =>
      because(
        texts
          .reduce(
            (to, name) => to.option(`--${name} <${name}>`, `its ${name}; "" takes it away`),
            command,
          )
          .option("--tag <tag>", 'all its tags; may be repeated, "" for none', collect),
      ),
    arguments: ([id = ""], { because: why, tag, ...said }) => {
      const edit = texts.flatMap((name) => {
        const value = said[name];
        return value === undefined ? [] : [[name, value === "" ? null : value]];
      });
      const tags = tag === undefined ? {} : { tags: tag.filter((one) => one !== "") };
      return { id, ...Object.fromEntries(edit), ...tags, because: why } as Edit;
    },
    text: described,
  });

  controlCommand<"device.move", Omit<Commands["device.move"]["arguments"], "id">>(
    device,
    "move",
    "device.move",
    {
      operands: [["UUID", "the device"]],
      examples: [`wardmq device move /srv/wardmq ${uuid} --ward er --because "new bed"`],
      options: (command) =>
        because(
          command
            .option("--site <site>", "the site, where it changes")
            .requiredOption("--ward <ward>", "the ward it stands in from now on"),
        ),
      arguments: ([id = ""], where) => ({ id, ...where }),
      text: described,
    },
  );

  addImport(device);
  addExport(device);

  for (const [word, done] of [
    ["retire", "retired"],
    ["quarantine", "put in quarantine"],
    ["release", "let out of quarantine"],
  ] as const) {
    controlCommand<typeof word, Because>(program, word, word, {
      operands: [subjectOperand],
      examples: [`wardmq ${word} /srv/wardmq device:${uuid} --because "see ticket 17"`],
      options: because,
      arguments: ([subject = ""], { because: why }) => ({ subject, because: why }),
      text: (effect) => effectText(done, effect),
      check: refuseUnconfirmed,
    });
  }

  const selection = program
    .command("selection")
    .summary("revoke, quarantine or release all of a tenant, site, ward, model, tag or CA")
    .description("revoke, quarantine or release all of a tenant, site, ward, model, tag or CA")
    .usage("COMMAND")
    .helpCommand(false);
  type Selection = Commands["selection.revoke"]["arguments"];
  for (const [word, done] of [
    ["revoke", "revoked"],
    ["quarantine", "put in quarantine"],
    ["release", "let out of quarantine"],
  ] as const) {
    controlCommand<`selection.${typeof word}`, Selection>(selection, word, `selection.${word}`, {
      examples: [`wardmq selection ${word} /srv/wardmq --model bsm-100 --because "advisory 26-1"`],
      options: (command) =>
        because(
          command
            .addOption(new Option("--kind <kind>", "only these").choices(["device", "service"]))
            .option("--org <org>", "of this tenant")
            .option("--site <site>", "of this site")
            .option("--ward <ward>", "of this ward")
            .option("--model <model>", "of this model")
            .option("--tag <tag>", "with this tag")
            .option(
              "--ca <id>",
              "with an active certificate of this CA: its key identifier, in hex",
            ),
        ),
      arguments: (_, wanted) => wanted,
      text: (effect) => effectText(done, effect),
      check: refuseUnconfirmed,
    });
  }
}

function addImport(device: Command): void {
  const command = deploymentCommand(device, "import", {
    summary: "register the devices of a CSV or JSON file; refused rows are named, the others taken",
    operands: [["FILE", "devices.csv or devices.json; docs/registry.md has the form"]],
    examples: [
      "wardmq device import /srv/wardmq devices.csv --dry-run",
      "wardmq device import /srv/wardmq devices.csv --all-or-nothing",
    ],
  })
    .option("--dry-run", "only say what would be refused")
    .option(
      "--all-or-nothing",
      "take no row when one is refused; more than 1,000 rows are looked at first, then taken in parts",
    )
    .option("--json", "print the result as JSON");
  type Options = Json & Afar & { dryRun?: boolean; allOrNothing?: boolean };
  fromAfar(command).action(async (words: string[], options: Options) => {
    const file = resolve(words.at(-1) ?? ""); // before the deployment's folder becomes the current one
    await asking(["FILE"], words, options, async (asked) => {
      const { dryRun = false, allOrNothing = false, json } = options;
      const read = readDevices(file);
      const run = async (how: Parameters<typeof importRows>[2]): Promise<Imported> => {
        const bar = progressBar(read.rows.length);
        const { added, refused } = await importRows(asked, read.rows, how, bar.show);
        bar.end();
        return { added, refused: [...read.refused, ...refused].sort((a, b) => a.row - b.row) };
      };
      // A file that fits into one transaction is taken or refused by it.
      const isOne = read.rows.length <= batch && read.refused.length === 0;
      const isTried = dryRun || (allOrNothing && !isOne);
      const tried = isTried ? await run({ dryRun: true }) : undefined;
      const isOver = dryRun || (tried?.refused.length ?? 0) > 0;
      const result =
        tried !== undefined && isOver ? tried : await run({ dryRun: false, allOrNothing });
      const added = isOver && !dryRun ? 0 : result.added;
      if (json) printJson({ added, refused: result.refused, dryRun });
      else print(importText(added, result.refused, dryRun));
      if (result.refused.length > 0)
        throw new Failure(
          1,
          `${count(result.refused.length, "row")} refused`,
          "correct and import them again",
        );
    });
  });
}

function importText(added: number, refused: readonly Refused[], dryRun: boolean): string {
  const rows = refused.map(({ row, field, why }) => [`${row}`, field === "" ? "-" : field, why]);
  const done = `${dryRun ? "would register" : "registered"} ${count(added, "device")}`;
  return rows.length === 0 ? done : `${table(["ROW", "FIELD", "WHY"], rows)}\n${done}`;
}

function addExport(device: Command): void {
  const command = deploymentCommand(device, "export", {
    summary: "print all devices in the form that import takes",
    examples: [
      "wardmq device export /srv/wardmq > devices.csv",
      "wardmq device export /srv/wardmq --format json > devices.json",
      "wardmq device export --url https://control.example:9443 --credential ./alice > devices.csv",
    ],
  }).addOption(new Option("--format <form>", "the form").choices(["csv", "json"]).default("csv"));
  fromAfar(command).action(
    async (words: string[], { format, ...afar }: Afar & { format: "csv" | "json" }) =>
      asking([], words, afar, async (asked) => {
        process.stdout.write(exported(await allSubjects(asked, { kind: "device" }), format));
      }),
  );
}

function described({ id, state, attributes, details, tags, certificates }: SubjectSummary): string {
  const lines = Object.entries({ ...attributes, ...details, tags: tags.join(" ") || "-" });
  const certified = certificates.map(
    ({ serialNumber, state: is, notAfter }) =>
      `certificate ${serialNumber} ${is} until ${new Date(notAfter).toISOString()}`,
  );
  return [
    `${id} is ${state}`,
    ...lines.map(([name, value]) => `${name}: ${value}`),
    ...certified,
  ].join("\n");
}

function effectText(done: string, effect: Effect): string {
  if (effect.subjects === 0) return `${done}: nobody; none matches, or all who do were so before`;
  const revoked =
    effect.certificatesRevoked > 0
      ? ` and revoked ${count(effect.certificatesRevoked, "certificate")}`
      : "";
  return [`${done}: ${count(effect.subjects, "subject")}${revoked}`, ...brokerLines(effect)].join(
    "\n",
  );
}
