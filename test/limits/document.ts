import { type Option, options } from "@wardmq/config";
import { importanceClasses } from "../../apps/broker/src/session/importance.ts";
import { type LimitRow, limitRows } from "./table.ts";

/** The limits of packages/config, without the `limits.` before them. */
export const limitOptions: readonly (readonly [key: string, option: Option])[] = options.flatMap(
  (option) =>
    option.key.startsWith("limits.") ? [[option.key.slice("limits.".length), option] as const] : [],
);

/** docs/limits.md, made of the rows of packages/config and of the table of what happens; a test compares the file with it. */
export function limitsDocument(): string {
  return `# Limits

<!-- Written by npm run docs from packages/config/src/options.ts and test/limits/table.ts; change it there. -->

Every limit stands under \`limits\` in \`wardmq.yaml\` and has a safe default; [config.md](config.md) has the ranges, the units and what
is reported as weaker. A refusal leaves an event whose field \`limit\` is the key; what repeats within a second is counted in one event.

| Key | Default | Bounds | MQTT 5.0 | MQTT 3.1.1 | Event | Test |
|---|---|---|---|---|---|---|
${limitOptions.map(([key, option]) => line(key, option, rowOf(key))).join("\n")}

## Full queues

When a message would exceed \`queuedMessages\`, \`queuedBytes\` or \`queuedBytesTotal\`, the oldest message of the least important class
that waits for the same session goes for it; it goes itself when everything that waits is more important. The class is decided by
the channel of \`{org}/{site}/{ward}/device/{uuid}/{channel}\`, the least important first; every other topic is in the first one:

${importanceClasses.map(({ channels }, i) => `${i + 1}. ${channels.map((channel) => `\`${channel}\``).join(", ")}`).join("\n")}

A message that was sent and is not acknowledged is never taken back. \`queuedMessages\` counts what waits; \`queuedBytes\` counts what
waits and what is in flight, payloads and bookkeeping, and each session's share of a payload that several are owed. All of
it is in memory, and for sessions that outlive their connection on disk as well, once for all who are owed it. What is on disk in
all (messages, sessions, retained messages, the last feed) is bounded by \`storedBytes\`; the file may be twice as large, and 64 MiB at least.

## Memory

Whatever a peer can make the broker keep has a limit. A packet is never kept for what it announces, only for what has come of
it. Messages in flight, and the levels of topics and filters, are counted as what they hold. Names that are made up, and the
routes that were worked out for them, are forgotten beyond an eighth of \`memoryBytes\`, at most 64 MiB. Limits are checked
against counts, not against the size of the process, so that a decision never depends on when memory is collected; the process is larger
by the runtime itself (50 to 100 MB), by wills (each at most \`preAuthBytes\`) and by garbage that waits.

Over \`memoryBytes\` nobody loses what is there: who comes back for a session is let in, since that makes it smaller, and
publishers go on, slowly. When packets that arrive in parts are more than a quarter of it, one that holds more than 64 KiB ends
its connection with 0x97.

A handshake that sends more than \`preAuthBytes\` is ended within a hundredth of a second; for as long, the TLS library holds at most
100 kB of it.

\`test/limits/attacks.ts\` attacks all of this, in small in \`npm test\` and in full size in \`npm run fuzz\`, while a device goes on
sending alarms.
`;
}

function rowOf(key: string): LimitRow {
  const row = limitRows.find((each) => each.key === key);
  if (row === undefined) throw new Error(`no row for ${key} in test/limits/table.ts`);
  return row;
}

function line(key: string, option: Option, row: LimitRow): string {
  const { answer } = row;
  const [v5, v3] = typeof answer === "string" ? [answer, answer] : [answer.v5, answer.v3];
  const unit = option.unit === undefined ? "" : ` ${option.unit}`;
  const cells = [`\`${key}\``, `${option.default}${unit}`, row.bounds, v5, v3, row.event];
  return `| ${cells.join(" | ")} | [${row.file}](../test/limits/${row.file}.test.ts) |`;
}
