import type { TLSSocket } from "node:tls";
import type { Transport, TransportHandler } from "./transport.ts";
import { encodeFrame, type FrameHandler, FrameReader, opcode } from "./web-socket-frame.ts";
import {
  answerUpgrade,
  refuseLargeHead,
  type UpgradeAnswer,
  type UpgradeRules,
} from "./web-socket-handshake.ts";

export interface WebSocketOptions extends UpgradeRules {
  readonly maximumHeaderBytes: number;
  /** The largest binary message, all its fragments together; it is never buffered. */
  readonly maximumMessageBytes: number;
  onOpen(transport: Transport): TransportHandler;
  /** The handshake was refused, or after `onOpen` (check `web-socket-frame`) a frame broke RFC 6455 or a limit. */
  onRefused(check: string, why: string): void;
}

/** How long a peer may take to close after our Close frame or refusal. */
const closingMs = 1000;
const endOfHead = Buffer.from("\r\n\r\n");

/**
 * Speaks HTTP/1.1 upgrade and RFC 6455 on an authenticated socket, MQTT in binary frames. The head must come within the
 * time the caller gives an unidentified socket.
 *
 *     head -> open -> closing -> closed       head -> closing (refused)       any -> closed (destroy, peer gone)
 */
export function acceptWebSocket(socket: TLSSocket, options: WebSocketOptions): void {
  new WebSocketConnection(socket, options);
}

class WebSocketConnection implements Transport, FrameHandler {
  readonly #socket: TLSSocket;
  readonly #options: WebSocketOptions;
  readonly #reader: FrameReader;
  #state: "head" | "open" | "closing" | "closed" = "head";
  #head: Buffer = Buffer.alloc(0);
  #handler: TransportHandler | undefined;
  #closing: NodeJS.Timeout | undefined;

  constructor(socket: TLSSocket, options: WebSocketOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#reader = new FrameReader(options.maximumMessageBytes, this);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#closed());
    socket.on("drain", () => this.#state === "open" && this.#handler?.drained());
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
  }

  get pendingBytes(): number {
    return this.#socket.writableLength;
  }

  /** The frame is a copy, so the buffer is free at once; false means that the peer reads too slowly. */
  write(bytes: Buffer): boolean {
    if (this.#state !== "open" || bytes.length === 0) return true;
    return this.#socket.write(encodeFrame(opcode.binary, bytes));
  }

  pause(): void {
    if (this.#state === "open") this.#socket.pause();
  }

  resume(): void {
    if (this.#state === "open") this.#socket.resume();
  }

  end(): void {
    if (this.#state === "open") this.#sendClose(1000);
  }

  destroy(): void {
    this.#reader.end();
    this.#socket.destroy();
  }

  data(bytes: Buffer): void {
    this.#handler?.receive(bytes);
  }

  ping(payload: Buffer): void {
    // A peer that pings and does not read gets no more answers than its queue may hold (RFC 6455 section 5.5.3).
    if (!this.#socket.writableNeedDrain) this.#socket.write(encodeFrame(opcode.pong, payload));
  }

  close(code: number): void {
    this.#sendClose(code);
  }

  violation(code: number, why: string): void {
    this.#sendClose(code);
    this.#options.onRefused("web-socket-frame", why);
  }

  #take(bytes: Buffer): void {
    if (this.#state === "open") this.#reader.read(bytes);
    else if (this.#state === "head") this.#takeHead(bytes);
  }

  #takeHead(bytes: Buffer): void {
    const searchFrom = Math.max(0, this.#head.length - 3);
    const limit = this.#options.maximumHeaderBytes;
    const head = Buffer.concat([this.#head, bytes.subarray(0, limit - this.#head.length)]);
    const end = head.indexOf(endOfHead, searchFrom);
    if (end === -1) {
      this.#head = head;
      // No method begins so: somebody speaks MQTT without WebSocket, and would wait for an answer.
      if (!isUpperCaseLetter(head[0])) this.#answer(answerUpgrade("", this.#options));
      else if (head.length === limit) this.#answer(refuseLargeHead());
      return;
    }
    const afterHead = bytes.subarray(end + 4 - this.#head.length);
    this.#head = Buffer.alloc(0);
    this.#answer(answerUpgrade(head.toString("latin1", 0, end + 4), this.#options));
    if (this.#state === "open") this.#reader.read(afterHead);
  }

  #answer(answer: UpgradeAnswer): void {
    if (!answer.accepted) {
      this.#linger(answer.response);
      this.#options.onRefused(answer.check, answer.why);
      return;
    }
    this.#socket.write(answer.response);
    this.#state = "open";
    this.#handler = this.#options.onOpen(this);
  }

  #sendClose(code: number): void {
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code, 0);
    this.#linger(encodeFrame(opcode.close, payload));
  }

  /** Sends the last words, then reads and drops what comes: closing at once would take them back with a reset. */
  #linger(lastWords: Buffer | string): void {
    this.#state = "closing";
    this.#head = Buffer.alloc(0);
    this.#reader.end();
    this.#socket.end(lastWords);
    this.#socket.resume();
    this.#closing = setTimeout(() => this.#socket.destroy(), closingMs);
  }

  #closed(): void {
    clearTimeout(this.#closing);
    this.#state = "closed";
    this.#reader.end();
    this.#handler?.closed();
  }
}

function isUpperCaseLetter(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x41 && byte <= 0x5a;
}
