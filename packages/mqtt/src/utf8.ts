import { MqttError } from "./errors.ts";

/** What a UTF-8 Encoded String or Binary Data can hold, 5.0 sections 1.5.4 and 1.5.6. */
export const maximumStringBytes = 65_535;

/**
 * Hot path. The text of a UTF-8 Encoded String; throws where the bytes are ill-formed or hold U+0000
 * (5.0 [MQTT-1.5.4-1], [MQTT-1.5.4-2]). A BOM is text like any other ([MQTT-1.5.4-3]).
 */
export function decodeUtf8(buffer: Buffer, start: number, end: number): string {
  for (let i = start; i < end; i++) {
    const byte = buffer[i] as number;
    if (byte === 0) throw new MqttError("ERR_MQTT_UTF8");
    if (byte > 0x7f) return decodeBeyondAscii(buffer, start, i, end);
  }
  return buffer.toString("latin1", start, end);
}

function decodeBeyondAscii(buffer: Buffer, start: number, from: number, end: number): string {
  if (!isWellFormedUtf8(buffer, from, end)) throw new MqttError("ERR_MQTT_UTF8");
  return buffer.toString("utf8", start, end);
}

/**
 * Hot path. Whether the bytes may be a UTF-8 Encoded String by RFC 3629, without overlong forms, surrogates
 * and what is above U+10FFFF, and without U+0000.
 */
export function isWellFormedUtf8(buffer: Uint8Array, start: number, end: number): boolean {
  let i = start;
  while (i < end) {
    const lead = buffer[i] as number;
    if (lead < 0x80) {
      if (lead === 0) return false;
      i++;
      continue;
    }
    const length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (length === 0 || i + length > end) return false;
    const second = buffer[i + 1] as number;
    // The second byte is where overlong forms (e0, f0), surrogates (ed) and U+110000 (f4) show.
    const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    if (second < lowest || second > highest) return false;
    if (length > 2 && ((buffer[i + 2] as number) & 0xc0) !== 0x80) return false;
    if (length > 3 && ((buffer[i + 3] as number) & 0xc0) !== 0x80) return false;
    i += length;
  }
  return true;
}

const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Hot path. Whether the bytes are the UTF-8 that a Payload Format Indicator of 1 promises; U+0000 may stand in
 * it. Payloads are longer than strings, and from some 50 bytes on the runtime's own decoder wins.
 */
export function isUtf8Payload(buffer: Uint8Array, start: number, end: number): boolean {
  try {
    strictDecoder.decode(buffer.subarray(start, end));
    return true;
  } catch {
    return false;
  }
}

/** Whether the text may stand in a UTF-8 Encoded String: no lone surrogate, no U+0000, not too long. */
export function isUtf8EncodedString(text: string): boolean {
  return (
    text.isWellFormed() &&
    !text.includes("\0") &&
    (text.length * 3 <= maximumStringBytes || Buffer.byteLength(text) <= maximumStringBytes)
  );
}
