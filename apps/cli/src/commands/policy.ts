import { resolve } from "node:path";
import { commands } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import {
  describeFinding,
  diffPolicies,
  explain,
  type Policy,
  type PolicyEdit,
  policyJsonSchema,
  readyMadePolicyText,
  readyMadeRoles,
  runPolicyTests,
  unusedRules,
  whatCan,
  whoCan,
  wildcardsOf,
} from "@wardmq/policy";
import { type Command, InvalidArgumentError } from "commander";
import { ask } from "../ask.ts";
import { atControl, fromAfar } from "../asking.ts";
import { collect, count, group, type Json, print, printJson, report } from "../command-line.ts";
import { controlCommand } from "../control-command.ts";
import { deploymentCommand, inDeployment, type Operand } from "../deployment-command.ts";
import { Failure } from "../failure.ts";
import { applyPolicy, editAndApply, rollBack, tryPolicy } from "../policy/roll-out.ts";
import {
  actionOf,
  filterOf,
  parsePair,
  type Given as Said,
  subjectOf,
  timeOf,
} from "../policy/subject.ts";
import {
  diffText,
  explanationText,
  reachersText,
  rightsText,
  shadowText,
  testText,
  versionsText,
  wildcardsText,
} from "../policy/texts.ts";
import {
  checkPolicyFiles,
  parseFiles,
  policyFilesFrom,
  readPolicyAt,
  readPolicyFiles,
} from "../policy-file.ts";

const subject: Operand = ["SUBJECT", "device:UUID, service:NAME, person:NAME or app:NAME"];
const action: Operand = ["ACTION", "publish or subscribe"];
const topic: Operand = ["TOPIC", "a topic name, or a topic filter to subscribe to"];

export function addPolicyCommands(program: Command): void {
  const policy = group(
    program,
    "policy",
    "check, explain and roll out the policy",
    "wardmq policy check /srv/wardmq",
  );
  addReadingCommands(policy);
  addRollOutCommands(policy);
  addEditingCommands(policy);
  policy
    .command("diff")
    .summary("tell who gains and who loses what between two policies")
    .description("tell who gains and who loses what between two policies")
    .argument("<OLD>", "a policy file, or a folder of them")
    .argument("<NEW>", "a policy file, or a folder of them")
    .option("--json", "print the difference as JSON")
    .addHelpText("after", "\nExamples:\n  wardmq policy diff policy.yaml next.yaml")
    .action((former: string, next: string, { json }: Json) => {
      const difference = diffPolicies(readPolicyAt(former), readPolicyAt(next));
      if (json) printJson(difference);
      else print(diffText(difference));
    });
  plain(policy, "roles", "print roles as they are common in hospitals, ready to be copied")
    .option("--json", "print them as a JSON array: name, summary, YAML text, a binding that fits")
    .action(({ json }: Json) => {
      if (json) printJson(readyMadeRoles);
      else print(readyMadePolicyText().trimEnd());
    });
  plain(policy, "schema", "print the JSON Schema of policy.yaml, for editors").action(() =>
    printJson(policyJsonSchema()),
  );
}

/** A command that looks at no deployment. */
function plain(policy: Command, name: string, summary: string): Command {
  return policy
    .command(name)
    .summary(summary)
    .description(summary)
    .addHelpText("after", `\nExamples:\n  wardmq policy ${name}`);
}

/** The words that make the command a sentence. */
function expectWord(found: string, word: string): void {
  if (found === word) return;
  const instead = `"${printable(found, 80)}" stands where the word ${word} belongs`;
  throw new Failure(2, instead, `write ${word}`);
}

/** The policy of the deployment, with the name of its first file for places that have none of their own. */
function policyOf(directory: string) {
  const files = readPolicyFiles(directory);
  return { policy: parseFiles(files), file: files[0]?.name ?? "policy.yaml" };
}

interface Checking {
  readonly wildcards?: boolean;
  /** Seconds. */
  readonly unusedFor?: number;
}

async function unused(policy: Policy, unusedFor: number | undefined) {
  if (unusedFor === undefined) return [];
  const { rules } = await ask("policy.usage", {});
  return unusedRules(policy, rules, Date.now() - unusedFor * 1000);
}

function addReadingCommands(policy: Command): void {
  deploymentCommand(policy, "check", {
    summary:
      "check the policy: problems end with 2, assertions that do not hold with 1, findings with 0",
    examples: [
      "wardmq policy check /srv/wardmq",
      "wardmq policy check /srv/wardmq --unused-for 30d",
    ],
  })
    .option("--wildcards", "list every rule with a wildcard, and what stands open by it")
    .option(
      "--unused-for <time>",
      "find roles and rules that decided nothing for so long, such as 30d",
      seconds,
    )
    .option("--json", "print the findings as JSON")
    .action(
      inDeployment([], async (_, { json, wildcards, unusedFor }: Json & Checking, directory) => {
        const { policy: checked, file, findings } = checkPolicyFiles(directory);
        if (wildcards) {
          const open = wildcardsOf(checked);
          return json ? printJson(open) : print(wildcardsText(open, file));
        }
        const all = [...findings, ...(await unused(checked, unusedFor))];
        if (json) return printJson({ findings: all });
        for (const one of all) report(describeFinding(one, one.file ?? file));
        print(`policy.yaml is valid, ${count(all.length, "finding")}`);
      }),
    );

  deploymentCommand(policy, "explain", {
    summary: "tell what the policy decides, by which rule, and what would turn it",
    operands: [subject, action, topic],
    examples: [
      "wardmq policy explain /srv/wardmq service:dashboard subscribe 'hospital-1/#'",
      "wardmq policy explain /srv/wardmq service:acme subscribe 'h/+/+/device/+/lifecycle' --at 2026-12-01T09:00:00Z",
      "wardmq policy explain /srv/wardmq person:hospital_ann subscribe 'h/main/icu/device/+/alarm' --claim groups=nurses --attribute ward=icu",
    ],
  })
    .option("--at <time>", "when, for grants (default: now)")
    .option("--attribute <key=value>", "of a subject without a record; may be repeated", collect)
    .option("--claim <name=value>", "of the token of a person or app; may be repeated", collect)
    .option("--json", "print the explanation as JSON")
    .action(
      inDeployment(
        ["SUBJECT", "ACTION", "TOPIC"],
        async (
          [id = "", verb = "", asked = ""],
          { at, json, ...given }: Json & Said & { at?: string },
          directory,
        ) => {
          const { policy: explained, file } = policyOf(directory);
          const asking = { action: actionOf(verb), topic: asked, at: timeOf(at) };
          const { subject, mapped, remark } = await subjectOf(id, given, explained, directory);
          const request = { subject, ...asking };
          const explanation = explain(explained, request);
          const changes = explanation.changes.map(({ changed: _, ...change }) => change);
          if (json) printJson({ ...explanation, changes, rolesOfClaims: mapped });
          else {
            const sentence = `${id} ${verb} ${printable(asked, 300)}`;
            print(explanationText(explanation, sentence, file, mapped, remark));
          }
        },
      ),
    );

  deploymentCommand(policy, "who", {
    summary: "tell everybody who can publish to a topic, or read it",
    operands: [["can", "the word can"], action, topic],
    examples: ["wardmq policy who /srv/wardmq can publish 'hospital-1/+/+/device/+/command'"],
  })
    .option("--json", "print them as JSON")
    .action(
      inDeployment(
        ["can", "ACTION", "TOPIC"],
        ([can = "", verb = "", asked = ""], { json }: Json, directory) => {
          expectWord(can, "can");
          const { policy: searched, file } = policyOf(directory);
          const reachers = whoCan(searched, actionOf(verb), filterOf(asked));
          if (json) printJson(reachers);
          else print(reachersText(reachers, file));
        },
      ),
    );

  deploymentCommand(policy, "what", {
    summary: "tell everything that a subject can do",
    operands: [["can", "the word can"], subject, ["do", "the word do"]],
    examples: ["wardmq policy what /srv/wardmq can service:dashboard do"],
  })
    .option("--at <time>", "when, for grants (default: now)")
    .option("--attribute <key=value>", "of a subject without a record; may be repeated", collect)
    .option("--claim <name=value>", "of the token of a person or app; may be repeated", collect)
    .option("--json", "print it as JSON")
    .action(
      inDeployment(
        ["can", "SUBJECT", "do"],
        async (
          [can = "", id = "", last = ""],
          { at, json, ...given }: Json & Said & { at?: string },
          directory,
        ) => {
          expectWord(can, "can");
          expectWord(last, "do");
          const { policy: searched, file } = policyOf(directory);
          const { subject, remark } = await subjectOf(id, given, searched, directory);
          const rights = whatCan(searched, subject, timeOf(at));
          if (json) printJson(rights);
          else
            print([rightsText(rights, file), ...(remark === undefined ? [] : [remark])].join("\n"));
        },
      ),
    );

  deploymentCommand(policy, "test", {
    summary: "run the tests of the policy: one that fails ends with 1",
    examples: ["wardmq policy test /srv/wardmq"],
  })
    .option("--json", "print the results as JSON")
    .action(
      inDeployment([], (_, { json }: Json, directory) => {
        const { policy: tested, file } = policyOf(directory);
        const results = runPolicyTests(tested, Date.now());
        const failed = results.filter(({ passed }) => !passed);
        if (json) printJson(results);
        else {
          for (const result of results) print(testText(result, file));
          print(`${results.length - failed.length} passed, ${failed.length} failed`);
        }
        if (results.length === 0) throw new Failure(1, "the policy has no tests", "write tests:");
        if (failed.length > 0) throw new Failure(1, `${count(failed.length, "test")} failed`, "");
      }),
    );
}

interface Change {
  readonly reason: string;
  readonly yes?: boolean;
}

/** Adds what every change of the policy takes. */
function changeOptions(command: Command): Command {
  return fromAfar(command)
    .requiredOption("--reason <text>", "why, for who reads it later")
    .option("--yes", "do not ask");
}

function addRollOutCommands(policy: Command): void {
  const apply = deploymentCommand(policy, "apply", {
    summary: "show what a policy would change, ask, and apply it",
    examples: [
      "wardmq policy apply /srv/wardmq --reason 'ward icu-4 opens'",
      "wardmq policy apply /srv/wardmq --from next.yaml --shadow 24h --reason 'before icu-4 opens'",
      "wardmq policy apply --url https://control:9443 --credential alice --from next.yaml --reason 'ward icu-4 opens'",
    ],
  });
  changeOptions(apply)
    .option(
      "--from <path>",
      "a file or folder to put in place of the files that are there",
      (path) => resolve(path),
    )
    .option(
      "--shadow <time>",
      "only decide by it beside the one in force, for 30s, 10m, 24h or 7d",
      seconds,
    )
    .action(
      atControl<Change & { from?: string; shadow?: number }>(
        [],
        async (ask, _, { reason, yes = false, from, shadow }, isRemote) => {
          if (isRemote && from === undefined) {
            throw new Failure(
              2,
              "--from is missing",
              "beside --url, name the file that is to count",
            );
          }
          const files = from === undefined ? readPolicyFiles("") : policyFilesFrom(from);
          const rollOut = { ask, reason, isSure: yes };
          if (shadow !== undefined) print(await tryPolicy(rollOut, files, shadow));
          else print(await applyPolicy(rollOut, files, from === undefined));
        },
      ),
    );
  const back = deploymentCommand(policy, "rollback", {
    summary: commands["policy.rollback"].summary,
    operands: [["VERSION", "as wardmq policy versions lists it"]],
    examples: ["wardmq policy rollback /srv/wardmq 3 --reason 'the new one keeps pumps away'"],
  });
  changeOptions(back).action(
    atControl<Change>(["VERSION"], async (ask, [version = ""], { reason, yes = false }) => {
      if (!/^[1-9]\d{0,5}$/.test(version)) {
        throw new Failure(2, "VERSION is no number", "wardmq policy versions DIR lists them");
      }
      print(await rollBack({ ask, reason, isSure: yes }, Number(version)));
    }),
  );
  controlCommand(policy, "versions", "policy.versions", {
    examples: ["wardmq policy versions /srv/wardmq"],
    arguments: () => ({}),
    text: ({ versions }) => versionsText(versions),
    json: ({ versions }) => versions,
  });
  const shadow = deploymentCommand(policy, "shadow", {
    summary: commands["policy.shadow"].summary,
    examples: ["wardmq policy shadow /srv/wardmq", "wardmq policy shadow /srv/wardmq --end"],
  });
  fromAfar(shadow)
    .option("--end", "end the trial before its time")
    .option("--json", "print it as JSON")
    .action(
      atControl<Json & { end?: boolean }>([], async (ask, _, { json, end }) => {
        const status = await ask(end ? "policy.shadow.end" : "policy.shadow", {});
        if (json) printJson(status);
        else print(shadowText(status));
      }),
    );
}

const role: Operand = ["ROLE", "a role of the policy"];
const to: Operand = [
  "TO",
  "service:NAME, device:UUID, person:NAME, app:NAME, group:NAME or device:*",
];

interface Narrowed {
  readonly where?: readonly string[];
}

interface Term extends Narrowed {
  readonly from?: string;
  readonly until?: string;
  readonly approvedBy: string;
}

/** Commands that write the policy's files themselves: what they do not change stays as it is, comments and order too. */
function addEditingCommands(policy: Command): void {
  const grant = group(
    policy,
    "grant",
    "give a role for a time, or end that",
    "wardmq policy grant add /srv/wardmq field-service service:acme --until 2026-12-01T16:00:00Z --reason 'pump maintenance' --approved-by 'head of biomed'",
  );
  editing<Term>(grant, "add", "give a role for a time, which begins and ends by itself", {
    example:
      "field-service service:acme --until 2026-12-01T16:00:00Z --where ward=icu-3 --approved-by 'head of biomed'",
    edit: ({ from, until, approvedBy, ...given }, reason) => ({
      do: "grant",
      grant: {
        ...given,
        ...(from === undefined ? {} : { from }),
        ...(until === undefined ? {} : { until }),
        reason,
        approvedBy,
      },
    }),
  })
    .option("--from <time>", "when it begins, as 2026-12-01T08:00:00Z (default: at once)")
    .option("--until <time>", "when it ends; without it never, which is a finding")
    .requiredOption("--approved-by <name>", "who agreed");
  editing<Narrowed>(grant, "end", "end a grant at once, and keep it to be read", {
    example: "field-service service:acme",
    edit: (binding) => ({ do: "end-grant", binding, until: now() }),
  });
  editing<Narrowed>(policy, "bind", "give a role to somebody for good", {
    example: "clinical-dashboard service:dashboard-2 --where ward=icu-3",
    edit: (binding) => ({ do: "bind", binding }),
  });
  editing<Narrowed>(policy, "unbind", "take a role from somebody", {
    example: "clinical-dashboard service:dashboard-2",
    edit: (binding) => ({ do: "unbind", binding }),
  });
}

/** This second: whatever ends now has ended when it is read. */
const now = () => new Date().toISOString().replace(/\.\d+Z$/, "Z");

type Given<Options> = Omit<Options, "where"> & {
  readonly role: string;
  readonly to: string;
  readonly where?: Readonly<Record<string, string>>;
};

function editing<Options extends Narrowed>(
  parent: Command,
  word: string,
  summary: string,
  {
    example,
    edit,
  }: { example: string; edit: (given: Given<Options>, reason: string) => PolicyEdit },
): Command {
  const command = deploymentCommand(parent, word, {
    summary,
    operands: [role, to],
    examples: [
      `wardmq policy ${parent.name() === "policy" ? "" : `${parent.name()} `}${word} /srv/wardmq ${example} --reason 'pump maintenance'`,
    ],
  });
  return changeOptions(command)
    .option(
      "--where <key=value>",
      "narrows it to org, site, ward or model; may be repeated",
      collect,
    )
    .action(
      atControl<Change & Options>(
        ["ROLE", "TO"],
        async (
          ask,
          [named = "", receiver = ""],
          { reason, yes = false, where = [], ...more },
          isRemote,
        ) => {
          const place = Object.fromEntries(where.map(parsePair));
          const narrowed = where.length === 0 ? {} : { where: place };
          const given = {
            ...more,
            role: named,
            to: receiver,
            ...narrowed,
          } as unknown as Given<Options>;
          print(await editAndApply({ ask, reason, isSure: yes }, edit(given, reason), isRemote));
        },
      ),
    );
}

/** Seconds of `30s`, `10m`, `24h` or `7d`. */
function seconds(text: string): number {
  const [, number, unit] = /^([1-9]\d{0,6})([smhd])$/.exec(text) ?? [];
  if (number !== undefined && unit !== undefined) {
    return Number(number) * { s: 1, m: 60, h: 3_600, d: 86_400 }[unit as "s" | "m" | "h" | "d"];
  }
  throw new InvalidArgumentError("write a time such as 30s, 10m, 24h or 7d");
}
