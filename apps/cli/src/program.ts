import { resolve } from "node:path";
import type { Commands, SubjectSummary } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import { Command, InvalidArgumentError, Option } from "commander";
import type { RuntimeName } from "../bin/runtimes.mjs";
import { ask } from "./ask.ts";
import { credentialFiles, makeCredential } from "./credential.ts";
import { takeDirectory } from "./deployment.ts";
import { deploymentCommand, inDeployment, type Operand } from "./deployment-command.ts";
import { eventLine } from "./event-line.ts";
import { Failure } from "./failure.ts";
import { initialize } from "./init.ts";
import { checkPolicyFile } from "./policy-file.ts";
import { serve } from "./serve.ts";
import { takeSignals } from "./signals.ts";
import { table } from "./table.ts";
import { up } from "./up/up.ts";

interface Json {
  readonly json?: boolean;
}

const subjectOperand: Operand = ["SUBJECT", "device:UUID or service:NAME"];
const print = (text: string) => void process.stdout.write(`${text}\n`);
const printJson = (value: unknown) => print(JSON.stringify(value, undefined, 2));
const report = (line: string) => void process.stderr.write(`wardmq: ${line}\n`);

/** The command `wardmq` and everything below it. */
export const program = new Command("wardmq")
  .description(
    "an MQTT broker with its own device PKI and policy, for hospitals and makers of medical devices",
  )
  .version("0.1.0")
  .helpCommand(false)
  .configureHelp({ subcommandTerm: (command) => `${command.name()} ${command.usage()}` })
  .exitOverride()
  .showHelpAfterError("wardmq: add --help for what can be written")
  .configureOutput({
    outputError: (text, write) => {
      for (const line of text.split("\n").filter((part) => part !== "")) {
        write(`${printable(line.replace(/^error: /, "wardmq: "), 500)}\n`);
      }
    },
  })
  .addHelpText(
    "after",
    `
DIR is the folder of a deployment; it may be left out where WARDMQ_DIR is set.
Exit codes: 0 done, 1 refused or failed, 2 wrong input or configuration.

Examples:
  wardmq up                                            a simulated ward to look at
  wardmq init /srv/wardmq --org hospital-1 --host mqtt.hospital-1.example
  wardmq serve /srv/wardmq
  wardmq device add --help`,
  );

deploymentCommand(program, "init", {
  summary: "make a deployment in a new or empty folder: settings, policy, CAs, server certificate",
  examples: [
    "wardmq init /srv/wardmq --org hospital-1 --host mqtt.hospital-1.example",
    "wardmq init ./try --org hospital-1 --environment test --host localhost",
  ],
})
  .requiredOption("--org <org>", "the organisation: 1 to 64 characters A-Z, a-z, 0-9, _ and -")
  .requiredOption("--host <name...>", "a DNS name clients will use; more names may follow")
  .option("--environment <name>", "what it is for, such as prod or test", "prod")
  .option("--json", "print the result as JSON")
  .action(
    async (
      words: string[],
      options: Json & { org: string; host: string[]; environment: string },
    ) => {
      const { directory } = takeDirectory(words, [], process.env);
      const hosts = options.host.map((host) => host.toLowerCase());
      const result = await initialize(directory, options.org, options.environment, hosts);
      if (options.json) return printJson(result);
      print(`made a deployment of ${result.trustDomain} in ${printable(directory, 1000)}`);
      print(`root CA ${result.rootFingerprint} (SHA-256)`);
      print(`next: wardmq device add, wardmq credential, wardmq serve`);
    },
  );

deploymentCommand(program, "serve", {
  summary:
    "run control and broker in the foreground; SIGTERM drains and ends, SIGHUP reads the files again",
  examples: [
    "wardmq serve /srv/wardmq",
    "wardmq serve ./try --runtime node --mqtts 18883 --wss 18884 --set limits.connections=50000",
    "kill -HUP $(cat /srv/wardmq/run/serve.pid)",
  ],
})
  .addOption(
    new Option("--runtime <name>", "what runs control and broker (default: bun)").choices([
      "bun",
      "node",
    ]),
  )
  .option("--mqtts <port>", "the port of MQTT over TLS for this run", parsePort)
  .option("--wss <port>", "the port of MQTT over WebSocket for this run", parsePort)
  .option("--set <key=value>", "any key of wardmq.yaml for this run; may be repeated", collect)
  .option("--verbose", "tell the process ids of control and broker")
  .action(inDeployment([], runServe));

const device = group("device", "register devices", "wardmq device add --help");
deploymentCommand(device, "add", {
  summary: "register a device",
  examples: [
    "wardmq device add /srv/wardmq --site main --ward icu --model bsm-100",
    "wardmq device add /srv/wardmq --site main --ward icu --id 6b0d6a3e-9f7c-4d2a-8f7e-2f0c1d9a4b55",
  ],
})
  .requiredOption("--site <site>", "where it stands: the site")
  .requiredOption("--ward <ward>", "where it stands: the ward")
  .option("--model <model>", "its model, for the policy")
  .option("--id <uuid>", "its uuid (default: a new one)")
  .option("--json", "print the result as JSON")
  .action(
    inDeployment(
      [],
      async (_, options: Json & { site: string; ward: string; model?: string; id?: string }) => {
        const { json, ...device } = options;
        printSubject(await ask("device.add", device), json);
      },
    ),
  );

const service = group("service", "register services", "wardmq service add /srv/wardmq dashboard");
deploymentCommand(service, "add", {
  summary: "register a service: an application that is no device",
  operands: [["NAME", "1 to 64 characters A-Z, a-z, 0-9, _ and -"]],
  examples: ["wardmq service add /srv/wardmq dashboard"],
})
  .option("--json", "print the result as JSON")
  .action(
    inDeployment(["NAME"], async ([name = ""], { json }: Json) =>
      printSubject(await ask("service.add", { name }), json),
    ),
  );

deploymentCommand(program, "list", {
  summary: "list devices and services with their certificates",
  examples: ["wardmq list /srv/wardmq", "wardmq list /srv/wardmq --json"],
})
  .option("--json", "print the result as JSON")
  .action(
    inDeployment([], async (_, { json }: Json) => {
      const { subjects } = await ask("list", {});
      if (json) return printJson(subjects);
      print(subjects.length === 0 ? "no devices or services yet" : subjectTable(subjects));
    }),
  );

deploymentCommand(program, "revoke", {
  summary:
    "revoke a subject and its certificates, and end its connections now; the certificates never get in again",
  operands: [subjectOperand],
  examples: ["wardmq revoke /srv/wardmq device:6b0d6a3e-9f7c-4d2a-8f7e-2f0c1d9a4b55"],
})
  .option("--json", "print the result as JSON")
  .action(
    inDeployment(["SUBJECT"], async ([subject = ""], { json }: Json) => {
      const result = await ask("revoke", { subject });
      if (json) printJson(result);
      else printRevocation(result);
      const { unconfirmed = 0 } = result;
      if (unconfirmed > 0) {
        throw new Failure(
          1,
          `${count(unconfirmed, "broker")} did not confirm within a second`,
          "the revocation stands; look at wardmq events, and end that broker if it does not follow",
        );
      }
    }),
  );

deploymentCommand(program, "credential", {
  summary: `make a key and a certificate for a subject: ${credentialFiles.join(", ")}`,
  operands: [subjectOperand],
  examples: ["wardmq credential /srv/wardmq service:dashboard --out ./dashboard"],
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
      print(`valid until ${day(certificate.notAfter)}, serial number ${certificate.serialNumber}`);
    })(words, options);
  });

const policy = group("policy", "check the policy", "wardmq policy check /srv/wardmq");
deploymentCommand(policy, "check", {
  summary: "check policy.yaml: problems end with 2, warnings do not",
  examples: ["wardmq policy check /srv/wardmq", "wardmq policy check /srv/wardmq --json"],
})
  .option("--json", "print the warnings as JSON")
  .action(
    inDeployment([], (_, { json }: Json, directory) => {
      const warnings = checkPolicyFile(directory);
      if (json) return printJson({ warnings });
      for (const warning of warnings) report(`warning: ${warning}`);
      print(`policy.yaml is valid, ${count(warnings.length, "warning")}`);
    }),
  );

deploymentCommand(program, "events", {
  summary: "print the last security events, oldest first",
  examples: [
    "wardmq events /srv/wardmq --last 50",
    "wardmq events /srv/wardmq --json | jq -r .type",
  ],
})
  .option("--last <n>", "how many", parseCount, 20)
  .option("--json", "print one JSON object a line")
  .action(
    inDeployment([], async (_, { last, json }: Json & { last: number }) => {
      const { events } = await ask("events", { last });
      for (const event of events) print(json ? JSON.stringify(event) : eventLine(event));
    }),
  );

program
  .command("up")
  .summary("run a simulated ward: demo deployment, broker, devices and a live table")
  .description("run a simulated ward: demo deployment, broker, devices and a live table")
  .argument("[DIR]", "where the demo deployment is, or is made", ".wardmq/demo")
  .addOption(
    new Option("--runtime <name>", "what runs control and broker (default: bun)").choices([
      "bun",
      "node",
    ]),
  )
  .addHelpText("after", "\nExamples:\n  wardmq up\n  wardmq up /tmp/ward --runtime node")
  .action(async (directory: string, { runtime }: { runtime?: RuntimeName }) => {
    process.exitCode = await up(resolve(directory), runtime, { print, report });
  });

/** A command that only holds others. */
function group(name: string, summary: string, example: string): Command {
  return program
    .command(name)
    .summary(summary)
    .description(summary)
    .usage("COMMAND")
    .helpCommand(false)
    .addHelpText("after", `\nExamples:\n  ${example}`);
}

async function runServe(
  _: readonly string[],
  options: {
    runtime?: RuntimeName;
    mqtts?: number;
    wss?: number;
    set: string[];
    verbose?: boolean;
  },
  directory: string,
): Promise<void> {
  const overrides = [...(options.set ?? [])];
  if (options.mqtts !== undefined) overrides.push(`listeners.mqtts.port=${options.mqtts}`);
  if (options.wss !== undefined) overrides.push(`listeners.wss.port=${options.wss}`);
  const { runtime, verbose = false } = options;
  const signals = takeSignals(process.env);
  try {
    const serving = await serve(
      { directory, runtime, overrides, verbose, report, stderr: "inherit" },
      signals.stop,
    );
    if (typeof serving === "number") process.exitCode = serving;
    else {
      signals.onHangUp = serving.reload;
      print(serving.readyLine);
      process.exitCode = await serving.ended;
    }
  } finally {
    signals.close();
  }
}

function printSubject(subject: SubjectSummary, json: boolean | undefined): void {
  if (json) printJson(subject);
  else print(`added ${subject.id}\nnext: wardmq credential DIR ${subject.id} --out FOLDER`);
}

function printRevocation({
  subject,
  certificatesRevoked,
  brokers,
  unconfirmed = 0,
}: Commands["revoke"]["result"]): void {
  print(`revoked ${subject} and ${count(certificatesRevoked, "certificate")}`);
  for (const { connectionsClosed, milliseconds } of brokers) {
    print(`the broker closed ${count(connectionsClosed, "connection")} in ${milliseconds} ms`);
  }
  if (brokers.length + unconfirmed === 0)
    print("no broker runs here; one that starts refuses the subject");
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

function day(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 10);
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function parsePort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new InvalidArgumentError("write a number from 0 to 65535");
}

function parseCount(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) <= 10_000) return Number(text);
  throw new InvalidArgumentError("write a number from 1 to 10000");
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
