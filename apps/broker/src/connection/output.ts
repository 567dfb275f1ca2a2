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

/** What has committed, and who waits for more: the journal. */
export interface CommitGate {
  readonly committed: number;
  whenCommitted(waiter: { committed(): void }): void;
}

/** Bytes on their way out; they may leave once `mark` is committed. */
interface Parked {
  readonly buffer: Buffer;
  readonly end: number;
  readonly mark: number;
}

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
  /** The commit that what is in the buffer has to wait for. */
  #mark = 0;
  #isWaitingForCommit = false;
  #waiting: Parked[] | undefined;
  #waitingBytes = 0;
  /** What to do when the last words have been handed over. */
  #finished: (() => void) | undefined;
  readonly #transport: Transport;
  readonly #flusher: Flusher;
  readonly #budget: MemoryBudget;
  readonly #gate: CommitGate;

  constructor(transport: Transport, flusher: Flusher, budget: MemoryBudget, gate: CommitGate) {
    this.#transport = transport;
    this.#flusher = flusher;
    this.#budget = budget;
    this.#gate = gate;
  }

  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** Bytes that wait behind a peer that does not read; 0 while it does. */
  get blockedBytes(): number {
    return this.#isBlocked ? this.#waitingBytes + this.end + this.#transport.pendingBytes : 0;
  }

  /** Whether something waits for a commit. */
  get isHeld(): boolean {
    return this.#mark > this.#gate.committed && (this.end > 0 || this.#waiting !== undefined);
  }

  /** Hot path. What is written from here on leaves after this commit, and whatever follows behind it. */
  hold(mark: number): void {
    this.#mark = mark;
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
    this.#writeWaiting();
  }

  /** The journal has committed more. */
  committed(): void {
    this.#isWaitingForCommit = false;
    this.#writeWaiting();
  }

  /**
   * Hands everything to the transport, whether it wants it or not, as soon as it is committed, and then calls
   * `finished`; nothing is written any more.
   */
  finish(finished: () => void): void {
    if (this.end > 0) this.#park(this.#buffer as Buffer);
    this.#finished = finished;
    this.#writeWaiting();
  }

  /** Forgets what waits; the connection is gone. */
  discard(): void {
    this.#budget.output -= this.#waitingBytes;
    this.#waiting = undefined;
    this.#waitingBytes = 0;
    this.#finished = undefined;
    this.#buffer = undefined;
    this.end = 0;
  }

  /** Forgets what waits behind a peer that does not read. */
  discardUnread(): void {
    if (this.#isBlocked) this.discard();
  }

  /** Forgets what waits for a commit that will not come. */
  discardHeld(): void {
    const { committed } = this.#gate;
    if (this.#mark > committed) {
      this.#buffer = undefined;
      this.end = 0;
    }
    const kept = this.#waiting?.filter(({ mark }) => mark <= committed) ?? [];
    this.#budget.output -= this.#waitingBytes;
    this.#waitingBytes = kept.reduce((sum, { end }) => sum + end, 0);
    this.#budget.output += this.#waitingBytes;
    this.#waiting = kept.length === 0 ? undefined : kept;
    this.#mark = 0;
  }

  /** What is parked leaves in its order: as far as the peer reads, and the journal has committed. */
  #writeWaiting(): void {
    while (this.#waiting !== undefined && (!this.#isBlocked || this.#finished !== undefined)) {
      const [first] = this.#waiting;
      if (first === undefined) this.#waiting = undefined;
      else if (first.mark > this.#gate.committed) {
        this.#waitForCommit();
        return;
      } else {
        this.#waiting.shift();
        this.#waitingBytes -= first.end;
        this.#budget.output -= first.end;
        this.#send(first.buffer, first.end);
      }
    }
    if (this.#finished !== undefined) {
      const finished = this.#finished;
      this.discard();
      finished();
    } else if (!this.#isBlocked && this.end > 0) this.#write();
  }

  #waitForCommit(): void {
    if (this.#isWaitingForCommit) return;
    this.#isWaitingForCommit = true;
    this.#gate.whenCommitted(this);
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
    this.#waiting.push({ buffer: full, end: this.end, mark: this.#mark });
    this.#waitingBytes += this.end;
    this.#budget.output += this.end;
    this.#buffer = undefined;
    this.end = 0;
  }

  #write(): void {
    const buffer = this.#buffer as Buffer; // INVARIANT: end > 0, so there is one
    if (this.#mark > this.#gate.committed || this.#waiting !== undefined) {
      this.#park(buffer);
      this.#waitForCommit();
      return;
    }
    this.#send(buffer, this.end);
    this.#buffer = undefined;
    this.end = 0;
  }

  #send(buffer: Buffer, end: number): void {
    const isFreeAfterwards = this.#transport.pendingBytes === 0;
    this.#isBlocked = !this.#transport.write(buffer.subarray(0, end));
    if (isFreeAfterwards) pool.giveBack(buffer);
  }
}
