import { Readable } from "node:stream";
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
    socket.push = push;
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

/**
 * Hot path. The runtimes hand what they have read to `push`. While it flows and none of it waits, the stream would emit
 * `data` in this very call; taken here, a read costs neither its bookkeeping nor the tick in which it asks for more.
 */
function push(this: Handled, bytes: Buffer | null): boolean {
  const handler = this[handlerOf];
  if (bytes === null || handler === undefined || !this.readableFlowing || this.readableLength > 0) {
    return Readable.prototype.push.call(this, bytes);
  }
  handler.receive(bytes);
  return true;
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
