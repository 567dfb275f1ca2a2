import type { BrokerMessage, StorePosition } from "@wardmq/feed";

/**
 * Tells control how far the store is: control, who keeps it elsewhere, knows an older copy of the whole store by it. A
 * process first says where the store stood when it was opened, and from then on where it stands.
 */
export class StoreNews {
  readonly #position: () => StorePosition | undefined;
  #opened: StorePosition | undefined;
  #told = -1;

  constructor(position: () => StorePosition | undefined) {
    this.#position = position;
  }

  /** The store has been read, and nothing was added to it yet. */
  opened(): void {
    this.#opened = this.#position();
  }

  /** Says what was not said yet; `send` tells whether it was taken. */
  tell(send: (message: BrokerMessage) => boolean): void {
    const position = this.#opened ?? this.#position();
    if (position === undefined || position.number === this.#told) return;
    if (!send({ type: "stored", ...position })) return;
    this.#opened = undefined;
    this.#told = position.number;
  }
}
