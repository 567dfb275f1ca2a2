import assert from "node:assert/strict";
import {
  type DecodeOptions,
  decodePacket,
  decodeVariableByteInteger,
  type MqttErrorCode,
  type Packet,
  type ProtocolVersion,
  variableByteIntegerLength,
} from "../src/index.ts";

/** Bytes of a notation: hex, `'text'` with its two-byte length before it, `hex*n` repeated. */
export function bytes(notation: string): Buffer {
  const tokens = notation.match(/'[^']*'|\S+/g) ?? [];
  return Buffer.concat(tokens.map(token));
}

function token(text: string): Buffer {
  if (text.startsWith("'")) {
    const content = Buffer.from(text.slice(1, -1));
    return Buffer.concat([Buffer.from([content.length >> 8, content.length & 0xff]), content]);
  }
  const [hex = "", times = "1"] = text.split("*");
  if (!/^([0-9a-f]{2})+$/.test(hex)) throw new Error(`not bytes: ${text}`);
  return Buffer.from(hex.repeat(Number(times)), "hex");
}

/** Decodes the body of a packet, the bytes after its fixed header, somewhere inside a larger buffer. */
export function decodeBody(
  firstByte: number,
  body: Buffer,
  version: ProtocolVersion,
  options?: DecodeOptions,
): Packet {
  const buffer = Buffer.concat([Buffer.from("ffff", "hex"), body, Buffer.from("00ff", "hex")]);
  return decodePacket(firstByte, buffer, 2, 2 + body.length, version, options);
}

/** Decodes one packet with its fixed header, the way a connection finds it. */
export function decodeWhole(
  whole: Buffer,
  version: ProtocolVersion,
  options?: DecodeOptions,
): Packet {
  return decodePacket(whole[0] ?? 0, whole, bodyStart(whole), whole.length, version, options);
}

/** Where the bytes after the fixed header begin; they must be as many as it says. */
export function bodyStart(whole: Buffer): number {
  const length = decodeVariableByteInteger(whole, 1, whole.length);
  const start = 1 + variableByteIntegerLength(length);
  assert.equal(start + length, whole.length, "the remaining length is that of the packet");
  return start;
}

/** One row of a table of refusals. */
export type Refusal = readonly [
  why: string,
  code: MqttErrorCode,
  firstByte: number,
  notation: string,
  version?: ProtocolVersion,
  options?: DecodeOptions,
];

export function assertRefused([
  why,
  code,
  firstByte,
  notation,
  version = 5,
  options,
]: Refusal): void {
  assert.throws(() => decodeBody(firstByte, bytes(notation), version, options), { code }, why);
}
