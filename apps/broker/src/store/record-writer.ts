const firstBytes = 65_536;
/** A buffer that has grown beyond is given back. */
const keptBytes = 4 * 1024 * 1024;

/** A growing buffer for the records of one segment. Numbers are base 128, low groups first, up to 2^53 - 1. */
export class RecordWriter {
  #buffer = Buffer.allocUnsafeSlow(firstBytes);
  length = 0;

  byte(value: number): void {
    this.#room(1)[this.length++] = value;
  }

  number(value: number): void {
    const buffer = this.#room(8);
    let rest = value;
    while (rest >= 128) {
      buffer[this.length++] = (rest % 128) | 128;
      rest = rest < 0x8000_0000 ? rest >>> 7 : Math.floor(rest / 128);
    }
    buffer[this.length++] = rest;
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.number(length);
    this.length += this.#room(length).write(value, this.length);
  }

  bytes(value: Buffer, start = 0, end = value.length): void {
    this.number(end - start);
    this.length += value.copy(this.#room(end - start), this.length, start, end);
  }

  /** What was written, in a buffer of its own and of its size: it may be handed to another thread. */
  take(): Buffer {
    const written = Buffer.allocUnsafeSlow(this.length);
    this.#buffer.copy(written, 0, 0, this.length);
    if (this.#buffer.length > keptBytes) this.#buffer = Buffer.allocUnsafeSlow(firstBytes);
    this.length = 0;
    return written;
  }

  #room(bytes: number): Buffer {
    const needed = this.length + bytes;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, this.length);
      this.#buffer = larger;
    }
    return this.#buffer;
  }
}
