import { createHash, randomBytes } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { type Wire, watchEnd } from "./wire.ts";

/** Opcodes of RFC 6455 section 5.2. */
export const opcodes = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;

export interface Frame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly payload: Buffer;
}

/** What a server answered to the opening handshake. */
export interface HandshakeResponse {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
}

export interface HandshakeOptions {
  readonly path?: string;
  /** The subprotocols offered; null offers none. */
  readonly protocols?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A WebSocket client that can also do what a good one never would; every control frame it gets is kept. */
export class WebSocketWire implements Wire {
  readonly socket: TLSSocket;
  readonly response: HandshakeResponse;
  /** Every frame the server sent, data frames too. */
  readonly frames: Frame[] = [];
  #rest = Buffer.alloc(0);
  #unread: Buffer[] = [];
  #onBytes: ((bytes: Buffer) => void) | undefined;
  onEnd: () => void = () => {};

  constructor(socket: TLSSocket, response: HandshakeResponse, early: Buffer) {
    this.socket = socket;
    this.response = response;
    socket.on("data", (chunk) => this.#read(chunk));
    this.#read(early);
    watchEnd(this);
  }

  set onBytes(take: (bytes: Buffer) => void) {
    this.#onBytes = take;
    for (const payload of this.#unread.splice(0)) take(payload);
  }

  get onBytes(): (bytes: Buffer) => void {
    return this.#onBytes ?? (() => {});
  }

  send(bytes: Buffer): void {
    this.sendFrame(opcodes.binary, bytes);
  }

  sendFrame(opcode: number, payload: Buffer, { fin = true, masked = true } = {}): void {
    const first = (fin ? 0x80 : 0) | opcode;
    const mask = masked ? randomBytes(4) : Buffer.alloc(0);
    const body = masked ? payload.map((byte, i) => byte ^ (mask[i & 3] ?? 0)) : payload;
    this.socket.write(Buffer.concat([header(first, payload.length, masked), mask, body]));
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) {
      this.frames.push(frame);
      if (frame.opcode > opcodes.binary) continue;
      if (this.#onBytes === undefined) this.#unread.push(frame.payload);
      else this.#onBytes(frame.payload);
    }
  }

  #next(): Frame | undefined {
    const [first, second] = this.#rest;
    if (first === undefined || second === undefined) return undefined;
    if (second & 0x80) throw new Error("a server must not mask its frames");
    const extended = second === 126 ? 2 : second === 127 ? 8 : 0;
    if (this.#rest.length < 2 + extended) return undefined;
    const length =
      extended === 0
        ? second
        : extended === 2
          ? this.#rest.readUInt16BE(2)
          : Number(this.#rest.readBigUInt64BE(2));
    const end = 2 + extended + length;
    if (this.#rest.length < end) return undefined;
    const payload = this.#rest.subarray(2 + extended, end);
    this.#rest = this.#rest.subarray(end);
    return { opcode: first & 0x0f, fin: first >= 0x80, payload };
  }
}

function header(first: number, length: number, masked: boolean): Buffer {
  const bit = masked ? 0x80 : 0;
  if (length < 126) return Buffer.from([first, bit | length]);
  if (length < 65_536) return Buffer.from([first, bit | 126, length >> 8, length & 0xff]);
  const out = Buffer.alloc(10);
  out[0] = first;
  out[1] = bit | 127;
  out.writeBigUInt64BE(BigInt(length), 2);
  return out;
}

/** Does the opening handshake over a TLS connection and returns what the server answered. */
export async function openWebSocket(
  socket: TLSSocket,
  { path = "/mqtt", protocols = "mqtt", headers = {} }: HandshakeOptions = {},
): Promise<WebSocketWire> {
  const key = randomBytes(16).toString("base64");
  const request: Record<string, string | null> = {
    Host: "localhost",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": key,
    "Sec-WebSocket-Protocol": protocols,
    ...headers,
  };
  const fields = Object.entries(request).filter(([, value]) => value !== null);
  const text = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  socket.write(`GET ${path} HTTP/1.1\r\n${text}\r\n`);
  const { response, rest } = await readResponse(socket);
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  if (
    response.status === 101 &&
    response.headers.get("sec-websocket-accept") !== accept.digest("base64")
  ) {
    throw new Error("the server's Sec-WebSocket-Accept is wrong");
  }
  return new WebSocketWire(socket, response, rest);
}

function readResponse(socket: TLSSocket): Promise<{ response: HandshakeResponse; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const done = () => {
      socket.off("data", take);
      socket.off("close", fail);
      clearTimeout(timer);
    };
    const fail = () => {
      done();
      reject(new Error(`no HTTP response; received ${JSON.stringify(received.toString())}`));
    };
    const take = (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf("\r\n\r\n");
      if (end < 0) return;
      done();
      resolve({
        response: parseResponse(received.toString("latin1", 0, end)),
        rest: received.subarray(end + 4),
      });
    };
    const timer = setTimeout(fail, 5_000);
    socket.on("data", take);
    socket.on("close", fail);
    socket.on("error", () => {});
  });
}

function parseResponse(text: string): HandshakeResponse {
  const [statusLine = "", ...fields] = text.split("\r\n");
  const headers = fields.map((field): [string, string] => {
    const at = field.indexOf(":");
    return [field.slice(0, at).toLowerCase(), field.slice(at + 1).trim()];
  });
  return { status: Number(statusLine.split(" ")[1]), headers: new Map(headers) };
}
