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
 * Speaks HTTP/1.1 upgrade and RFC 6455 on an authenticated connection, MQTT in binary frames. The head must come within
 * the time the caller gives an unidentified one. What is returned wants its bytes and its end.
 *
 *     head -> open -> closing -> closed       head -> closing (refused)       any -> closed (destroy, peer gone)
 */
export function acceptWebSocket(under: Transport, options: WebSocketOptions): TransportHandler {
  return new WebSocketConnection(under, options);
}

class WebSocketConnection implements Transport, TransportHandler, FrameHandler {
  readonly #under: Transport;
  readonly #options: WebSocketOptions;
  readonly #reader: FrameReader;
  #state: "head" | "open" | "closing" | "closed" = "head";
  #head: Buffer = Buffer.alloc(0);
  #handler: TransportHandler | undefined;
  #closing: NodeJS.Timeout | undefined;
  /** Asked to stop until it has drained. */
  #isBlocked = false;

  constructor(under: Transport, options: WebSocketOptions) {
    this.#under = under;
    this.#options = options;
    this.#reader = new FrameReader(options.maximumMessageBytes, this);
  }

  // --- Transport: MQTT above ---------------------------------------------------------------------

  get pendingBytes(): number {
    return this.#under.pendingBytes;
  }

  /** The frame is a copy, so the buffer is free at once; false means that the peer reads too slowly. */
  write(bytes: Buffer): boolean {
    if (this.#state !== "open" || bytes.length === 0) return true;
    return this.#write(encodeFrame(opcode.binary, bytes));
  }

  pause(): void {
    if (this.#state === "open") this.#under.pause();
  }

  resume(): void {
    if (this.#state === "open") this.#under.resume();
  }

  end(): void {
    if (this.#state === "open") this.#sendClose(1000);
  }

  destroy(): void {
    this.#reader.end();
    this.#under.destroy();
  }

  // --- TransportHandler: TLS below -----------------------------------------------------------------

  receive(bytes: Buffer): void {
    if (this.#state === "open") this.#reader.read(bytes);
    else if (this.#state === "head") this.#takeHead(bytes);
  }

  drained(): void {
    this.#isBlocked = false;
    if (this.#state === "open") this.#handler?.drained();
  }

  closed(): void {
    clearTimeout(this.#closing);
    this.#state = "closed";
    this.#reader.end();
    this.#handler?.closed();
  }

  // --- FrameHandler ----------------------------------------------------------------------------------

  data(bytes: Buffer): void {
    this.#handler?.receive(bytes);
  }

  ping(payload: Buffer): void {
    // A peer that pings and does not read gets no more answers than its queue may hold (RFC 6455 section 5.5.3).
    if (!this.#isBlocked) this.#write(encodeFrame(opcode.pong, payload));
  }

  close(code: number): void {
    this.#sendClose(code);
  }

  violation(code: number, why: string): void {
    this.#sendClose(code);
    this.#options.onRefused("web-socket-frame", why);
  }

  // -----------------------------------------------------------------------------------------------------

  #write(bytes: Buffer): boolean {
    this.#isBlocked = !this.#under.write(bytes);
    return !this.#isBlocked;
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
    this.#write(Buffer.from(answer.response));
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
    this.#write(Buffer.from(lastWords));
    this.#under.end();
    this.#under.resume();
    this.#closing = setTimeout(() => this.#under.destroy(), closingMs);
  }
}

function isUpperCaseLetter(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x41 && byte <= 0x5a;
}
