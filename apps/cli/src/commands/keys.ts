import { commands } from "@wardmq/commands";
import { providerChoices } from "@wardmq/keys";
import type { Command } from "commander";
import { askOnce } from "../ask.ts";
import { count, group, type Json, print, printJson, wholeNumber } from "../command-line.ts";
import { deploymentCommand, inDeployment } from "../deployment-command.ts";
import { changedPassphrase, deploymentPassphrase } from "../keys.ts";

interface ChangeOptions extends Json {
  readonly to: string;
  readonly newPassphraseFd?: number;
}

export function addKeysCommands(program: Command): void {
  const keys = group(
    program,
    "keys",
    "look after what protects the keys",
    "wardmq keys change /srv/wardmq --to passphrase",
  );
  deploymentCommand(keys, "change", {
    summary: commands["keys.change"].summary,
    examples: [
      "wardmq keys change /srv/wardmq --to passphrase",
      "wardmq keys change /srv/wardmq --to credentials:wardmq-kek",
    ],
  })
    .requiredOption("--to <provider>", `what protects the keys from here on: ${providerChoices}`)
    .option(
      "--new-passphrase-fd <n>",
      "the new passphrase from this file descriptor, and not typed",
      wholeNumber(0, 9999),
    )
    .option("--json", "print the result as JSON")
    .action(
      inDeployment([], async (_, { to, newPassphraseFd, json }: ChangeOptions) => {
        const former = deploymentPassphrase();
        const passphrase = changedPassphrase(to, newPassphraseFd);
        const wanted = { to, ...(passphrase === undefined ? {} : { passphrase }) };
        const done = await askOnce(process.cwd(), "keys.change", wanted, former);
        if (json) return printJson(done);
        print(
          `${count(done.files, "file")} with keys: ${done.to} opens them now, in place of ${done.from}`,
        );
        print(
          "backups that were made before are not changed by it: each has a recipient of its own",
        );
      }),
    );
}
