import type { SecurityEvent } from "@wardmq/events";

export interface BanSummary {
  /** `address 192.0.2.7` or `certificate <fingerprint>`. */
  readonly of: string;
  readonly failures: number;
  /** Milliseconds since 1970. */
  readonly until: number;
}

/** How many tokens were refused that said they were of a subject or an issuer. Nobody is banned by what anyone can write. */
export interface ClaimedFailures {
  /** `subject person:hospital_4f1c` or `issuer hospital`. */
  readonly of: string;
  readonly failures: number;
  /** Milliseconds since 1970: the last one. */
  readonly at: number;
}

const rememberedMs = 60 * 60_000;
const remembered = 1_000;

/** What brokers and the API have banned, and what refused tokens said of themselves, as their events say. */
export class Bans {
  readonly #now: () => number;
  readonly #byKey = new Map<string, BanSummary>();
  readonly #claimed = new Map<string, ClaimedFailures>();

  constructor(now: () => number) {
    this.#now = now;
  }

  hear(events: readonly SecurityEvent[]): void {
    for (const { type, check, count = 1, details } of events) {
      const { failures, until, issuer, claimed } = details ?? {};
      if (type === "tokens-banned" && check !== undefined) {
        this.#byKey.set(check, { of: check, failures: Number(failures), until: Number(until) });
      }
      if (check?.startsWith("token-") !== true) continue;
      if (typeof issuer === "string") this.#count(`issuer ${issuer}`, count);
      if (typeof claimed === "string") this.#count(`subject ${claimed}`, count);
    }
  }

  list(): readonly BanSummary[] {
    const now = this.#now();
    for (const [key, { until }] of this.#byKey) if (!(until > now)) this.#byKey.delete(key);
    return [...this.#byKey.values()];
  }

  /** Of the last hour, the most first. */
  claimed(): readonly ClaimedFailures[] {
    const since = this.#now() - rememberedMs;
    for (const [key, { at }] of this.#claimed) if (at < since) this.#claimed.delete(key);
    return [...this.#claimed.values()].sort((one, other) => other.failures - one.failures);
  }

  /** Forgets a ban; tells whether there was one. */
  lift(of: string): boolean {
    return this.#byKey.delete(of);
  }

  #count(of: string, failures: number): void {
    const before = this.#claimed.get(of)?.failures ?? 0;
    this.#claimed.delete(of); // the one counted last is forgotten last
    if (this.#claimed.size >= remembered) {
      for (const oldest of this.#claimed.keys()) {
        this.#claimed.delete(oldest);
        break;
      }
    }
    this.#claimed.set(of, { of, failures: before + failures, at: this.#now() });
  }
}
