/** Who waits to be read again. */
export interface Reader {
  nextRound(): void;
}

/**
 * Reads busy readers in rounds. A reader acknowledges each message on its own, and waking up for one PUBACK costs more
 * than all that is then done with it: what many acknowledge meanwhile is taken together. One timer for all, and only
 * while somebody waits.
 */
export class Rounds {
  #waiting = new Set<Reader>();
  readonly #ms: number;
  readonly #failed: (error: unknown) => void;
  readonly #begin = () => this.#next();

  /** `ms` is how long a round lasts; `failed` hears what a reader throws, and the others are read all the same. */
  constructor(failed: (error: unknown) => void, ms = 10) {
    this.#ms = ms;
    this.#failed = failed;
  }

  /** Hot path. Calls `nextRound` once, when the next round begins. */
  join(reader: Reader): void {
    if (this.#waiting.size === 0) setTimeout(this.#begin, this.#ms);
    this.#waiting.add(reader);
  }

  #next(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const reader of waiting) {
      try {
        reader.nextRound();
      } catch (error) {
        this.#failed(error);
      }
    }
  }
}
