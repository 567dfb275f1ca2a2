import { MqttError } from "./errors.ts";
import { isUtf8EncodedString, maximumStringBytes } from "./utf8.ts";
import {
  encodeVariableByteInteger,
  maximumVariableByteInteger,
  variableByteIntegerLength,
} from "./variable-byte-integer.ts";

/** The longest fixed header: a byte and a Variable Byte Integer. */
const headRoom = 5;

/** The counterpart of Reader: puts one field after the other, and room is left before them for a length. */
export class Writer {
  #buffer = Buffer.allocUnsafe(64);
  #offset = headRoom;

  byte(value: number): void {
    const at = this.#room(1, value, 0xff);
    this.#buffer[at] = value;
  }

  twoByteInteger(value: number): void {
    const at = this.#room(2, value, 0xffff);
    this.#buffer.writeUInt16BE(value, at);
  }

  fourByteInteger(value: number): void {
    const at = this.#room(4, value, 0xffff_ffff);
    this.#buffer.writeUInt32BE(value, at);
  }

  variableByteInteger(value: number): void {
    const at = this.#room(variableByteIntegerLength(value), 0, 0);
    encodeVariableByteInteger(value, this.#buffer, at);
  }

  utf8String(text: string): void {
    if (!isUtf8EncodedString(text)) throw new MqttError("ERR_MQTT_UTF8");
    const length = Buffer.byteLength(text);
    this.twoByteInteger(length);
    const at = this.#room(length, 0, 0);
    this.#buffer.write(text, at);
  }

  utf8StringPair([name, value]: readonly [name: string, value: string]): void {
    this.utf8String(name);
    this.utf8String(value);
  }

  binaryData(data: Uint8Array): void {
    if (data.length > maximumStringBytes) throw new MqttError("ERR_MQTT_BINARY_DATA");
    this.twoByteInteger(data.length);
    this.bytes(data);
  }

  packetId(value: number | undefined): void {
    if (value === undefined || value === 0) throw new MqttError("ERR_MQTT_PACKET_ID");
    this.twoByteInteger(value);
  }

  bytes(data: Uint8Array): void {
    const at = this.#room(data.length, 0, 0);
    this.#buffer.set(data, at);
  }

  /** All that was written, behind its length, behind the first byte where one is given. */
  finish(firstByte?: number): Buffer {
    const length = this.#offset - headRoom;
    let start = headRoom - variableByteIntegerLength(length);
    encodeVariableByteInteger(length, this.#buffer, start);
    if (firstByte !== undefined) this.#buffer[--start] = firstByte;
    return this.#buffer.subarray(start, this.#offset);
  }

  /** Where the next `size` bytes go; refuses a number that is no integer from 0 to `maximum`. */
  #room(size: number, value: number, maximum: number): number {
    if (!(Number.isInteger(value) && value >= 0 && value <= maximum)) {
      throw new MqttError("ERR_MQTT_INTEGER");
    }
    const at = this.#offset;
    if (at + size - headRoom > maximumVariableByteInteger) {
      throw new MqttError("ERR_MQTT_PACKET_TOO_LARGE");
    }
    this.#offset = at + size;
    if (this.#offset > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, this.#offset));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    return at;
  }
}
