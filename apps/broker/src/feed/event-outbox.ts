import { eventTypes, type SecurityEvent } from "@wardmq/events";
import { TopicScans } from "./topic-scans.ts";

type Draft = Omit<SecurityEvent, "at">;

const batchMs = 100;
/** Events alike within this time are sent once and then counted. */
const windowMs = 1_000;
const kindsRemembered = 4_096;
/** What a refused token says of itself anyone can write: beyond so many names at a time they are counted as one. */
const claimsRemembered = 100;
const buffered = 10_000;

interface Repeated {
  readonly event: SecurityEvent;
  more: number;
  readonly isClaim: boolean;
  isOver: boolean;
  readonly since: number;
}

/**
 * Security events on their way to control. They wait here while control is away; a flood of events alike costs one
 * line a second with an exact count, and a buffer that overflows says how many were lost.
 */
export class EventOutbox {
  readonly #now: () => number;
  #waiting: SecurityEvent[] = [];
  #lost = 0;
  readonly #scans = new TopicScans();
  readonly #repeated = new Map<string, Repeated>();
  #claims = 0;
  /** The same by the object that was recorded, for those who record one object again and again. */
  readonly #recorded = new WeakMap<Draft, Repeated>();
  readonly #timer: NodeJS.Timeout;
  #send: ((events: readonly SecurityEvent[]) => boolean) | undefined;

  constructor(now: () => number) {
    this.#now = now;
    this.#timer = setInterval(() => this.#tick(), batchMs);
  }

  /** Where events go; undefined while control is away. `send` says whether it took them. */
  connect(send: ((events: readonly SecurityEvent[]) => boolean) | undefined): void {
    this.#send = send;
  }

  readonly record = (draft: Draft): void => {
    const recorded = this.#recorded.get(draft);
    if (recorded !== undefined && !recorded.isOver) {
      recorded.more += 1;
      return;
    }
    for (const event of this.#scans.look({ ...draft, at: this.#now() })) this.#take(event, draft);
  };

  #take(event: SecurityEvent, draft: Draft): void {
    if (eventTypes[event.type].severity === "info") {
      this.#add(event);
      return;
    }
    const key = keyOf(event);
    const repeated = this.#repeated.get(key);
    if (repeated !== undefined) {
      repeated.more += 1;
      this.#recorded.set(draft, repeated);
      return;
    }
    const isClaim = event.details?.["claimed"] !== undefined;
    if (isClaim && this.#claims >= claimsRemembered) {
      const { claimed: _, ...details } = event.details ?? {};
      this.#take({ ...event, details }, draft);
      return;
    }
    this.#add(event);
    if (this.#repeated.size < kindsRemembered) {
      const begun = { event, more: 0, isClaim, isOver: false, since: event.at };
      this.#repeated.set(key, begun);
      this.#recorded.set(draft, begun);
      if (isClaim) this.#claims += 1;
    }
  }

  /** Sends what waits; called once more before the process ends. */
  flush(): void {
    if (this.#waiting.length === 0 || this.#send === undefined) return;
    if (!this.#send(this.#lost === 0 ? this.#waiting : [...this.#waiting, this.#loss()])) return;
    this.#waiting = [];
    this.#lost = 0;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#endWindows(Number.POSITIVE_INFINITY);
    this.flush();
  }

  #tick(): void {
    this.#endWindows(this.#now() - windowMs);
    this.flush();
  }

  #endWindows(before: number): void {
    for (const [key, repeated] of this.#repeated) {
      const { event, more, since } = repeated;
      if (since > before) continue;
      repeated.isOver = true;
      if (repeated.isClaim) this.#claims -= 1;
      this.#repeated.delete(key);
      if (more > 0) this.#add({ ...event, at: this.#now(), count: more });
    }
  }

  #add(event: SecurityEvent): void {
    if (this.#waiting.length < buffered) this.#waiting.push(event);
    else this.#lost += event.count ?? 1;
  }

  #loss(): SecurityEvent {
    return {
      type: "messages-dropped",
      at: this.#now(),
      limit: "events",
      why: "control was away and the buffer for events was full",
      count: this.#lost,
    };
  }
}

/**
 * What makes events alike. Certificates that nobody here issued do not, nor does the topic of what a limit refused: a
 * peer can make any number of them.
 */
function keyOf({
  type,
  subject,
  address,
  listener,
  check,
  limit,
  topic,
  ruleId,
  details,
  certificate,
}: SecurityEvent) {
  const fingerprint = check === "certification-path" ? "" : (certificate?.fingerprint ?? "");
  const about = type === "limit-reached" ? "" : topic;
  const { place, keyId, issuer, claimed } = details ?? {};
  return `${type} ${subject} ${address} ${listener} ${check} ${limit} ${about} ${ruleId} ${place} ${keyId} ${issuer} ${claimed} ${fingerprint}`;
}
