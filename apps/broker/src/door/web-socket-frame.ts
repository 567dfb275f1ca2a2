import { isUtf8 } from "node:buffer";

/** Who is told what the frames of a client say. */
export interface FrameHandler {
  /** Unmasked payload of a binary message; a frame may come in several pieces. */
  data(bytes: Buffer): void;
  ping(payload: Buffer): void;
  /** The client closes; `code` is what we answer. */
  close(code: number): void;
  /** The client broke RFC 6455 or our limit. Nothing is read after this. */
  violation(code: number, why: string): void;
}

export const opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Frames that carry no byte of MQTT, in a row; more is work that no limit on MQTT would ever see. */
const maximumIdleFrames = 1000;

/**
 * Reads client frames (RFC 6455 section 5) from any segmentation of the stream, and keeps at most a frame header and
 * one control frame: payload of data frames goes on as it comes.
 *
 *     header -> payload -> header ...      any -> ended (violation, or a Close frame)
 */
export class FrameReader {
  readonly #maximumMessageBytes: number;
  readonly #handler: FrameHandler;
  readonly #header = Buffer.alloc(14);
  readonly #control = Buffer.alloc(125);
  #headerBytes = 0;
  #headerNeeds = 2;
  #opcode = 0;
  /** Payload bytes of this frame, and how many of them have come. */
  #length = 0;
  #taken = 0;
  #inPayload = false;
  #inMessage = false;
  #messageBytes = 0;
  #idleFrames = 0;
  #ended = false;

  constructor(maximumMessageBytes: number, handler: FrameHandler) {
    this.#maximumMessageBytes = maximumMessageBytes;
    this.#handler = handler;
  }

  /** Reads no more, whatever comes. */
  end(): void {
    this.#ended = true;
  }

  /** Hot path. Takes the next bytes of the stream and unmasks them where they lie. */
  read(bytes: Buffer): void {
    let at = 0;
    while (
      !this.#ended &&
      (at < bytes.length || (this.#inPayload && this.#taken === this.#length))
    ) {
      at = this.#inPayload ? this.#readPayload(bytes, at) : this.#readHeader(bytes, at);
    }
  }

  #readHeader(bytes: Buffer, from: number): number {
    let at = from;
    while (at < bytes.length && this.#headerBytes < this.#headerNeeds) {
      this.#header[this.#headerBytes++] = bytes[at++] ?? 0;
    }
    if (this.#headerBytes < this.#headerNeeds) return at;
    if (this.#headerNeeds === 2) {
      const wrong = this.#startFrame(this.#header[0] ?? 0, this.#header[1] ?? 0);
      if (wrong !== undefined) this.#fail(...wrong);
      return at;
    }
    const wrong = this.#measureFrame();
    if (wrong !== undefined) this.#fail(...wrong);
    else this.#inPayload = true;
    return at;
  }

  /** What the first two bytes forbid, before any other is taken. */
  #startFrame(first: number, second: number): [number, string] | undefined {
    const code = first & 0x0f;
    const final = (first & 0x80) !== 0;
    const length = second & 0x7f;
    if ((first & 0x70) !== 0)
      return [1002, "a reserved bit is set though no extension was negotiated"];
    if ((second & 0x80) === 0) return [1002, "a client frame is not masked"];
    if (code === opcode.text) return [1003, "a text frame: MQTT is carried in binary frames"]; // [MQTT-6.0.0-1]
    if (code > opcode.pong || (code > opcode.binary && code < opcode.close))
      return [1002, "an unknown opcode"];
    if (code >= opcode.close && !final) return [1002, "a control frame is fragmented"];
    if (code >= opcode.close && length > 125)
      return [1002, "a control frame is longer than 125 bytes"];
    if (code === opcode.continuation && !this.#inMessage)
      return [1002, "a continuation frame continues nothing"];
    if (code === opcode.binary && this.#inMessage)
      return [1002, "a new message starts inside another"];
    this.#opcode = code;
    this.#headerNeeds = (length === 127 ? 10 : length === 126 ? 4 : 2) + 4;
    if (code === opcode.binary) this.#messageBytes = 0;
    if (code < opcode.close) this.#inMessage = !final;
    return undefined;
  }

  /** The length is judged when it is read: what is too large is refused before any of it is. */
  #measureFrame(): [number, string] | undefined {
    const header = this.#header;
    const short = (header[1] ?? 0) & 0x7f;
    // Above 2^53 a number is not exact, and far above any limit: it stays too large.
    if (short === 127) this.#length = header.readUInt32BE(2) * 2 ** 32 + header.readUInt32BE(6);
    else this.#length = short === 126 ? header.readUInt16BE(2) : short;
    const minimal = short < 126 || this.#length > (short === 126 ? 125 : 0xffff);
    if (!minimal) return [1002, "a payload length is not in its shortest form"];
    if (this.#opcode < opcode.close) {
      this.#messageBytes += this.#length;
      if (this.#messageBytes > this.#maximumMessageBytes)
        return [1009, "a message is larger than this listener takes"];
    }
    if (this.#opcode < opcode.close && this.#length > 0) this.#idleFrames = 0;
    else if (++this.#idleFrames > maximumIdleFrames)
      return [1008, "too many frames without MQTT in a row"];
    return undefined;
  }

  #readPayload(bytes: Buffer, from: number): number {
    const piece = bytes.subarray(
      from,
      from + Math.min(bytes.length - from, this.#length - this.#taken),
    );
    unmask(piece, this.#header.subarray(this.#headerNeeds - 4, this.#headerNeeds), this.#taken);
    if (this.#opcode >= opcode.close) piece.copy(this.#control, this.#taken);
    this.#taken += piece.length;
    if (this.#taken === this.#length) this.#endFrame();
    // Last, because the receiver may end us.
    if (this.#opcode < opcode.close && piece.length > 0) this.#handler.data(piece);
    return from + piece.length;
  }

  #endFrame(): void {
    const payload = this.#control.subarray(0, this.#length);
    this.#headerBytes = 0;
    this.#headerNeeds = 2;
    this.#taken = 0;
    this.#inPayload = false;
    if (this.#opcode === opcode.ping) this.#handler.ping(payload);
    if (this.#opcode === opcode.close) this.#readClose(payload);
  }

  #readClose(payload: Buffer): void {
    const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1000;
    const wellFormed = payload.length !== 1 && isCloseCode(code);
    if (!wellFormed) {
      this.#fail(1002, "a Close frame without a valid code");
    } else if (!isUtf8(payload.subarray(2))) {
      this.#fail(1007, "the reason of a Close frame is not UTF-8");
    } else {
      this.#ended = true;
      this.#handler.close(code);
    }
  }

  #fail(code: number, why: string): void {
    this.#ended = true;
    this.#handler.violation(code, why);
  }
}

/** RFC 6455 section 7.4 and the codes registered since; 1004 to 1006 and 1015 are never sent. */
function isCloseCode(code: number): boolean {
  return (
    (code >= 1000 && code <= 1003) ||
    (code >= 1007 && code <= 1014) ||
    (code >= 3000 && code <= 4999)
  );
}

const rotated = new Uint8Array(4);
const rotatedWord = new Int32Array(rotated.buffer);

/** Hot path. XORs `bytes` in place with the key, `offset` bytes into the payload; 32 bits at a time where that pays. */
export function unmask(bytes: Buffer, key: Uint8Array, offset: number): void {
  const length = bytes.length;
  let at = 0;
  if (length >= 32) {
    while (((bytes.byteOffset + at) & 3) !== 0) {
      bytes[at] = (bytes[at] ?? 0) ^ (key[(offset + at) & 3] ?? 0);
      at += 1;
    }
    // The key as it falls on an aligned word, in the byte order of this machine.
    for (let i = 0; i < 4; i += 1) rotated[i] = key[(offset + at + i) & 3] ?? 0;
    const word = rotatedWord[0] ?? 0;
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + at, (length - at) >> 2);
    for (let i = 0; i < words.length; i += 1) words[i] = (words[i] ?? 0) ^ word;
    at += words.length * 4;
  }
  for (; at < length; at += 1) bytes[at] = (bytes[at] ?? 0) ^ (key[(offset + at) & 3] ?? 0);
}

/** One final, unmasked frame with a copy of `payload`: header and payload make one TLS record. */
export function encodeFrame(code: number, payload: Buffer): Buffer {
  const length = payload.length;
  const headerBytes = length < 126 ? 2 : length <= 0xffff ? 4 : 10;
  const frame = Buffer.allocUnsafe(headerBytes + length);
  frame[0] = 0x80 | code;
  frame[1] = headerBytes === 2 ? length : headerBytes === 4 ? 126 : 127;
  if (headerBytes === 4) frame.writeUInt16BE(length, 2);
  if (headerBytes === 10) frame.writeBigUInt64BE(BigInt(length), 2);
  payload.copy(frame, headerBytes);
  return frame;
}
