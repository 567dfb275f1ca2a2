/** A segment as the store gives it back; without bytes when what lies in its place cannot be opened. */
export interface StoredSegment {
  readonly number: number;
  readonly bytes: Buffer | undefined;
  /** On disk. */
  readonly storedBytes: number;
  /** Why there are no bytes: one sentence. */
  readonly why?: string;
}

/** What the store has found out about itself while it was read. */
export interface StoreReport {
  /** Random, and new whenever the store begins anew; absent where it outlives nothing. */
  readonly incarnation?: string;
  /** It is an older copy of itself: the latest segment there was, and the latest there is. */
  readonly rolledBack?: { readonly was: number; readonly is: number };
  /** What is wrong with it beside its segments, in sentences for the operator. */
  readonly faults: readonly string[];
}

/**
 * The port of the journal: where segments are kept, sealed. A segment is kept whole or not at all, and once `append` has
 * said so it outlives the process and the power.
 */
export interface JournalStore {
  /**
   * Hands over every segment once, by rising numbers, before the first `append`. `progress` is the share that was read,
   * 0 to 1. Rejects when nothing can be read or kept at all.
   */
  read(onSegment: (segment: StoredSegment, progress: number) => void): Promise<StoreReport>;
  /**
   * Keeps a segment under a number above all others, and in the same act gives up those before `keepFrom`. Calls `kept`
   * with the bytes it takes, or `refused` when nothing was kept; until then `bytes` stay as they are. It may be called
   * again before that: answers come in the order of the calls, and none is kept before the one that was refused.
   */
  append(
    number: number,
    bytes: Buffer,
    keepFrom: number,
    kept: (storedBytes: number) => void,
    refused: (error: Error) => void,
  ): void;
  close(): Promise<void>;
}
