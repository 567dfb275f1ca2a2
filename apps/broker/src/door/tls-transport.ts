import type { TLSSocket } from "node:tls";
import type { Transport, TransportHandler } from "./transport.ts";

const handlerOf = Symbol("handler");
type Handled = TLSSocket & { [handlerOf]?: TransportHandler };

/** MQTT directly in TLS. The listeners are shared functions: a connection costs no closure. */
export class TlsTransport implements Transport {
  readonly #socket: Handled;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
  }

  /** From here on `handler` gets the bytes of the socket and its end. */
  attach(handler: TransportHandler): void {
    const socket = this.#socket;
    socket[handlerOf] = handler;
    socket.on("data", onData);
    socket.on("drain", onDrain);
    socket.on("close", onClose);
  }

  get pendingBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Buffer): boolean {
    return this.#socket.write(bytes);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

function onData(this: Handled, bytes: Buffer): void {
  this[handlerOf]?.receive(bytes);
}

function onDrain(this: Handled): void {
  this[handlerOf]?.drained();
}

function onClose(this: Handled): void {
  const handler = this[handlerOf];
  delete this[handlerOf];
  handler?.closed();
}
