import type { Command } from "commander";
import { count, group } from "../command-line.ts";
import { controlCommand } from "../control-command.ts";

export function addStateCommands(program: Command): void {
  const state = group(
    program,
    "state",
    "look after what is sealed on the disk",
    "wardmq state rekey /srv/wardmq",
  );
  controlCommand(state, "rekey", "state.rekey", {
    examples: ["wardmq state rekey /srv/wardmq"],
    arguments: () => ({}),
    text: ({ current, destroyed }) =>
      `control seals with key ${current}; ${count(destroyed.length, "former key")} destroyed`,
  });
}
