import type { JournalStore, StoredSegment, StoreReport } from "./journal-store.ts";

/** Segments in memory: for tests, where the test decides what survives. */
export class MemoryJournalStore implements JournalStore {
  readonly segments = new Map<number, Buffer>();
  /** While it is set, nothing is kept. */
  fault: Error | undefined;
  /** The segment that was refused: none behind it is kept before it. */
  #missing: number | undefined;

  async read(onSegment: (segment: StoredSegment, progress: number) => void): Promise<StoreReport> {
    let done = 0;
    for (const [number, bytes] of this.segments) {
      done += 1;
      const segment = { number, bytes, storedBytes: bytes.length };
      onSegment(segment, done / this.segments.size);
    }
    return { faults: [] };
  }

  append(
    number: number,
    bytes: Buffer,
    keepFrom: number,
    kept: (storedBytes: number) => void,
    refused: (error: Error) => void,
  ): void {
    const isBehind = this.#missing !== undefined && number > this.#missing;
    if (this.fault !== undefined || isBehind) {
      this.#missing ??= number;
      refused(this.fault ?? new Error(`segment ${this.#missing} comes first`));
      return;
    }
    this.#missing = undefined;
    this.segments.set(number, Buffer.from(bytes));
    for (const former of this.segments.keys()) {
      if (former >= keepFrom) break;
      this.segments.delete(former);
    }
    kept(bytes.length);
  }

  async close(): Promise<void> {}
}
