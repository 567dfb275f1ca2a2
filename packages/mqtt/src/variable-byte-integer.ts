import { MqttError } from "./errors.ts";

export const maximumVariableByteInteger = 268_435_455;

/**
 * Hot path. The value of the Variable Byte Integer at `offset`, or -1 when `end` comes before its last byte.
 * Only the minimal encoding is taken (5.0 [MQTT-1.5.5-1]), so its length is `variableByteIntegerLength(value)`.
 */
export function decodeVariableByteInteger(buffer: Buffer, offset: number, end: number): number {
  let value = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    if (offset >= end) return -1;
    const byte = buffer[offset++] as number;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      if (byte === 0 && shift > 0) throw new MqttError("ERR_MQTT_VARIABLE_BYTE_INTEGER");
      return value;
    }
  }
  throw new MqttError("ERR_MQTT_VARIABLE_BYTE_INTEGER");
}

/** How many bytes the value takes on the wire, 1 to 4. */
export function variableByteIntegerLength(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  return value < 0x20_0000 ? 3 : 4;
}

/** Writes the value at `offset` and gives the offset behind it. */
export function encodeVariableByteInteger(value: number, target: Buffer, offset: number): number {
  if (!Number.isInteger(value) || value < 0 || value > maximumVariableByteInteger) {
    throw new MqttError("ERR_MQTT_VARIABLE_BYTE_INTEGER");
  }
  let rest = value;
  while (rest > 0x7f) {
    target[offset++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[offset++] = rest;
  return offset;
}
