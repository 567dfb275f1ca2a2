import type { FeedBody } from "@wardmq/feed";
import type { Journal } from "./journal.ts";
import type { FoundFeedLine } from "./replay.ts";
import { Stored } from "./segment.ts";

/** That control is alive is kept at most so often: revocation data is good for a day. */
const aliveMs = 60_000;
/** A small world is not sent anew for every few changes. */
const fewCharacters = 4 * 1024 * 1024;

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
  #snapshotCharacters = 0;
  #changeCharacters = 0;
  readonly #few: number;

  /** `few`: changes of so many characters never want a snapshot. */
  constructor(journal: Journal, few = fewCharacters) {
    this.#journal = journal;
    this.#few = few;
  }

  /** What was found at the start lives on until a snapshot takes its place. */
  restore(found: readonly FoundFeedLine[]): void {
    for (const { serial, isFirst, line, segment, bytes } of found) {
      const stored = new StoredLine(serial, isFirst, line, this.#journal);
      this.#journal.adopt(stored, segment, bytes);
      this.#lines.push(stored);
      this.#snapshotCharacters += line.length;
    }
  }

  /**
   * The lines of a message that was applied, in their order. True when the changes have grown beyond the snapshot that
   * they follow: a new one is wanted, or they would grow for as long as control runs.
   */
  keep(lines: readonly string[], type: FeedBody["type"]): boolean {
    if (type === "alive") {
      for (const line of lines) this.#keepAlive(line);
      return false;
    }
    const characters = lines.reduce((sum, line) => sum + line.length, 0);
    if (type === "snapshot") {
      this.#snapshotCharacters = characters;
      this.#changeCharacters = 0;
      for (const former of this.#lines) this.#journal.gone(former);
      if (this.#alive !== undefined) this.#journal.gone(this.#alive);
      this.#alive = undefined;
      this.#lines = [];
    }
    for (const [i, line] of lines.entries()) {
      this.#lines.push(this.#store(line, type === "snapshot" && i === 0));
    }
    if (type === "snapshot") return false;
    const most = Math.max(this.#few, this.#snapshotCharacters);
    const wasLong = this.#changeCharacters > most;
    this.#changeCharacters += characters;
    return !wasLong && this.#changeCharacters > most;
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
