import { commands } from "@wardmq/commands";
import type { Command } from "commander";
import { type Afar, asking, fromAfar } from "../asking.ts";
import { type Json, print, wholeNumber } from "../command-line.ts";
import { deploymentCommand } from "../deployment-command.ts";
import { eventLine } from "../event-line.ts";

export function addEventCommands(program: Command): void {
  const command = deploymentCommand(program, "events", {
    summary: commands.events.summary,
    examples: [
      "wardmq events /srv/wardmq --last 50",
      "wardmq events /srv/wardmq --json | jq -r .type",
      "wardmq events --url https://control.example:9443 --credential ./alice",
    ],
  })
    .option("--last <n>", "how many", wholeNumber(1, 10_000), 20)
    .option("--json", "print one JSON object a line");
  fromAfar(command).action(
    async (words: string[], { last, json, ...remote }: Json & Afar & { last: number }) =>
      asking([], words, remote, async ({ ask }) => {
        const { events } = await ask("events", { last });
        for (const event of events) print(json ? JSON.stringify(event) : eventLine(event));
      }),
  );
}
