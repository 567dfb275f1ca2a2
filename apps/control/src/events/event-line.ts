import { eventTypes, type SecurityEvent } from "@wardmq/events";

const inOrder = [
  "subject",
  "clientId",
  "address",
  "listener",
  "sni",
  "check",
  "topic",
  "ruleId",
  "limit",
] as const;

/** One event as one line for a person. Its texts are printable already. */
export function eventLine(event: SecurityEvent): string {
  const { severity, summary } = eventTypes[event.type];
  const parts = inOrder.flatMap((key) =>
    event[key] === undefined ? [] : [`${key}=${whole(event[key])}`],
  );
  if (event.reasonCode !== undefined)
    parts.push(`reasonCode=0x${event.reasonCode.toString(16).padStart(2, "0")}`);
  if (event.certificate) {
    const { subject, issuer, serialNumber } = event.certificate;
    parts.push(`certificate="${subject}" issuer="${issuer}" serialNumber=${serialNumber}`);
  }
  if (event.count !== undefined) parts.push(`count=${event.count}`);
  const words = [
    new Date(event.at).toISOString(),
    severity,
    `${event.type}:`,
    event.why ?? summary,
    ...parts,
  ];
  return words.join(" ");
}

/** A client id with a space must not look like another field; quotes in it were escaped when the event was made. */
function whole(text: string): string {
  return text.includes(" ") ? `"${text}"` : text;
}

/** Lets at most `perSecond` lines a second through and says how many it held back. */
export class LineBudget {
  readonly #perSecond: number;
  readonly #write: (line: string) => void;
  #left: number;
  #heldBack = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(perSecond: number, write: (line: string) => void) {
    this.#perSecond = perSecond;
    this.#write = write;
    this.#left = perSecond;
  }

  line(text: string): void {
    this.#timer ??= setTimeout(() => this.flush(), 1000);
    if (this.#left === 0) {
      this.#heldBack += 1;
      return;
    }
    this.#left -= 1;
    this.#write(text);
  }

  /** Begins a new second, or ends the last one. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#left = this.#perSecond;
    if (this.#heldBack > 0) this.#write(`${this.#heldBack} more events are in the log`);
    this.#heldBack = 0;
  }
}
