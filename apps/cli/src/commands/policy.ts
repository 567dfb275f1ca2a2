import { commands } from "@wardmq/commands";
import {
  diffPolicies,
  explain,
  policyJsonSchema,
  readyMadePolicyText,
  runPolicyTests,
  whatCan,
  whoCan,
  wildcardsOf,
} from "@wardmq/policy";
import type { Command } from "commander";
import { collect, count, group, type Json, print, printJson, report } from "../command-line.ts";
import { controlCommand } from "../control-command.ts";
import { deploymentCommand, inDeployment, type Operand } from "../deployment-command.ts";
import { Failure } from "../failure.ts";
import { applyPolicy, rollBack } from "../policy/roll-out.ts";
import { actionOf, type Given, subjectOf, timeOf } from "../policy/subject.ts";
import {
  diffText,
  explanationText,
  reachersText,
  rightsText,
  testText,
  versionsText,
  wildcardsText,
} from "../policy/texts.ts";
import { checkPolicyFiles, parseFiles, readPolicyAt, readPolicyFiles } from "../policy-file.ts";

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
  plain(policy, "roles", "print roles as they are common in hospitals, ready to be copied", () =>
    readyMadePolicyText(),
  );
  plain(policy, "schema", "print the JSON Schema of policy.yaml, for editors", () =>
    JSON.stringify(policyJsonSchema(), undefined, 2),
  );
}

function plain(policy: Command, name: string, summary: string, text: () => string): void {
  policy
    .command(name)
    .summary(summary)
    .description(summary)
    .addHelpText("after", `\nExamples:\n  wardmq policy ${name}`)
    .action(() => print(text().trimEnd()));
}

/** The policy of the deployment, with the name of its first file for places that have none of their own. */
function policyOf(directory: string) {
  const files = readPolicyFiles(directory);
  return { policy: parseFiles(files), file: files[0]?.name ?? "policy.yaml" };
}

function addReadingCommands(policy: Command): void {
  deploymentCommand(policy, "check", {
    summary:
      "check the policy: problems end with 2, assertions that do not hold with 1, findings with 0",
    examples: ["wardmq policy check /srv/wardmq", "wardmq policy check /srv/wardmq --json"],
  })
    .option("--wildcards", "list every rule with a wildcard, and what stands open by it")
    .option("--json", "print the warnings as JSON")
    .action(
      inDeployment([], (_, { json, wildcards }: Json & { wildcards?: boolean }, directory) => {
        const warnings = checkPolicyFiles(directory);
        if (wildcards) {
          const { policy: checked, file } = policyOf(directory);
          const open = wildcardsOf(checked);
          return json ? printJson(open) : print(wildcardsText(open, file));
        }
        if (json) return printJson({ warnings });
        for (const warning of warnings) report(warning);
        print(`policy.yaml is valid, ${count(warnings.length, "warning")}`);
      }),
    );

  deploymentCommand(policy, "explain", {
    summary: "tell what the policy decides, by which rule, and what would turn it",
    operands: [subject, action, topic],
    examples: [
      "wardmq policy explain /srv/wardmq service:dashboard subscribe 'hospital-1/#'",
      "wardmq policy explain /srv/wardmq service:acme subscribe 'h/+/+/device/+/lifecycle' --at 2026-12-01T09:00:00Z",
      "wardmq policy explain /srv/wardmq person:hospital_ann subscribe 'h/main/icu/device/+/alarm' --claim groups=nurses --attribute org=h --attribute ward=icu",
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
          { at, json, ...given }: Json & Given & { at?: string },
          directory,
        ) => {
          const { policy: explained, file } = policyOf(directory);
          const { subject, mapped } = await subjectOf(id, given, explained);
          const request = { subject, action: actionOf(verb), topic: asked, at: timeOf(at) };
          const explanation = explain(explained, request);
          const changes = explanation.changes.map(({ changed: _, ...change }) => change);
          if (json) printJson({ ...explanation, changes, rolesOfClaims: mapped });
          else print(explanationText(explanation, `${id} ${verb} ${asked}`, file, mapped));
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
        ([, verb = "", asked = ""], { json }: Json, directory) => {
          const { policy: searched, file } = policyOf(directory);
          const reachers = whoCan(searched, actionOf(verb), asked);
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
        async ([, id = ""], { at, json, ...given }: Json & Given & { at?: string }, directory) => {
          const { policy: searched, file } = policyOf(directory);
          const { subject } = await subjectOf(id, given, searched);
          const rights = whatCan(searched, subject, timeOf(at));
          if (json) printJson(rights);
          else print(rightsText(rights, file));
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

interface RollOut extends Json {
  readonly reason: string;
  readonly yes?: boolean;
}

function addRollOutCommands(policy: Command): void {
  deploymentCommand(policy, "apply", {
    summary: "show what the policy files would change, ask, and apply them",
    examples: ["wardmq policy apply /srv/wardmq --reason 'ward icu-4 opens'"],
  })
    .requiredOption("--reason <text>", "why, for who reads it later")
    .option("--yes", "do not ask")
    .action(
      inDeployment([], async (_, { reason, yes = false }: RollOut) =>
        print(await applyPolicy(reason, yes)),
      ),
    );
  deploymentCommand(policy, "rollback", {
    summary: commands["policy.rollback"].summary,
    operands: [["VERSION", "as wardmq policy versions lists it"]],
    examples: ["wardmq policy rollback /srv/wardmq 3 --reason 'the new one keeps pumps away'"],
  })
    .requiredOption("--reason <text>", "why, for who reads it later")
    .option("--yes", "do not ask")
    .action(
      inDeployment(["VERSION"], async ([version = ""], { reason, yes = false }: RollOut) => {
        if (!/^[1-9]\d{0,5}$/.test(version)) {
          throw new Failure(2, "VERSION is no number", "wardmq policy versions DIR lists them");
        }
        print(await rollBack(Number(version), reason, yes));
      }),
    );
  controlCommand(policy, "versions", "policy.versions", {
    examples: ["wardmq policy versions /srv/wardmq"],
    arguments: () => ({}),
    text: ({ versions }) => versionsText(versions),
    json: ({ versions }) => versions,
  });
}
