import { TLSSocket } from "node:tls";
import type { Transport, TransportHandler } from "./transport.ts";

const handlerOf = Symbol("handler");
type Handled = TLSSocket & { [handlerOf]?: TransportHandler };

/**
 * Hot path. What arrives while nothing waits in the stream goes to the handler at once, as the stream's event `data`
 * would bring it: a twentieth of the CPU of a message is saved. Whoever pauses the socket meanwhile is obeyed at once: by
 * itself the stream goes on reading until its buffer is full, 64 kB on Bun.
 */
function push(this: Handled, bytes: Buffer | null, encoding?: BufferEncoding): boolean {
  const handler = this[handlerOf];
  if (bytes === null || handler === undefined || !this.readableFlowing || this.readableLength > 0) {
    return TLSSocket.prototype.push.call(this, bytes, encoding);
  }
  handler.receive(bytes);
  return this.readableFlowing; // false: no byte more is taken from the system
}

const nothing = Buffer.alloc(0);

/** One prototype for all sockets: a property of each would cost each memory. */
const withShortCut: object = Object.create(TLSSocket.prototype, { push: { value: push } });

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
    Object.setPrototypeOf(socket, withShortCut);
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
    TLSSocket.prototype.push.call(this.#socket, nothing); // so that the stream sees its read answered, and asks again
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
