import type { SecurityEvent } from "@wardmq/events";

/** How many tokens were refused that said they were of a subject or an issuer. Nobody is banned by what anyone can write. */
export interface ClaimedFailure {
  /** `subject person:hospital_4f1c` or `issuer hospital`. */
  readonly of: string;
  readonly failures: number;
  /** Milliseconds since 1970: the last one. */
  readonly at: number;
}

const rememberedMs = 60 * 60_000;
const remembered = 1_000;

/** What refused tokens said of themselves, as events of brokers and the API tell. */
export class ClaimedFailures {
  readonly #now: () => number;
  readonly #byName = new Map<string, ClaimedFailure>();

  constructor(now: () => number) {
    this.#now = now;
  }

  hear(events: readonly SecurityEvent[]): void {
    for (const { check, count = 1, details } of events) {
      if (check?.startsWith("token-") !== true) continue;
      const { issuer, claimed } = details ?? {};
      if (typeof issuer === "string") this.#count(`issuer ${issuer}`, count);
      if (typeof claimed === "string") this.#count(`subject ${claimed}`, count);
    }
  }

  /** Of the last hour, the most first. */
  list(): readonly ClaimedFailure[] {
    const since = this.#now() - rememberedMs;
    for (const [key, { at }] of this.#byName) if (at < since) this.#byName.delete(key);
    return [...this.#byName.values()].sort((one, other) => other.failures - one.failures);
  }

  #count(of: string, failures: number): void {
    const before = this.#byName.get(of)?.failures ?? 0;
    this.#byName.delete(of); // the one counted last is forgotten last
    if (this.#byName.size >= remembered) {
      for (const oldest of this.#byName.keys()) {
        this.#byName.delete(oldest);
        break;
      }
    }
    this.#byName.set(of, { of, failures: before + failures, at: this.#now() });
  }
}
