const firstBytes = 65_536;
/** Buffers that are used again, and how large one of them may have grown. */
const spares = 8;
const spareBytes = 1024 * 1024;

/**
 * A growing buffer for the records of one segment. Numbers are base 128, low groups first, up to 2^53 - 1. The memory is
 * shared: another thread reads what was written where it stands, and the same few buffers go round.
 */
export class RecordWriter {
  readonly #spares: Buffer[] = [];
  #buffer = newBuffer(firstBytes);
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
    this.copy(value, start, end);
  }

  /** Without their length. */
  copy(value: Buffer, start: number, end: number): void {
    this.length += value.copy(this.#room(end - start), this.length, start, end);
  }

  /** What was written. It stays as it is until `giveBack`; what is written next stands elsewhere. */
  take(): Buffer {
    const written = this.#buffer.subarray(0, this.length);
    this.#buffer = this.#spares.pop() ?? newBuffer(firstBytes);
    this.length = 0;
    return written;
  }

  /** Nobody reads any more what was taken. */
  giveBack({ buffer }: Buffer): void {
    if (buffer.byteLength > spareBytes || this.#spares.length >= spares) return;
    this.#spares.push(Buffer.from(buffer));
  }

  #room(bytes: number): Buffer {
    const needed = this.length + bytes;
    if (needed > this.#buffer.length) {
      const larger = newBuffer(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, this.length);
      this.#buffer = larger;
    }
    return this.#buffer;
  }
}

function newBuffer(bytes: number): Buffer {
  return Buffer.from(new SharedArrayBuffer(bytes));
}
