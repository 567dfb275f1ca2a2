import { MqttError } from "./errors.ts";
import type { ProtocolVersion, QoS } from "./packet.ts";
import { isWellFormedUtf8 } from "./utf8.ts";

/**
 * Hot path. Where the parts of one PUBLISH lie in the buffer it arrived in: a PUBLISH on its way through the broker
 * makes no object. One frame is reused for every packet; its plain twin is `decodePacket`, and a test compares them.
 *
 * The Topic Name is not looked at here: the caller finds its bytes in a cache, or validates them once.
 */
export class PublishFrame {
  qos: QoS = 0;
  retain = false;
  dup = false;
  topicStart = 0;
  topicEnd = 0;
  /** 0 when qos is 0. */
  packetId = 0;
  /** The properties without their length; empty on 3.1.1. */
  propertiesStart = 0;
  propertiesEnd = 0;
  payloadStart = 0;
  payloadEnd = 0;
  /** 0 when absent. */
  topicAlias = 0;
  /** Where the Topic Alias property (identifier and value, three bytes) begins, or -1. */
  topicAliasAt = -1;
  /** Seconds, or -1 when absent. */
  messageExpiryInterval = -1;
  /** Where the four bytes of its value begin, or -1. */
  messageExpiryAt = -1;
  payloadFormatIndicator = -1;
  responseTopicStart = -1;
  responseTopicEnd = -1;
  userProperties = 0;
  hasContentType = false;

  /**
   * Reads the PUBLISH whose bytes after the fixed header are `buffer[start, end)`; throws MqttError.
   * Sender is a client: a Subscription Identifier is a protocol error, 5.0 [MQTT-3.3.4-6].
   */
  decode(
    firstByte: number,
    buffer: Buffer,
    start: number,
    end: number,
    version: ProtocolVersion,
  ): void {
    const qos = (firstByte >> 1) & 3;
    if (qos === 3) throw new MqttError("ERR_MQTT_PUBLISH_QOS"); // 5.0 [MQTT-3.3.1-4]
    this.qos = qos as QoS;
    this.retain = (firstByte & 1) === 1;
    this.dup = (firstByte & 8) === 8;
    if (this.dup && qos === 0) throw new MqttError("ERR_MQTT_PUBLISH_DUP"); // 5.0 [MQTT-3.3.1-2]

    if (start + 2 > end) throw new MqttError("ERR_MQTT_TRUNCATED");
    this.topicStart = start + 2;
    let at = this.topicStart + ((byte(buffer, start) << 8) | byte(buffer, start + 1));
    this.topicEnd = at;
    if (qos > 0) {
      if (at + 2 > end) throw new MqttError("ERR_MQTT_TRUNCATED");
      this.packetId = (byte(buffer, at) << 8) | byte(buffer, at + 1);
      if (this.packetId === 0) throw new MqttError("ERR_MQTT_PACKET_ID"); // 5.0 [MQTT-2.2.1-3]
      at += 2;
    } else {
      if (at > end) throw new MqttError("ERR_MQTT_TRUNCATED");
      this.packetId = 0;
    }

    this.topicAlias = 0;
    this.topicAliasAt = -1;
    this.messageExpiryInterval = -1;
    this.messageExpiryAt = -1;
    this.payloadFormatIndicator = -1;
    this.responseTopicStart = -1;
    this.responseTopicEnd = -1;
    this.hasContentType = false;
    this.userProperties = 0;
    this.propertiesStart = at;
    this.propertiesEnd = at;
    if (version === 5) at = this.#decodeProperties(buffer, at, end);
    this.payloadStart = at;
    this.payloadEnd = end;
  }

  #decodeProperties(buffer: Buffer, start: number, end: number): number {
    if (start >= end) throw new MqttError("ERR_MQTT_TRUNCATED");
    const first = byte(buffer, start);
    if (first === 0) {
      this.propertiesStart = start + 1;
      this.propertiesEnd = start + 1;
      return start + 1;
    }
    let length = first & 0x7f;
    let at = start + 1;
    if (first >= 0x80) {
      let shift = 7;
      let next: number;
      do {
        if (at >= end) throw new MqttError("ERR_MQTT_TRUNCATED");
        if (shift > 21) throw new MqttError("ERR_MQTT_VARIABLE_BYTE_INTEGER");
        next = byte(buffer, at);
        at += 1;
        length |= (next & 0x7f) << shift;
        shift += 7;
      } while (next >= 0x80);
      if (next === 0) throw new MqttError("ERR_MQTT_VARIABLE_BYTE_INTEGER"); // 5.0 [MQTT-1.5.5-1]
    }
    const limit = at + length;
    if (limit > end) throw new MqttError("ERR_MQTT_TRUNCATED");
    this.propertiesStart = at;
    this.propertiesEnd = limit;

    let seen = 0;
    while (at < limit) {
      const id = byte(buffer, at);
      const value = at + 1;
      if (id !== userPropertyId) {
        if (id > 31) {
          if (id !== topicAliasId) throw new MqttError("ERR_MQTT_PROPERTY_NOT_ALLOWED");
          if (this.topicAliasAt >= 0) throw new MqttError("ERR_MQTT_PROPERTY_DUPLICATE");
        } else {
          const bit = 1 << id;
          if ((seen & bit) !== 0) throw new MqttError("ERR_MQTT_PROPERTY_DUPLICATE");
          seen |= bit;
        }
      }
      switch (id) {
        case 0x01: {
          if (value >= limit) throw new MqttError("ERR_MQTT_TRUNCATED");
          const indicator = byte(buffer, value);
          if (indicator > 1) throw new MqttError("ERR_MQTT_PROPERTY_VALUE");
          this.payloadFormatIndicator = indicator;
          at = value + 1;
          break;
        }
        case 0x02:
          if (value + 4 > limit) throw new MqttError("ERR_MQTT_TRUNCATED");
          this.messageExpiryInterval = buffer.readUInt32BE(value);
          this.messageExpiryAt = value;
          at = value + 4;
          break;
        case 0x03:
          at = endOfString(buffer, value, limit);
          this.hasContentType = true;
          break;
        case 0x08:
          at = endOfString(buffer, value, limit);
          this.responseTopicStart = value + 2;
          this.responseTopicEnd = at;
          if (at === value + 2) throw new MqttError("ERR_MQTT_RESPONSE_TOPIC");
          for (let i = value + 2; i < at; i += 1) {
            const character = byte(buffer, i);
            if (character === 0x23 || character === 0x2b) {
              throw new MqttError("ERR_MQTT_RESPONSE_TOPIC"); // 5.0 [MQTT-3.3.2-14]
            }
          }
          break;
        case 0x09:
          at = endOfBinary(buffer, value, limit);
          break;
        case 0x0b:
          throw new MqttError("ERR_MQTT_PROPERTY_SENDER"); // 5.0 [MQTT-3.3.4-6]
        case topicAliasId:
          if (value + 2 > limit) throw new MqttError("ERR_MQTT_TRUNCATED");
          this.topicAlias = (byte(buffer, value) << 8) | byte(buffer, value + 1);
          if (this.topicAlias === 0) throw new MqttError("ERR_MQTT_TOPIC_ALIAS"); // 5.0 [MQTT-3.3.2-8]
          this.topicAliasAt = at;
          at = value + 2;
          break;
        case userPropertyId:
          at = endOfString(buffer, endOfString(buffer, value, limit), limit);
          this.userProperties += 1;
          break;
        default:
          throw new MqttError("ERR_MQTT_PROPERTY_NOT_ALLOWED");
      }
    }
    return limit;
  }
}

const topicAliasId = 0x23;
const userPropertyId = 0x26;

function byte(buffer: Buffer, at: number): number {
  return buffer[at] as number; // INVARIANT: every caller has compared `at` with the end
}

function endOfBinary(buffer: Buffer, at: number, limit: number): number {
  if (at + 2 > limit) throw new MqttError("ERR_MQTT_TRUNCATED");
  const end = at + 2 + ((byte(buffer, at) << 8) | byte(buffer, at + 1));
  if (end > limit) throw new MqttError("ERR_MQTT_TRUNCATED");
  return end;
}

function endOfString(buffer: Buffer, at: number, limit: number): number {
  const end = endOfBinary(buffer, at, limit);
  if (!isWellFormedUtf8(buffer, at + 2, end)) throw new MqttError("ERR_MQTT_UTF8");
  return end;
}
