const rememberedClients = 10_000;

interface Bucket {
  readonly tokens: number;
  readonly at: number;
  readonly isBeyond: boolean;
}

/** How many requests a client may make: so many at once, and so many in a second after those. */
export class RequestRate {
  readonly #perSecond: number;
  readonly #atOnce: number;
  readonly #now: () => number;
  readonly #buckets = new Map<string, Bucket>();

  /** `now` in monotonic milliseconds. */
  constructor(perSecond: number, atOnce: number, now: () => number) {
    this.#perSecond = perSecond;
    this.#atOnce = atOnce;
    this.#now = now;
  }

  /** Counts a request of a client; only the first one beyond is worth an event. */
  take(client: string): "ok" | "first beyond" | "beyond" {
    const at = this.#now();
    const before = this.#buckets.get(client);
    const refilled =
      before === undefined
        ? this.#atOnce
        : before.tokens + ((at - before.at) * this.#perSecond) / 1000;
    const tokens = Math.min(this.#atOnce, refilled);
    const isBeyond = tokens < 1;
    this.#buckets.delete(client); // the one that comes is the youngest
    if (this.#buckets.size >= rememberedClients) this.#forgetOldest();
    this.#buckets.set(client, { tokens: isBeyond ? tokens : tokens - 1, at, isBeyond });
    if (!isBeyond) return "ok";
    return before?.isBeyond ? "beyond" : "first beyond";
  }

  /** Whether the next one would be beyond; counts nothing. */
  isSpent(client: string): boolean {
    const before = this.#buckets.get(client);
    if (before === undefined) return false;
    return before.tokens + ((this.#now() - before.at) * this.#perSecond) / 1000 < 1;
  }

  #forgetOldest(): void {
    for (const oldest of this.#buckets.keys()) {
      this.#buckets.delete(oldest);
      return;
    }
  }
}
