import { FeedError } from "./feed-error.ts";

const newline = 0x0a;

/**
 * Cuts a stream of bytes into lines of UTF-8, for one connection. A line may come in any number of pieces; one over
 * `maximumBytes` is refused before more of it is kept. After a refusal the splitter is of no more use.
 */
export class LineSplitter {
  readonly #maximumBytes: number;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  #pieces: Uint8Array[] = [];
  #kept = 0;

  constructor(maximumBytes: number) {
    this.#maximumBytes = maximumBytes;
  }

  /** The lines that `chunk` completes, without their ends. */
  push(chunk: Uint8Array): readonly string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      this.#keep(chunk.subarray(start, end));
      lines.push(this.#take());
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return lines;
  }

  #keep(piece: Uint8Array): void {
    this.#kept += piece.length;
    if (this.#kept > this.#maximumBytes) throw new FeedError("ERR_FEED_LINE_TOO_LONG");
    if (piece.length > 0) this.#pieces.push(piece);
  }

  #take(): string {
    const line = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#kept = 0;
    try {
      return this.#decoder.decode(line);
    } catch {
      throw new FeedError("ERR_FEED_LINE", "not UTF-8");
    }
  }
}
