/** A segment that opened and does not hold what we write: a mistake of ours, or of another version. */
export class RecordFault extends Error {}

/** Reads what a RecordWriter wrote; throws a RecordFault at its end. */
export class RecordReader {
  readonly buffer: Buffer;
  #at = 0;

  constructor(buffer: Buffer) {
    this.buffer = buffer;
  }

  /** Where the next byte is read. */
  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.buffer.length;
  }

  byte(): number {
    const value = this.buffer[this.#at];
    if (value === undefined) throw new RecordFault("a record is cut off");
    this.#at += 1;
    return value;
  }

  number(): number {
    let value = 0;
    for (let factor = 1; factor < 2 ** 56; factor *= 128) {
      const group = this.byte();
      value += (group & 127) * factor;
      if (group < 128) return value;
    }
    throw new RecordFault("a number is too long");
  }

  text(): string {
    const start = this.skipBytes();
    return this.buffer.toString("utf8", start, this.#at);
  }

  /** Not a copy: whoever keeps it copies it. */
  bytes(): Buffer {
    const start = this.skipBytes();
    return this.buffer.subarray(start, this.#at);
  }

  /** Passes bytes over: they stand in `buffer`, and end at `at`. Returns where they begin. */
  skipBytes(): number {
    const length = this.number();
    const start = this.#at;
    if (start + length > this.buffer.length) throw new RecordFault("a record is cut off");
    this.#at = start + length;
    return start;
  }
}
