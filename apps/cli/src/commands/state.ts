import type { Command } from "commander";
import { count, group } from "../command-line.ts";
import { controlCommand } from "../control-command.ts";

const sentence = (who: string, current: string, destroyed: readonly string[]) =>
  `${who} seals with key ${current}; ${count(destroyed.length, "former key")} destroyed`;

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
    text: ({ current, destroyed, brokers, unconfirmed }) =>
      [
        sentence("control", current, destroyed),
        ...brokers.map((broker) => sentence("a broker", broker.current, broker.destroyed)),
        ...(unconfirmed === 0
          ? []
          : [`${count(unconfirmed, "broker")} did not confirm: look at its lines, and try again`]),
      ].join("\n"),
  });
}
