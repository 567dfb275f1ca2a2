/**
 * Bytes as the specification's reader thinks of them: `82 ~ 0001 {0b 01} 'a/b' 01`.
 *
 *     82, 0001     hex
 *     'a/b'        a string with its two-byte length before it
 *     "abc"        the bytes of a text
 *     61x300       a byte, repeated
 *     ~            the remaining length: of everything behind it
 *     { ... }      properties with their length before them; nothing at all where MQTT is 3.1.1
 *     V            the protocol level: 04 or 05
 */
export function bytes(notation: string, version: 4 | 5 = 5): Buffer {
  const tokens = notation.match(/'[^']*'|"[^"]*"|[0-9a-f]{2}x\d+|[0-9a-f]+|[~{}V]|\S+/gi) ?? [];
  return sequence(tokens.values(), version);
}

function sequence(tokens: Iterator<string>, version: 4 | 5): Buffer {
  const parts: Buffer[] = [];
  for (let next = tokens.next(); !next.done && next.value !== "}"; next = tokens.next()) {
    const token = next.value;
    if (token === "~") {
      const rest = sequence(tokens, version);
      return Buffer.concat([...parts, variableByteInteger(rest.length), rest]);
    }
    if (token === "{") {
      const properties = sequence(tokens, version);
      if (version === 5) parts.push(variableByteInteger(properties.length), properties);
    } else parts.push(token === "V" ? Buffer.from([version]) : literal(token));
  }
  return Buffer.concat(parts);
}

function literal(token: string): Buffer {
  if (token.startsWith("'")) {
    const text = Buffer.from(token.slice(1, -1));
    return Buffer.concat([Buffer.from([text.length >> 8, text.length & 0xff]), text]);
  }
  if (token.startsWith('"')) return Buffer.from(token.slice(1, -1));
  const [byte = "", times] = token.split("x");
  if (!/^([0-9a-f]{2})+$/i.test(byte)) throw new Error(`not bytes: ${token}`);
  return times === undefined
    ? Buffer.from(byte, "hex")
    : Buffer.alloc(Number(times), Number.parseInt(byte, 16));
}

/** The Variable Byte Integer of 5.0 section 1.5.5. */
export function variableByteInteger(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  do {
    out.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>= 7;
  } while (rest > 0);
  return Buffer.from(out);
}

/** Splits what a stream brought into whole MQTT packets and the bytes behind them. */
export function splitPackets(received: Buffer): { packets: Buffer[]; rest: Buffer } {
  const packets: Buffer[] = [];
  let rest = received;
  for (let length = packetLength(rest); length <= rest.length; length = packetLength(rest)) {
    packets.push(rest.subarray(0, length));
    rest = rest.subarray(length);
  }
  return { packets, rest };
}

function packetLength(at: Buffer): number {
  let remaining = 0;
  for (let i = 1; i <= 4; i++) {
    const byte = at[i];
    if (byte === undefined) return Number.POSITIVE_INFINITY;
    remaining += (byte & 0x7f) * 128 ** (i - 1);
    if (byte < 0x80) return 1 + i + remaining;
  }
  throw new Error("the server sent a remaining length of more than four bytes");
}
