import type { Command } from "commander";
import { count, group, type Json, print, printJson, report } from "../command-line.ts";
import { deploymentCommand, inDeployment } from "../deployment-command.ts";
import { checkPolicyFile } from "../policy-file.ts";

export function addPolicyCommands(program: Command): void {
  const policy = group(program, "policy", "check the policy", "wardmq policy check /srv/wardmq");
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
}
