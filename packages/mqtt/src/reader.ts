import { MqttError } from "./errors.ts";
import { decodeUtf8 } from "./utf8.ts";
import { decodeVariableByteInteger, variableByteIntegerLength } from "./variable-byte-integer.ts";

/** Takes one field after the other from a range of bytes; a method a type of field, named as in 5.0 section 1.5. */
export class Reader {
  readonly #buffer: Buffer;
  readonly #end: number;
  #offset: number;

  constructor(buffer: Buffer, start: number, end: number) {
    this.#buffer = buffer;
    this.#offset = start;
    this.#end = end;
  }

  get atEnd(): boolean {
    return this.#offset === this.#end;
  }

  expectEnd(): void {
    if (!this.atEnd) throw new MqttError("ERR_MQTT_BYTES_LEFT_OVER");
  }

  byte(): number {
    return this.#buffer[this.#take(1)] as number;
  }

  twoByteInteger(): number {
    return this.#buffer.readUInt16BE(this.#take(2));
  }

  fourByteInteger(): number {
    return this.#buffer.readUInt32BE(this.#take(4));
  }

  variableByteInteger(): number {
    const value = decodeVariableByteInteger(this.#buffer, this.#offset, this.#end);
    if (value === -1) throw new MqttError("ERR_MQTT_TRUNCATED");
    this.#offset += variableByteIntegerLength(value);
    return value;
  }

  utf8String(): string {
    const length = this.twoByteInteger();
    const start = this.#take(length);
    return decodeUtf8(this.#buffer, start, start + length);
  }

  utf8StringPair(): readonly [name: string, value: string] {
    return [this.utf8String(), this.utf8String()];
  }

  /** A view of the buffer, not a copy. */
  binaryData(): Uint8Array {
    const length = this.twoByteInteger();
    const start = this.#take(length);
    return this.#buffer.subarray(start, start + length);
  }

  packetId(): number {
    const value = this.twoByteInteger();
    if (value === 0) throw new MqttError("ERR_MQTT_PACKET_ID"); // 5.0 [MQTT-2.2.1-3]
    return value;
  }

  /** The next bytes as a range of their own. */
  section(length: number): Reader {
    const start = this.#take(length);
    return new Reader(this.#buffer, start, start + length);
  }

  /** All that is left, a view of the buffer. */
  rest(): Uint8Array {
    return this.#buffer.subarray(this.#take(this.#end - this.#offset), this.#end);
  }

  #take(length: number): number {
    const start = this.#offset;
    if (length > this.#end - start) throw new MqttError("ERR_MQTT_TRUNCATED");
    this.#offset = start + length;
    return start;
  }
}
