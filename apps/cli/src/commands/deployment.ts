import { commands } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import { providerChoices } from "@wardmq/keys";
import type { Command } from "commander";
import { type Json, print, printJson } from "../command-line.ts";
import { takeDirectory } from "../deployment.ts";
import { deploymentCommand } from "../deployment-command.ts";
import { initialize } from "../init.ts";

interface InitOptions extends Json {
  readonly org: string;
  readonly host: string[];
  readonly environment: string;
  readonly keys: string;
  readonly caToken?: string;
}

export function addDeploymentCommands(program: Command): void {
  deploymentCommand(program, "init", {
    summary: commands.init.summary,
    examples: [
      "wardmq init /srv/wardmq --org hospital-1 --host mqtt.hospital-1.example",
      "wardmq init ./try --org hospital-1 --environment test --host localhost",
    ],
  })
    .requiredOption("--org <org>", "the organisation: 1 to 64 characters A-Z, a-z, 0-9, _ and -")
    .requiredOption("--host <name...>", "a DNS name clients will use; more names may follow")
    .option("--environment <name>", "what it is for, such as prod or test", "prod")
    .option("--keys <provider>", `what protects the keys: ${providerChoices}`, "file")
    .option(
      "--ca-token <uri>",
      "make the keys of the CAs in a PKCS#11 token, as OBJECT-root and OBJECT-issuing",
    )
    .option("--json", "print the result as JSON")
    .action(
      async (words: string[], { json, org, host, environment, keys, caToken }: InitOptions) => {
        const { directory } = takeDirectory(words, [], process.env);
        const hosts = host.map((name) => name.toLowerCase());
        const result = await initialize(directory, org, environment, hosts, keys, caToken);
        if (json) return printJson(result);
        print(`made a deployment of ${result.trustDomain} in ${printable(directory, 1000)}`);
        print(`root CA ${result.rootFingerprint} (SHA-256)`);
        print(`next: wardmq device add, wardmq credential, wardmq serve`);
      },
    );
}
