/**
 * What peers make the broker hold, in bytes, counted where it is taken and given back. Limits are checked against these
 * counts, never against the size of the process: a decision does not depend on when memory is collected.
 */
export class MemoryBudget {
  /** Messages waiting for sessions. */
  queued = 0;
  /** Output that a peer does not read. */
  output = 0;
  /** Packets that have arrived in part. */
  partial = 0;
  /** Sessions, connections and subscriptions, at a flat price each. */
  state = 0;
  /** Set by whoever owns the retained store. */
  retained: () => number = () => 0;
  /** Set by whoever owns the filters of subscriptions. */
  filters: () => number = () => 0;
  #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  set limit(bytes: number) {
    this.#limit = bytes;
  }

  get used(): number {
    return this.queued + this.output + this.partial + this.state + this.retained() + this.filters();
  }

  /** Over the limit, and packets that have arrived in part are much of it. */
  get isOverByParts(): boolean {
    return this.partial > this.#limit / 4 && this.isOver;
  }

  get isOver(): boolean {
    return this.used > this.#limit;
  }
}

/** Flat prices, measured with `npm run bench` and rounded up. */
export const price = { connection: 16_384, session: 1_024, subscription: 512 } as const;
