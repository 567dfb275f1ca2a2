import {
  encodeVariableByteInteger,
  findBytesProperty,
  findStringProperty,
  type ProtocolVersion,
  type QoS,
  userPropertiesIn,
  variableByteIntegerLength,
} from "@wardmq/mqtt";
import type { SubjectState } from "../enforcement/subjects.ts";
import type { StoredMessage } from "../store/stored-message.ts";
import type { Topic } from "./topic.ts";

/**
 * An Application Message on its way. On the hot path one message object is reused and its parts lie in the buffer the
 * PUBLISH arrived in; whoever needs it longer than the call asks for `keep()`.
 */
export class ApplicationMessage {
  topic: Topic;
  qos: QoS;
  retain: boolean;
  bytes: Buffer;
  /** The properties that travel on unchanged, as they stand on the wire, without their length. */
  propertiesStart = 0;
  propertiesEnd = 0;
  payloadStart = 0;
  payloadEnd = 0;
  /** Where in `bytes` the four bytes of the Message Expiry Interval stand, or -1. */
  expiryAt = -1;
  /** Milliseconds since 1970; Infinity when the message never expires. */
  expiresAt = Number.POSITIVE_INFINITY;
  /** Milliseconds since 1970; 0 of a message that is not retained. */
  retainedAt = 0;
  /** Who published it, asked again at every later delivery. */
  publisher: SubjectState;
  /** Its place in the journal, while somebody durable is owed it or it is retained; of a kept message only. */
  stored: StoredMessage | undefined;
  /** The same message with bytes of its own, and the one whose bytes lie in the journal, once somebody keeps them. */
  #kept: ApplicationMessage | undefined;
  #inJournal: ApplicationMessage | undefined;

  constructor(topic: Topic, publisher: SubjectState, bytes: Buffer) {
    this.topic = topic;
    this.publisher = publisher;
    this.bytes = bytes;
    this.qos = 0;
    this.retain = false;
  }

  get payloadLength(): number {
    return this.payloadEnd - this.payloadStart;
  }

  get contentType(): string | undefined {
    return findStringProperty("contentType", this.bytes, this.propertiesStart, this.propertiesEnd);
  }

  get responseTopic(): string | undefined {
    return findStringProperty(
      "responseTopic",
      this.bytes,
      this.propertiesStart,
      this.propertiesEnd,
    );
  }

  /** Names and values of all User Properties. */
  get userProperties(): readonly string[] {
    return userPropertiesIn(this.bytes, this.propertiesStart, this.propertiesEnd);
  }

  get correlationData(): Buffer | undefined {
    const { bytes, propertiesStart, propertiesEnd } = this;
    return findBytesProperty("correlationData", bytes, propertiesStart, propertiesEnd);
  }

  /** Bytes this message holds while it is kept. */
  get size(): number {
    return this.#partsLength + 2 * this.topic.encoded.length + keptOverhead;
  }

  /** Forgets who keeps the message this object carried before; called when it is filled anew. */
  renew(): void {
    this.#kept = undefined;
    this.#inJournal = undefined;
  }

  /** The same message with buffers of its own; made once however many sessions keep it. */
  keep(): ApplicationMessage {
    if (this.#kept !== undefined) return this.#kept;
    const kept = this.#copy();
    kept.#copyParts();
    kept.#kept = kept;
    this.#kept = kept;
    return kept;
  }

  /**
   * Hot path. The same message for sessions that the journal keeps it for. INVARIANT: before the call is over the journal
   * writes it, and says by `liesIn` where its bytes are from then on.
   */
  keepInJournal(): ApplicationMessage {
    if (this.#inJournal?.stored !== undefined) return this.#inJournal; // and not given up already
    if (this.#kept !== undefined) return this.#kept;
    const kept = this.#copy();
    kept.#inJournal = kept;
    this.#inJournal = kept;
    return kept;
  }

  /** Of a kept message: whether its bytes are those of the journal, and not its own. */
  get isInJournal(): boolean {
    return this.#inJournal === this;
  }

  #copy(): ApplicationMessage {
    const kept = new ApplicationMessage(this.topic, this.publisher, this.bytes);
    kept.qos = this.qos;
    kept.retain = this.retain;
    kept.propertiesStart = this.propertiesStart;
    kept.propertiesEnd = this.propertiesEnd;
    kept.payloadStart = this.payloadStart;
    kept.payloadEnd = this.payloadEnd;
    kept.expiryAt = this.expiryAt;
    kept.expiresAt = this.expiresAt;
    return kept;
  }

  /** Hot path. The journal has written its parts to `bytes`, one behind the other, the last one up to `end`. */
  liesIn(bytes: Buffer, end: number): void {
    const { propertiesStart } = this;
    const payloadStart = end - this.payloadLength;
    const start = payloadStart - (this.propertiesEnd - propertiesStart);
    this.bytes = bytes;
    this.propertiesStart = start;
    this.propertiesEnd = payloadStart;
    this.payloadStart = payloadStart;
    this.payloadEnd = end;
    if (this.expiryAt >= 0) this.expiryAt += start - propertiesStart;
  }

  /** Of a message that lies in the journal: gives it bytes of its own, wherever the journal moves it. */
  takeOut(): void {
    this.#copyParts();
    this.isKept();
  }

  get #partsLength(): number {
    return this.propertiesEnd - this.propertiesStart + this.payloadLength;
  }

  #copyParts(): void {
    const { propertiesStart } = this;
    const propertiesLength = this.propertiesEnd - propertiesStart;
    const length = this.#partsLength;
    const bytes = Buffer.allocUnsafeSlow(length);
    this.bytes.copy(bytes, 0, propertiesStart, this.propertiesEnd);
    this.bytes.copy(bytes, propertiesLength, this.payloadStart, this.payloadEnd);
    this.bytes = bytes;
    this.propertiesStart = 0;
    this.propertiesEnd = propertiesLength;
    this.payloadStart = propertiesLength;
    this.payloadEnd = length;
    if (this.expiryAt >= 0) this.expiryAt -= propertiesStart;
  }

  /** Its buffers are its own. */
  isKept(): void {
    this.#kept = this;
    this.#inJournal = undefined;
  }

  /** It was read from the journal, in whose bytes it lies. */
  wasRead(): void {
    this.#inJournal = this;
  }
}

/** Of a message and of what refers to it, measured on both runtimes and rounded up. */
const keptOverhead = 600;

/** Subscription Identifiers of one delivery, already encoded as properties; undefined when there are none. */
export type SubscriptionIdentifiers = Buffer | undefined;

const noAlias = 0;

/** Length of the PUBLISH that `writePublish` would write. `topicLength` includes its two length bytes. */
export function publishLength(
  message: ApplicationMessage,
  version: ProtocolVersion,
  qos: QoS,
  identifiers: SubscriptionIdentifiers,
  topicLength: number,
  alias: number,
): number {
  const remaining = remainingLength(message, version, qos, identifiers, topicLength, alias);
  return 1 + variableByteIntegerLength(remaining) + remaining;
}

function propertyBytes(
  message: ApplicationMessage,
  identifiers: SubscriptionIdentifiers,
  alias: number,
): number {
  return (
    message.propertiesEnd -
    message.propertiesStart +
    (identifiers === undefined ? 0 : identifiers.length) +
    (alias === noAlias ? 0 : 3)
  );
}

function remainingLength(
  message: ApplicationMessage,
  version: ProtocolVersion,
  qos: QoS,
  identifiers: SubscriptionIdentifiers,
  topicLength: number,
  alias: number,
): number {
  let length = topicLength + (qos > 0 ? 2 : 0) + message.payloadEnd - message.payloadStart;
  if (version === 5) {
    const inProperties = propertyBytes(message, identifiers, alias);
    length += variableByteIntegerLength(inProperties) + inProperties;
  }
  return length;
}

/** Where `writePublish` put the Packet Identifier of the last packet it wrote, relative to its first byte. */
export let packetIdOffset = 0;

/**
 * Hot path. Writes one PUBLISH at `out[at]` and returns its end; the caller has made room of `publishLength`.
 * `topic` is the length-prefixed name, or two zero bytes when `alias` stands for it. `now` decrements the expiry of a
 * message that has waited, 5.0 [MQTT-3.3.2-6]; 0 says it has not.
 */
export function writePublish(
  out: Buffer,
  at: number,
  message: ApplicationMessage,
  version: ProtocolVersion,
  qos: QoS,
  retain: boolean,
  dup: boolean,
  packetId: number,
  identifiers: SubscriptionIdentifiers,
  topic: Buffer,
  alias: number,
  now: number,
): number {
  out[at] = 0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  let position = encodeVariableByteInteger(
    remainingLength(message, version, qos, identifiers, topic.length, alias),
    out,
    at + 1,
  );
  position += topic.copy(out, position);
  packetIdOffset = position - at;
  if (qos > 0) {
    out[position] = packetId >> 8;
    out[position + 1] = packetId & 0xff;
    position += 2;
  }
  if (version === 5) {
    position = encodeVariableByteInteger(propertyBytes(message, identifiers, alias), out, position);
    if (alias !== noAlias) {
      out[position] = 0x23;
      out[position + 1] = alias >> 8;
      out[position + 2] = alias & 0xff;
      position += 3;
    }
    if (identifiers !== undefined) position += identifiers.copy(out, position);
    if (message.propertiesEnd > message.propertiesStart) {
      const start = position;
      position += message.bytes.copy(out, position, message.propertiesStart, message.propertiesEnd);
      if (now !== 0 && message.expiryAt >= 0) {
        // Never more than it began with: the clock may have been set back.
        const seconds = Math.ceil((message.expiresAt - now) / 1000);
        const value = start + message.expiryAt - message.propertiesStart;
        out.writeUInt32BE(Math.min(Math.max(1, seconds), out.readUInt32BE(value)), value);
      }
    }
  }
  return position + message.bytes.copy(out, position, message.payloadStart, message.payloadEnd);
}
