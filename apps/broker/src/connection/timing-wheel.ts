/** Something that wakes up once at a time. The wheel links entries through these fields: no allocation per timer. */
export abstract class Timed {
  wheelPrevious: Timed | undefined;
  wheelNext: Timed | undefined;
  /** The tick this entry is due at; 0 when it is not in the wheel. */
  wheelTick = 0;
  abstract due(): void;
}

const slots = 4096;

/**
 * One timer for all connections, sessions and wills. An entry is due within one tick after its time; moving an entry
 * costs a few assignments. Entries further away than one turn of the wheel are passed over until their turn comes.
 */
export class TimingWheel {
  readonly tickMs: number;
  /** Ticks since the start; cheap to read on a hot path. */
  now = 1;
  readonly #heads: (Timed | undefined)[] = new Array(slots).fill(undefined);
  readonly #timer: NodeJS.Timeout;
  readonly #clock: () => number;
  readonly #failed: (error: unknown) => void;
  readonly #startedAt: number;

  /** `clock` gives monotonic milliseconds; `failed` hears what an entry throws, and the others are due all the same. */
  constructor(clock: () => number, failed: (error: unknown) => void, tickMs = 50) {
    this.#clock = clock;
    this.#failed = failed;
    this.#startedAt = clock();
    this.tickMs = tickMs;
    this.#timer = setInterval(() => this.#turn(), tickMs);
  }

  /** Makes `entry` due `ms` from now, wherever it stood before. */
  schedule(entry: Timed, ms: number): void {
    if (entry.wheelTick !== 0) this.cancel(entry);
    // By the clock and not by `now`, which stands still while the event loop is busy: nothing is due early.
    const at = this.#clock() - this.#startedAt + ms;
    const tick = Math.max(this.now, Math.ceil(at / this.tickMs)) + 1;
    entry.wheelTick = tick;
    const slot = tick % slots;
    const head = this.#heads[slot];
    entry.wheelPrevious = undefined;
    entry.wheelNext = head;
    if (head !== undefined) head.wheelPrevious = entry;
    this.#heads[slot] = entry;
  }

  cancel(entry: Timed): void {
    if (entry.wheelTick === 0) return;
    const { wheelPrevious: previous, wheelNext: next } = entry;
    if (previous === undefined) this.#heads[entry.wheelTick % slots] = next;
    else previous.wheelNext = next;
    if (next !== undefined) next.wheelPrevious = previous;
    entry.wheelPrevious = undefined;
    entry.wheelNext = undefined;
    entry.wheelTick = 0;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #turn(): void {
    const target = Math.floor((this.#clock() - this.#startedAt) / this.tickMs) + 1;
    const due: Timed[] = [];
    while (this.now < target) {
      this.now += 1;
      for (
        let entry = this.#heads[this.now % slots];
        entry !== undefined;
        entry = entry.wheelNext
      ) {
        if (entry.wheelTick <= this.now) due.push(entry);
      }
      for (const entry of due) {
        if (entry.wheelTick === 0 || entry.wheelTick > this.now) continue; // an earlier one moved it
        this.cancel(entry);
        this.#due(entry);
      }
      due.length = 0;
    }
  }

  #due(entry: Timed): void {
    try {
      entry.due();
    } catch (error) {
      this.#failed(error);
    }
  }
}
