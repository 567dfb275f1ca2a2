import { type EventType, eventTypes, printable, type SecurityEvent } from "@wardmq/events";

/** One event for a person: when, how grave, what, and every field that says more. */
export function eventLine(event: unknown): string {
  // INVARIANT: control gives events as packages/events has them; one that is none is still printed, escaped.
  const { type, at, ...fields } = event as SecurityEvent;
  const time = new Date(at);
  const when = Number.isNaN(time.getTime()) ? "-" : time.toISOString();
  const severity = eventTypes[type as EventType]?.severity ?? "info";
  const rest = Object.entries(flat(fields)).map(([name, value]) => `${name}=${shown(value)}`);
  return [when, severity.padEnd(7), String(type), ...rest].join(" ");
}

function flat(fields: object, prefix = ""): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) =>
      typeof value === "object" && value !== null
        ? Object.entries(flat(value, `${prefix}${name}.`))
        : [[`${prefix}${name}`, value] as const],
    ),
  );
}

/** Values were made printable when the event was made; what is not ASCII now came in another way. */
function shown(value: unknown): string {
  const text = String(value);
  const safe = /^[\x20-\x7e]*$/.test(text) ? text : printable(text, 500);
  return /[ "]/.test(safe) ? `"${safe.replaceAll('"', '\\"')}"` : safe;
}
