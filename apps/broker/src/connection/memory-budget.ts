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
  /** The retained store, which counts for itself. */
  retained: { readonly bytes: number; readonly treeBytes: number } = { bytes: 0, treeBytes: 0 };
  /** The filters of subscriptions, which count for themselves. */
  filters: { readonly bytes: number } = { bytes: 0 };
  #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  set limit(bytes: number) {
    this.#limit = bytes;
  }

  /** Hot path. */
  get used(): number {
    const { retained, filters } = this;
    const held = retained.bytes + retained.treeBytes + filters.bytes;
    return this.queued + this.output + this.partial + this.state + held;
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
