const slabBytes = 1024 * 1024;
/** How many slabs are kept that nobody uses. */
const spareSlabs = 8;

/**
 * Memory that segments are written to, one behind the other. It is shared: another thread reads what was written where it
 * stands. What was written stays as it is while somebody uses it.
 */
export class Slab {
  readonly bytes: Buffer;
  /** The messages that lie in it, the segments on their way to the disk, and who writes to it. */
  users = 0;

  constructor(length: number) {
    this.bytes = Buffer.from(new SharedArrayBuffer(length));
  }
}

/**
 * Hot path. Writes the records of one segment after the other. Numbers are base 128, low groups first, up to 2^53 - 1. Slabs
 * are used again: on a virtual machine it costs more to touch new memory than to write to it.
 */
export class RecordWriter {
  /** Where the latest record stands, up to `end`. */
  slab = new Slab(slabBytes);
  end = 0;
  readonly #spares: Slab[] = [];
  /** Where the records of this segment begin. */
  #start = 0;

  constructor() {
    this.slab.users = 1;
  }

  /** Of the records of this segment. */
  get length(): number {
    return this.end - this.#start;
  }

  byte(value: number): void {
    const buffer = this.#room(1);
    buffer[this.end++] = value;
  }

  number(value: number): void {
    const buffer = this.#room(8);
    let at = this.end;
    let rest = value;
    while (rest >= 0x8000_0000) {
      buffer[at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    let low = rest | 0; // from here on in integers
    while (low >= 128) {
      buffer[at++] = (low & 127) | 128;
      low >>= 7;
    }
    buffer[at++] = low;
    this.end = at;
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.number(length);
    const buffer = this.#room(length);
    this.end += buffer.write(value, this.end);
  }

  bytes(value: Buffer, start = 0, end = value.length): void {
    this.number(end - start);
    this.copy(value, start, end);
  }

  /** Without their length. */
  copy(value: Buffer, start: number, end: number): void {
    const buffer = this.#room(end - start);
    this.end += value.copy(buffer, this.end, start, end);
  }

  /** What was written since the last call. */
  take(): Buffer {
    const written = this.slab.bytes.subarray(this.#start, this.end);
    this.#start = this.end;
    return written;
  }

  /** One user less. */
  leave(slab: Slab): void {
    slab.users -= 1;
    if (slab.users > 0 || slab.bytes.length > slabBytes) return;
    if (this.#spares.length < spareSlabs) this.#spares.push(slab);
  }

  /** A buffer with that much room at `end`, which may be another place than before. */
  #room(bytes: number): Buffer {
    const { slab } = this;
    if (this.end + bytes <= slab.bytes.length) return slab.bytes;
    const { length } = this;
    const needed = length + bytes;
    const next =
      needed > slabBytes ? new Slab(2 * needed) : (this.#spares.pop() ?? new Slab(slabBytes));
    slab.bytes.copy(next.bytes, 0, this.#start, this.end);
    next.users = 1;
    this.slab = next;
    this.#start = 0;
    this.end = length;
    this.leave(slab);
    return next.bytes;
  }
}
