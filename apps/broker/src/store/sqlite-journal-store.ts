import { Worker } from "node:worker_threads";
import type { DataKey } from "@wardmq/sealing";
import type { JournalStore, StoredSegment, StoreReport } from "./journal-store.ts";

/** What the worker is made with. */
export interface SqliteJournalOptions {
  /** Of the folder that the database lies in, which exists. */
  readonly folder: string;
  readonly keys: readonly DataKey[];
  /** The key that seals. */
  readonly currentKey: string;
  /** The random id of this deployment's store, which every row is bound to. */
  readonly store: string;
  /** How many pages the database may have, for a test of a full disk. */
  readonly maximumPages?: number;
}

/** From us to the worker. */
export type ToWorker =
  | { readonly type: "read" }
  | {
      readonly type: "append";
      readonly number: number;
      /** What the bytes lie in, where that is not the same as of the segment before: each time it is sent costs its size. */
      readonly memory?: ArrayBufferLike;
      readonly start: number;
      readonly length: number;
      readonly keepFrom: number;
    }
  | { readonly type: "rotate"; readonly key: DataKey }
  | { readonly type: "forget"; readonly keyId: string }
  | { readonly type: "close" };

/** From the worker to us: an answer for each message, in their order, with a `segment` for each row before that of a read. */
export type FromWorker =
  | {
      readonly type: "segment";
      readonly number: number;
      readonly bytes: Uint8Array | undefined;
      readonly storedBytes: number;
      readonly why: string;
      readonly progress: number;
    }
  | { readonly type: "read"; readonly report: StoreReport }
  | { readonly type: "kept"; readonly storedBytes: number }
  | { readonly type: "done" }
  | { readonly type: "refused"; readonly why: string };

interface Asked {
  readonly answered: (message: FromWorker) => void;
  readonly refused: (error: Error) => void;
}

/** The store could not be opened, or refuses to keep; the message is for the operator. */
export class StoreError extends Error {}

/**
 * Segments in a SQLite database, sealed, by a worker: one row for each, one transaction, one fsync. The event loop
 * waits for nothing.
 */
export class SqliteJournalStore implements JournalStore {
  readonly #worker: Worker;
  readonly #asked: Asked[] = [];
  /** What the segment lies in that the worker was given last. */
  #memory: ArrayBufferLike | undefined;
  #onSegment: ((segment: StoredSegment, progress: number) => void) | undefined;
  #fault: Error | undefined;
  #isClosed = false;

  constructor(options: SqliteJournalOptions) {
    this.#worker = new Worker(new URL("./sqlite-worker.ts", import.meta.url), {
      workerData: options,
    });
    this.#worker.on("message", (message: FromWorker) => this.#hear(message));
    this.#worker.on("error", (error) => this.#broken(error));
    this.#worker.on("exit", () => this.#broken(new StoreError("the store's worker has ended")));
  }

  read(onSegment: (segment: StoredSegment, progress: number) => void): Promise<StoreReport> {
    this.#onSegment = onSegment;
    return new Promise((resolve, reject) => {
      const answered = (message: FromWorker) => {
        this.#onSegment = undefined; // it holds everything that was read
        if (message.type === "read") resolve(message.report);
      };
      this.#ask({ type: "read" }, { answered, refused: reject });
    });
  }

  append(
    number: number,
    bytes: Buffer,
    keepFrom: number,
    kept: (storedBytes: number) => void,
    refused: (error: Error) => void,
  ): void {
    const answered = (message: FromWorker) => {
      if (message.type === "kept") kept(message.storedBytes);
    };
    const { buffer, byteOffset: start, length } = bytes;
    const isThere = buffer === this.#memory && buffer instanceof SharedArrayBuffer;
    const memory = isThere ? {} : { memory: buffer };
    this.#memory = buffer;
    this.#ask(
      { type: "append", number, ...memory, start, length, keepFrom },
      { answered, refused },
    );
  }

  /** Seals with this key from here on. */
  rotate(key: DataKey): Promise<void> {
    return this.#do({ type: "rotate", key });
  }

  /** A former key opens nothing any more. */
  forget(keyId: string): Promise<void> {
    return this.#do({ type: "forget", keyId });
  }

  async close(): Promise<void> {
    try {
      await this.#do({ type: "close" });
    } finally {
      this.#isClosed = true;
    }
  }

  #do(message: ToWorker): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#ask(message, { answered: () => resolve(), refused: reject });
    });
  }

  #ask(message: ToWorker, asked: Asked): void {
    if (this.#fault !== undefined) {
      asked.refused(this.#fault);
      return;
    }
    this.#asked.push(asked);
    this.#worker.postMessage(message);
  }

  #hear(message: FromWorker): void {
    if (message.type === "segment") {
      const { number, bytes, storedBytes, why, progress } = message;
      const found =
        bytes === undefined ? undefined : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      this.#onSegment?.({ number, bytes: found, storedBytes, why }, progress);
      return;
    }
    const asked = this.#asked.shift();
    if (message.type === "refused") asked?.refused(new StoreError(message.why));
    else asked?.answered(message);
  }

  #broken(error: Error): void {
    if (this.#isClosed) return;
    this.#fault ??= error;
    for (const { refused } of this.#asked.splice(0)) refused(this.#fault);
  }
}
