import {
  type EventType,
  eventTypes,
  listenerNames,
  printable,
  type SecurityEvent,
} from "@wardmq/events";

/** Events that only control itself may record: a broker never speaks for an operator. */
const ofControl: ReadonlySet<EventType> = new Set<EventType>([
  "control-rolled-back",
  "anchor-lost",
  "policy-changed",
  "policy-refused",
  "policy-trial-started",
  "policy-trial-ended",
  "settings-changed",
  "issuer-keys-changed",
  "issuer-unavailable",
  "tokens-revoked",
  "ban-lifted",
  "break-glass-taken",
  "break-glass-ended",
  "break-glass-reviewed",
  "logged-out",
  "subject-added",
  "subject-changed",
  "subject-revoked-by",
  "request-refused",
  "api-call",
  "approval-requested",
  "approval-decided",
  "operator-changed",
  "enrolment-code-made",
  "enrolment-refused",
  "manufacturer-changed",
  "certificate-issued",
  "certificate-refused",
  "certificate-adopted",
  "rotation-step",
  "fleet-rotation",
  "root-crl-signed",
  "root-key-moved",
  "keys-changed",
  "backup-made",
  "foreign-ca-changed",
  "crl-read",
  "crl-refused",
  "crl-stale",
]);

const longestText = 2000;
/** The last millisecond a Date can be. */
const endOfTime = 8.64e15;

/** Text of a broker is printable already; what is not, is made so here. */
function safeText(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  return value.length <= longestText && /^[\x20-\x7e…]*$/.test(value) ? value : printable(value);
}

const safeNumber = (value: unknown) => (Number.isSafeInteger(value) ? value : undefined);

function safeObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

function safeCertificate(value: unknown): SecurityEvent["certificate"] {
  const given = safeObject(value);
  if (given === undefined) return undefined;
  const text = (key: string) => safeText(given[key]) ?? "";
  return {
    subject: text("subject"),
    issuer: text("issuer"),
    serialNumber: text("serialNumber"),
    fingerprint: text("fingerprint"),
  };
}

function safeDetails(value: unknown): SecurityEvent["details"] {
  const given = safeObject(value);
  if (given === undefined) return undefined;
  const entries = Object.entries(given)
    .slice(0, 16)
    .flatMap(([key, held]) => {
      const safe =
        typeof held === "boolean" || (typeof held === "number" && Number.isFinite(held))
          ? held
          : safeText(held);
      return /^[A-Za-z0-9]{1,40}$/.test(key) && safe !== undefined ? [[key, safe] as const] : [];
    });
  return Object.fromEntries(entries);
}

/** How each field of a broker's event is made safe, one row each; what has no row is dropped. */
const fields: {
  readonly [Key in Exclude<keyof SecurityEvent, "type" | "at">]-?: (value: unknown) => unknown;
} = {
  count: safeNumber,
  subject: safeText,
  clientId: safeText,
  address: safeText,
  listener: (value) => listenerNames.find((name) => name === value),
  check: safeText,
  why: safeText,
  topic: safeText,
  ruleId: safeText,
  reasonCode: safeNumber,
  limit: safeText,
  certificate: safeCertificate,
  sni: safeText,
  details: safeDetails,
};

/** An event as a broker sent it, made anew from what is known and safe; undefined when it is no event of a broker. */
export function parseBrokerEvent(value: unknown): SecurityEvent | undefined {
  const given = safeObject(value);
  const type = given?.["type"];
  const at = given?.["at"];
  const isKnown =
    typeof type === "string" &&
    Object.hasOwn(eventTypes, type) &&
    !ofControl.has(type as EventType);
  // Broker and control both destroy keys, each of its own store.
  const isOfControl = safeDetails(given?.["details"])?.["store"] === "control";
  const isTime = Number.isSafeInteger(at) && Math.abs(Number(at)) <= endOfTime;
  if (given === undefined || !isKnown || isOfControl || !isTime) return undefined;
  const event: Record<string, unknown> = { type, at };
  for (const [key, make] of Object.entries(fields)) {
    const safe = Object.hasOwn(given, key) ? make(given[key]) : undefined;
    if (safe !== undefined) event[key] = safe;
  }
  // INVARIANT: `fields` has a row for every field of SecurityEvent that gives its type or undefined.
  return event as unknown as SecurityEvent;
}
