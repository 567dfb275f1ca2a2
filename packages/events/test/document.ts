import { type EventDefinition, eventTypes, type Severity } from "../src/index.ts";

/** What a severity asks of whoever reads the events. */
const severities: Readonly<Record<Severity, string>> = {
  info: "what happens when all is well; kept, and nobody is called",
  notice: "an operator or a client changed something",
  warning: "something was refused, withheld or lost; look at it when it repeats",
  alert: "a protection or a file of the deployment is not as it should be: look at it now",
};

/** Every field of an event that is not there in each of them. */
export const fields: readonly (readonly [name: string, meaning: string])[] = [
  ["count", "how often this happened since the last event alike; absent means once"],
  ["subject", "whose certificate was presented: `device:<uuid>` or `service:<name>`"],
  ["clientId", "the MQTT client identifier"],
  ["address", "the IP address of the peer"],
  ["listener", "`mqtts` or `wss`"],
  ["check", "the rule of the door, of MQTT or of the policy that decided"],
  ["why", "one sentence: what was wrong and what would change it"],
  ["topic", "the Topic Name or Topic Filter"],
  ["ruleId", "the rule of `policy.yaml`: role, action and place in its list"],
  ["reasonCode", "the MQTT 5.0 Reason Code of the answer, in decimal"],
  ["limit", "the key below `limits` in `wardmq.yaml`"],
  [
    "certificate",
    "subject, issuer, serial number and SHA-256 fingerprint of the peer's certificate",
  ],
  ["sni", "the host name the peer asked for"],
  ["details", "what belongs to this type only"],
];

/** docs/events.md, made of the rows of `eventTypes`; a test compares the file with it. */
export function eventsDocument(): string {
  return `# Security events

<!-- Written from packages/events/src/catalogue.ts by \`npm run docs\`; change it there. -->

Control appends every event to \`control/events.sealed\` of the deployment, its own and those of the broker: sealed, because they name
clients and topics. \`wardmq events DIR --json\` prints them, one JSON object a line.
Each has \`type\` and \`at\` (milliseconds since 1970). No event ever holds a payload, a key, a token or anything about a patient;
what a peer chose is escaped to printable ASCII and cut.

Events alike (same type, subject, address, check, limit and topic) are written once and then counted for a second, so that a flood
costs one line a second and its \`count\` is exact. While control is away the broker keeps up to 10,000 events; what does not fit is
counted in a \`messages-dropped\` event with the limit \`events\`.

## Types

| Type | Severity | What happened |
|---|---|---|
${Object.entries<EventDefinition>(eventTypes)
  .map(([type, { severity, summary }]) => row(`\`${type}\``, severity, summary))
  .join("\n")}

## Severities

| Severity | Meaning |
|---|---|
${Object.entries(severities)
  .map(([severity, meaning]) => row(severity, meaning))
  .join("\n")}

## Fields

| Field | Meaning |
|---|---|
${fields.map(([name, meaning]) => row(`\`${name}\``, meaning)).join("\n")}
`;
}

function row(...cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}
