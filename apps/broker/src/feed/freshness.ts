import type { SecurityEvent } from "@wardmq/events";

export interface FreshnessParts {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly maximumAgeSeconds: () => number;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  /** A line for a person: control, who would show the event, is away. */
  readonly report: (line: string) => void;
}

/**
 * How old what the broker knows of revocations is:
 *
 *     fresh --half of the maximum age--> ageing (alarm) --all of it--> stale (alarm; nobody new is let in)
 *       ^------------------------- control is heard -----------------------------|
 */
export class Freshness {
  readonly #parts: FreshnessParts;
  #heardAt = 0;
  #state: "fresh" | "ageing" | "stale" = "fresh";

  constructor(parts: FreshnessParts) {
    this.#parts = parts;
  }

  /** By the clock, not by the last look: a connection that comes in between is refused too. */
  get isStale(): boolean {
    return this.#ageSeconds > this.#parts.maximumAgeSeconds();
  }

  /** Control was alive and said so then, in milliseconds since 1970. */
  heard(issuedAt: number): void {
    this.#heardAt = issuedAt;
    this.look();
  }

  /** Raises the alarm where one is due; called every second. */
  look(): void {
    const isAgeing = this.#ageSeconds * 2 > this.#parts.maximumAgeSeconds();
    const state = this.isStale ? "stale" : isAgeing ? "ageing" : "fresh";
    if (state === this.#state) return;
    this.#state = state;
    if (state === "fresh") return;
    const hours = Math.round(this.#ageSeconds / 360) / 10;
    const why = `nothing was heard from control for ${hours} hours: ${consequences[state]}`;
    this.#parts.record({
      type: "feed-stale",
      why,
      details: { ageSeconds: Math.round(this.#ageSeconds) },
    });
    this.#parts.report(why);
  }

  get #ageSeconds(): number {
    return (this.#parts.now() - this.#heardAt) / 1000;
  }
}

const consequences = {
  ageing: "half of feed.maximumAgeSeconds is over, and after all of it nobody new is let in",
  stale: "nobody new is let in until it is back",
} as const;
