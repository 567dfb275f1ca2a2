import { commands } from "@wardmq/commands";
import type { Command } from "commander";
import { ask } from "../ask.ts";
import { type Json, print, wholeNumber } from "../command-line.ts";
import { deploymentCommand, inDeployment } from "../deployment-command.ts";
import { eventLine } from "../event-line.ts";

export function addEventCommands(program: Command): void {
  deploymentCommand(program, "events", {
    summary: commands.events.summary,
    examples: [
      "wardmq events /srv/wardmq --last 50",
      "wardmq events /srv/wardmq --json | jq -r .type",
    ],
  })
    .option("--last <n>", "how many", wholeNumber(1, 10_000), 20)
    .option("--json", "print one JSON object a line")
    .action(
      inDeployment([], async (_, { last, json }: Json & { last: number }) => {
        const { events } = await ask("events", { last });
        for (const event of events) print(json ? JSON.stringify(event) : eventLine(event));
      }),
    );
}
