import { MqttError } from "@wardmq/mqtt";
import type { MemoryBudget } from "./memory-budget.ts";

export interface PacketHandler {
  /** Takes one packet: its first byte, and where the bytes after the fixed header lie. Valid during the call only. */
  packet(firstByte: number, buffer: Buffer, start: number, end: number): void;
}

const firstCapacity = 2_048;

/**
 * Cuts the byte stream of a connection into Control Packets. Whole packets are handed on where they lie; one that
 * arrives in parts is gathered in a buffer that grows with what has arrived, never with what was announced.
 */
export class PacketReader {
  /** Packets larger than this are refused when their length is read, before a byte of them is kept. */
  maximumPacketBytes: number;
  /** Set by the handler to have the rest of the bytes ignored. */
  isStopped = false;
  /** How much of the bytes of the last read was taken: less than all where it was stopped. */
  taken = 0;
  readonly #handler: PacketHandler;
  readonly #budget: MemoryBudget;
  #partial: Buffer | undefined;
  #have = 0;

  constructor(maximumPacketBytes: number, handler: PacketHandler, budget: MemoryBudget) {
    this.maximumPacketBytes = maximumPacketBytes;
    this.#handler = handler;
    this.#budget = budget;
  }

  /** Bytes kept of a packet that has not arrived whole. */
  get partialBytes(): number {
    return this.#partial?.length ?? 0;
  }

  /** Hot path. Returns how many packets were handed on; throws MqttError when the stream is not MQTT. */
  read(bytes: Buffer): number {
    let packets = 0;
    let at = 0;
    while (this.#partial !== undefined && at < bytes.length && !this.isStopped) {
      at = this.#continue(bytes, at);
      if (this.#partial === undefined) packets += 1;
    }
    const { length } = bytes;
    while (at < length && !this.isStopped) {
      const total = packetLength(bytes, at, length, this.maximumPacketBytes);
      if (total === 0 || at + total > length) {
        this.#keep(bytes, at, length);
        break;
      }
      this.#handler.packet(bytes[at] as number, bytes, bodyStart, at + total);
      packets += 1;
      at += total;
    }
    this.taken = at;
    return packets;
  }

  discard(): void {
    this.isStopped = true;
    this.#budget.partial -= this.partialBytes;
    this.#partial = undefined;
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    this.#partial = Buffer.allocUnsafeSlow(Math.max(firstCapacity, end - start));
    this.#have = bytes.copy(this.#partial, 0, start, end);
    this.#budget.partial += this.#partial.length;
  }

  /** Adds bytes to the packet in parts, and hands it on when it is whole; returns where the next one begins. */
  #continue(bytes: Buffer, start: number): number {
    let partial = this.#partial as Buffer; // INVARIANT: the caller has looked
    let at = start;
    let total = 0;
    while (total === 0 && at < bytes.length) {
      total = packetLength(partial, 0, this.#have, this.maximumPacketBytes);
      if (total === 0) {
        partial[this.#have] = bytes[at] as number; // at most five bytes: the fixed header
        this.#have += 1;
        at += 1;
      }
    }
    if (total === 0) total = packetLength(partial, 0, this.#have, this.maximumPacketBytes);
    if (total === 0) return at;
    const taken = Math.min(total - this.#have, bytes.length - at);
    if (this.#have + taken > partial.length) partial = this.#grow(partial, total, taken);
    bytes.copy(partial, this.#have, at, at + taken);
    this.#have += taken;
    at += taken;
    if (this.#have === total) {
      packetLength(partial, 0, total, this.maximumPacketBytes); // sets bodyStart
      const start = bodyStart;
      this.#budget.partial -= partial.length;
      this.#partial = undefined;
      this.#handler.packet(partial[0] as number, partial, start, total);
    }
    return at;
  }

  #grow(partial: Buffer, total: number, taken: number): Buffer {
    const capacity = Math.min(total, Math.max(partial.length * 2, this.#have + taken));
    const larger = Buffer.allocUnsafeSlow(capacity);
    partial.copy(larger, 0, 0, this.#have);
    this.#budget.partial += capacity - partial.length;
    this.#partial = larger;
    return larger;
  }
}

/** Where the bytes after the fixed header begin, of the packet `packetLength` looked at last. */
let bodyStart = 0;

/** Hot path. The length of the packet at `at`, fixed header included, or 0 while that cannot be told. */
function packetLength(bytes: Buffer, at: number, end: number, maximum: number): number {
  let remaining = 0;
  let shift = 0;
  let position = at + 1;
  for (;;) {
    if (position >= end) return 0;
    const next = bytes[position] as number;
    position += 1;
    remaining |= (next & 0x7f) << shift;
    if (next < 0x80) {
      // Overlong forms are refused, 5.0 [MQTT-1.5.5-1]; so is a fifth byte.
      if (next === 0 && shift > 0) throw new MqttError("ERR_MQTT_VARIABLE_BYTE_INTEGER");
      break;
    }
    shift += 7;
    if (shift > 21) throw new MqttError("ERR_MQTT_VARIABLE_BYTE_INTEGER");
  }
  bodyStart = position;
  const total = position - at + remaining;
  if (total > maximum) throw new MqttError("ERR_MQTT_PACKET_TOO_LARGE");
  return total;
}
