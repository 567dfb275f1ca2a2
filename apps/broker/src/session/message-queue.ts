import type { OutboundMessage } from "./session.ts";

/** Messages that wait for one session, first in first out, with the bytes they hold. */
export class MessageQueue {
  #entries: (OutboundMessage | undefined)[] = [];
  #head = 0;
  bytes = 0;

  get length(): number {
    return this.#entries.length - this.#head;
  }

  push(entry: OutboundMessage): void {
    this.#entries.push(entry);
    this.bytes += entry.message.size;
  }

  shift(): OutboundMessage | undefined {
    const entry = this.#entries[this.#head];
    if (entry === undefined) return undefined;
    this.#entries[this.#head] = undefined;
    this.#head += 1;
    this.bytes -= entry.message.size;
    if (this.#head > 64 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return entry;
  }
}
