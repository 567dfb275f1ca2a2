import { importanceClasses } from "./importance.ts";
import type { OwedMessage } from "./owed.ts";

/** First in, first out. */
class Fifo {
  #entries: (OwedMessage | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#entries.length - this.#head;
  }

  get first(): OwedMessage | undefined {
    return this.#entries[this.#head];
  }

  push(entry: OwedMessage): void {
    this.#entries.push(entry);
  }

  shift(): void {
    this.#entries[this.#head] = undefined;
    this.#head += 1;
    if (this.#head > 64 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Takes out those that the condition holds for; the others keep their order. */
  takeIf(isTaken: (entry: OwedMessage) => boolean): OwedMessage[] {
    const taken: OwedMessage[] = [];
    const kept: OwedMessage[] = [];
    for (let at = this.#head; at < this.#entries.length; at += 1) {
      const entry = this.#entries[at] as OwedMessage; // INVARIANT: nothing is missing behind the head
      (isTaken(entry) ? taken : kept).push(entry);
    }
    if (taken.length > 0) {
      this.#entries = kept;
      this.#head = 0;
    }
    return taken;
  }
}

/** Messages that wait for one session, first in first out, with the bytes they hold. */
export class MessageQueue {
  /** One for each class of importance, the least important first. */
  readonly #classes = importanceClasses.map(() => new Fifo());
  #pushed = 0;
  length = 0;
  bytes = 0;

  get first(): OwedMessage | undefined {
    let first: OwedMessage | undefined;
    for (const { first: entry } of this.#classes) {
      if (entry !== undefined && (first === undefined || entry.order < first.order)) first = entry;
    }
    return first;
  }

  push(entry: OwedMessage): void {
    this.#pushed += 1;
    entry.order = this.#pushed;
    (this.#classes[entry.importance] as Fifo).push(entry);
    this.length += 1;
    this.bytes += entry.message.size;
  }

  shift(): OwedMessage | undefined {
    const { first } = this;
    if (first !== undefined) this.#shiftClass(first.importance);
    return first;
  }

  /** Gives up the oldest of the least important that is no more important than this; nothing when there is none. */
  sacrifice(importance: number): OwedMessage | undefined {
    for (let at = 0; at <= importance; at += 1) {
      const entry = this.#classes[at]?.first;
      if (entry === undefined) continue;
      this.#shiftClass(at);
      return entry;
    }
    return undefined;
  }

  /** Takes out those that the condition holds for; the others keep their order. */
  takeIf(isTaken: (entry: OwedMessage) => boolean): readonly OwedMessage[] {
    const taken = this.#classes.flatMap((fifo) => fifo.takeIf(isTaken));
    for (const { message } of taken) this.bytes -= message.size;
    this.length -= taken.length;
    return taken;
  }

  #shiftClass(importance: number): void {
    const fifo = this.#classes[importance] as Fifo;
    this.length -= 1;
    this.bytes -= fifo.first?.message.size ?? 0;
    fifo.shift();
  }
}
