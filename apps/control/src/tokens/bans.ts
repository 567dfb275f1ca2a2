import type { SecurityEvent } from "@wardmq/events";

export interface BanSummary {
  /** `address 192.0.2.7` or `certificate <fingerprint>`. */
  readonly of: string;
  readonly failures: number;
  /** Milliseconds since 1970. */
  readonly until: number;
}

/** What brokers have banned, as their events say. */
export class Bans {
  readonly #now: () => number;
  readonly #byKey = new Map<string, BanSummary>();

  constructor(now: () => number) {
    this.#now = now;
  }

  hear(events: readonly SecurityEvent[]): void {
    for (const { type, check, details } of events) {
      const { failures, until } = details ?? {};
      if (type !== "tokens-banned" || check === undefined) continue;
      this.#byKey.set(check, { of: check, failures: Number(failures), until: Number(until) });
    }
  }

  list(): readonly BanSummary[] {
    const now = this.#now();
    for (const [key, { until }] of this.#byKey) if (!(until > now)) this.#byKey.delete(key);
    return [...this.#byKey.values()];
  }
}
