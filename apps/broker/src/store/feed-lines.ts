import type { FeedBody } from "@wardmq/feed";
import type { Journal } from "./journal.ts";
import type { FoundFeedLine } from "./replay.ts";
import { Stored } from "./segment.ts";

/** That control is alive is kept at most so often: revocation data is good for a day. */
const aliveMs = 60_000;

/** One signed line of the feed, as it came. */
class StoredLine extends Stored {
  readonly serial: number;
  readonly isFirst: boolean;
  readonly line: string;
  readonly #journal: Journal;

  constructor(serial: number, isFirst: boolean, line: string, journal: Journal) {
    super();
    this.serial = serial;
    this.isFirst = isFirst;
    this.line = line;
    this.#journal = journal;
  }

  override rewrite(): void {
    this.#journal.feedLine(this, this.serial, this.isFirst, this.line);
  }
}

/** The last good feed: a snapshot, the changes since, and that control was alive after them. */
export class FeedLines {
  readonly #journal: Journal;
  #lines: StoredLine[] = [];
  #alive: StoredLine | undefined;
  #aliveAt = Number.NEGATIVE_INFINITY;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** What was found at the start lives on until a snapshot takes its place. */
  restore(found: readonly FoundFeedLine[]): void {
    for (const { serial, isFirst, line, segment, bytes } of found) {
      const stored = new StoredLine(serial, isFirst, line, this.#journal);
      this.#journal.adopt(stored, segment, bytes);
      this.#lines.push(stored);
    }
  }

  /** The lines of a message that was applied, in their order. */
  keep(lines: readonly string[], type: FeedBody["type"]): void {
    if (type === "alive") {
      for (const line of lines) this.#keepAlive(line);
      return;
    }
    if (type === "snapshot") {
      for (const former of this.#lines) this.#journal.gone(former);
      if (this.#alive !== undefined) this.#journal.gone(this.#alive);
      this.#alive = undefined;
      this.#lines = [];
    }
    for (const [i, line] of lines.entries()) {
      this.#lines.push(this.#store(line, type === "snapshot" && i === 0));
    }
  }

  #keepAlive(line: string): void {
    const now = performance.now();
    if (now - this.#aliveAt < aliveMs) return;
    this.#aliveAt = now;
    if (this.#alive !== undefined) this.#journal.gone(this.#alive);
    this.#alive = this.#store(line, false);
  }

  #store(line: string, isFirst: boolean): StoredLine {
    const stored = new StoredLine(this.#journal.nextId(), isFirst, line, this.#journal);
    stored.rewrite();
    return stored;
  }
}
