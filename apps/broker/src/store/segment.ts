/**
 * One batch of records, committed as a whole: a row of the journal. It knows what still lives in it, so that the oldest
 * ones can be given up.
 */
export class Segment {
  readonly number: number;
  /** On disk; 0 until it is committed. */
  storedBytes = 0;
  /** The latest of what lives here. */
  newest: Stored | undefined;

  constructor(number: number) {
    this.number = number;
  }

  get isDead(): boolean {
    return this.newest === undefined;
  }
}

/**
 * Something that has to be found again after a restart: it lives in the segment of the record that says all of it, in a
 * list that is linked through its fields. What later records say of it needs no place: they stand behind.
 */
export abstract class Stored {
  segment: Segment | undefined;
  /** Of its record, for what the journal holds in all. */
  storedBytes = 0;
  #older: Stored | undefined;
  #newer: Stored | undefined;

  /** Writes all of it anew, at the end of the journal, because its segment is to be given up. */
  abstract rewrite(): void;

  /** Moves from wherever it lived to `segment`. */
  settleIn(segment: Segment, bytes: number): void {
    this.leave();
    this.segment = segment;
    this.storedBytes = bytes;
    this.#older = segment.newest;
    if (segment.newest !== undefined) segment.newest.#newer = this;
    segment.newest = this;
  }

  /** Needs no place any more. Returns the bytes it gives back. */
  leave(): number {
    const { segment, storedBytes } = this;
    if (segment === undefined) return 0;
    if (this.#newer === undefined) segment.newest = this.#older;
    else this.#newer.#older = this.#older;
    if (this.#older !== undefined) this.#older.#newer = this.#newer;
    this.#older = undefined;
    this.#newer = undefined;
    this.segment = undefined;
    this.storedBytes = 0;
    return storedBytes;
  }
}
