import type { SecurityEvent } from "@wardmq/events";

const windowMs = 60_000;
const topicsInWindow = 20;
const subjectsRemembered = 1_024;

const denials: ReadonlySet<SecurityEvent["type"]> = new Set([
  "publish-denied",
  "subscribe-denied",
  "will-denied",
  "command-denied",
  "response-denied",
]);

interface Tried {
  readonly since: number;
  readonly topics: Set<string>;
  isTold: boolean;
}

/**
 * Who tries one topic after another. The first denied topics of a subject within a minute are told one by one; those
 * beyond are told without their topic, so that they are alike and are counted instead.
 */
export class TopicScans {
  readonly #bySubject = new Map<string, Tried>();

  /** The event as it is to be told, and with it, once in a minute, that the subject scans. */
  look(event: SecurityEvent): readonly SecurityEvent[] {
    const { type, at, subject, address, topic } = event;
    if (subject === undefined || topic === undefined || !denials.has(type)) return [event];
    const tried = this.#triedBy(subject, at);
    const { topics } = tried;
    if (topics.has(topic)) return [event];
    if (topics.size < topicsInWindow) {
      topics.add(topic);
      return [event];
    }
    const who = { at, subject, ...(address === undefined ? {} : { address }) };
    const why = `more than ${topicsInWindow} denied topics within a minute`;
    const { check = "policy" } = event;
    const counted: SecurityEvent = { ...who, type, check, why };
    if (tried.isTold) return [counted];
    tried.isTold = true;
    return [{ ...who, type: "topic-scan", why }, counted];
  }

  #triedBy(subject: string, at: number): Tried {
    const known = this.#bySubject.get(subject);
    if (known !== undefined && at - known.since < windowMs) return known;
    this.#bySubject.delete(subject);
    for (const oldest of this.#bySubject.keys()) {
      if (this.#bySubject.size < subjectsRemembered) break;
      this.#bySubject.delete(oldest);
    }
    const tried = { since: at, topics: new Set<string>(), isTold: false };
    this.#bySubject.set(subject, tried);
    return tried;
  }
}
