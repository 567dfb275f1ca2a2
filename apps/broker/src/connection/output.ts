import type { Transport } from "../door/transport.ts";
import type { MemoryBudget } from "./memory-budget.ts";

const smallBytes = 4_096;
const largeBytes = 65_536;
const pooledAtMost = 256;

/** Output buffers between two uses; an idle connection holds none. */
class BufferPool {
  readonly #small: Buffer[] = [];
  readonly #large: Buffer[] = [];

  take(bytes: number): Buffer {
    if (bytes <= smallBytes) return this.#small.pop() ?? Buffer.allocUnsafeSlow(smallBytes);
    if (bytes <= largeBytes) return this.#large.pop() ?? Buffer.allocUnsafeSlow(largeBytes);
    return Buffer.allocUnsafeSlow(bytes);
  }

  giveBack(buffer: Buffer): void {
    if (buffer.length === smallBytes && this.#small.length < pooledAtMost) this.#small.push(buffer);
    else if (buffer.length === largeBytes && this.#large.length < pooledAtMost) {
      this.#large.push(buffer);
    }
  }
}

const pool = new BufferPool();

/** Writes every connection's output once at the end of the event loop's turn: one TLS record for many packets. */
export class Flusher {
  #dirty: Output[] = [];
  readonly #failed: (error: unknown) => void;
  readonly #flush = () => this.#writeAll();

  /** `failed` hears what a transport throws; the other connections are written all the same. */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  add(output: Output): void {
    if (this.#dirty.length === 0) setImmediate(this.#flush);
    this.#dirty.push(output);
  }

  #writeAll(): void {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const output of dirty) {
      try {
        output.flush();
      } catch (error) {
        this.#failed(error);
      }
    }
  }
}

/** What waits to be written to one connection. */
export class Output {
  /** Where the next byte goes in the buffer that `room` returned. */
  end = 0;
  #buffer: Buffer | undefined;
  #isDirty = false;
  /** The transport asked to stop until it has drained. */
  #isBlocked = false;
  #waiting: Buffer[] | undefined;
  #waitingBytes = 0;
  readonly #transport: Transport;
  readonly #flusher: Flusher;
  readonly #budget: MemoryBudget;

  constructor(transport: Transport, flusher: Flusher, budget: MemoryBudget) {
    this.#transport = transport;
    this.#flusher = flusher;
    this.#budget = budget;
  }

  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** Bytes that wait behind a peer that does not read; 0 while it does. */
  get blockedBytes(): number {
    return this.#isBlocked ? this.#waitingBytes + this.end + this.#transport.pendingBytes : 0;
  }

  /** Hot path. A buffer with room for that many bytes at `end`; the caller writes them and moves `end`. */
  room(bytes: number): Buffer {
    const buffer = this.#buffer;
    if (buffer !== undefined && this.end + bytes <= buffer.length) return buffer;
    return this.#makeRoom(bytes);
  }

  send(bytes: Uint8Array): void {
    this.room(bytes.length).set(bytes, this.end);
    this.end += bytes.length;
  }

  flush(): void {
    this.#isDirty = false;
    if (!this.#isBlocked && this.end > 0) this.#write();
  }

  /** The transport takes bytes again. */
  drained(): void {
    this.#isBlocked = false;
    while (!this.#isBlocked && this.#waiting !== undefined) {
      const bytes = this.#waiting.shift();
      if (bytes === undefined) {
        this.#waiting = undefined;
        break;
      }
      this.#waitingBytes -= bytes.length;
      this.#budget.output -= bytes.length;
      this.#isBlocked = !this.#transport.write(bytes);
    }
    if (!this.#isBlocked && this.end > 0) this.#write();
  }

  /** Hands everything to the transport, whether it wants it or not; what follows is its end. */
  finish(): void {
    for (const bytes of this.#waiting ?? []) this.#transport.write(bytes);
    if (this.end > 0) this.#write();
    this.discard();
  }

  /** Forgets what waits; the connection is gone. */
  discard(): void {
    this.#budget.output -= this.#waitingBytes;
    this.#waiting = undefined;
    this.#waitingBytes = 0;
    this.#buffer = undefined;
    this.end = 0;
  }

  #makeRoom(bytes: number): Buffer {
    const full = this.#buffer;
    const needed = this.end + bytes;
    if (full !== undefined && full.length < largeBytes && needed <= largeBytes) {
      const larger = pool.take(largeBytes);
      full.copy(larger, 0, 0, this.end);
      pool.giveBack(full);
      this.#buffer = larger;
      return larger;
    }
    if (full !== undefined && this.end > 0) {
      if (this.#isBlocked) this.#park(full);
      else this.#write();
    }
    const buffer = pool.take(bytes);
    this.#buffer = buffer;
    this.end = 0;
    if (!this.#isDirty) {
      this.#isDirty = true;
      this.#flusher.add(this);
    }
    return buffer;
  }

  #park(full: Buffer): void {
    this.#waiting ??= [];
    this.#waiting.push(full.subarray(0, this.end));
    this.#waitingBytes += this.end;
    this.#budget.output += this.end;
    this.#buffer = undefined;
    this.end = 0;
  }

  #write(): void {
    const buffer = this.#buffer as Buffer; // INVARIANT: end > 0, so there is one
    const isFreeAfterwards = this.#transport.pendingBytes === 0;
    this.#isBlocked = !this.#transport.write(buffer.subarray(0, this.end));
    if (isFreeAfterwards) pool.giveBack(buffer);
    this.#buffer = undefined;
    this.end = 0;
  }
}
