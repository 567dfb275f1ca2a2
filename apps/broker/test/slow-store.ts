import { MemoryJournalStore } from "../src/store/memory-journal-store.ts";

/** A store whose writing takes until the test says so: what it has not finished is not on disk. */
export class SlowStore extends MemoryJournalStore {
  readonly #waiting: (() => void)[] = [];

  override append(...args: Parameters<MemoryJournalStore["append"]>): void {
    this.#waiting.push(() => super.append(...args));
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get isBusy(): boolean {
    return this.#waiting.length > 0;
  }

  finish(): void {
    this.#waiting.shift()?.();
  }

  /** What another process finds: only what was finished. */
  survivor(): SlowStore {
    const next = new SlowStore();
    for (const [number, bytes] of this.segments) next.segments.set(number, bytes);
    return next;
  }
}
