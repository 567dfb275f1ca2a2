import { checkConnectFlags, checkPayloadFormat, connectFlags } from "./decode-connect.ts";
import { MqttError } from "./errors.ts";
import { fixedHeaders } from "./fixed-header.ts";
import {
  type AcknowledgementPacket,
  type AuthPacket,
  type ConnackPacket,
  type ConnectPacket,
  type DisconnectPacket,
  type Packet,
  type PacketName,
  type ProtocolVersion,
  type PublishPacket,
  packetTypes,
  type SubackPacket,
  type SubscribePacket,
  type UnsubackPacket,
  type UnsubscribePacket,
} from "./packet.ts";
import {
  type PropertyDefinition,
  type PropertyName,
  type PropertyPlace,
  type PropertyValues,
  properties as table,
} from "./properties.ts";
import { checkPropertyValue, checkPropertyValues } from "./property-rules.ts";
import { checkPublishTopic } from "./publish-rules.ts";
import { checkReasonCode } from "./reason-codes.ts";
import { checkFilter, checkSubscription } from "./subscription-rules.ts";
import { parseTopicName } from "./topic-name.ts";
import { Writer } from "./writer.ts";

/**
 * Encodes one packet, fixed header included; throws MqttError for what the decoder would refuse. 3.1.1 has no
 * properties, they are left out; a CONNECT is written in the version it names itself.
 */
export function encodePacket(packet: Packet, version: ProtocolVersion): Buffer {
  const writer = new Writer();
  writeBody(writer, packet, version);
  return writer.finish((packetTypes[packet.type] << 4) | flagsOf(packet));
}

/** Encodes the Property Length and the properties of one place. */
export function encodeProperties(values: PropertyValues, place: PropertyPlace): Buffer {
  const entries = Object.entries(values);
  if (entries.length === 0) return Buffer.alloc(1);
  const writer = new Writer();
  for (const [key, value] of entries) {
    if (value === undefined) continue;
    const name = key as PropertyName;
    const definition: PropertyDefinition | undefined = Object.hasOwn(table, name)
      ? table[name]
      : undefined;
    if (!definition?.allowedIn.includes(place)) {
      throw new MqttError("ERR_MQTT_PROPERTY_NOT_ALLOWED");
    }
    for (const one of definition.repeatable ? (value as readonly unknown[]) : [value]) {
      checkPropertyValue(name, one);
      writer.byte(definition.id);
      writer[definition.type](one as never); // INVARIANT: PropertyValues pairs each name with its type
    }
  }
  checkPropertyValues(values, place, undefined);
  return writer.finish();
}

function flagsOf(packet: Packet): number {
  if (packet.type !== "PUBLISH") return fixedHeaders[packet.type].flags ?? 0;
  const { qos, dup, retain } = packet;
  if (![0, 1, 2].includes(qos)) throw new MqttError("ERR_MQTT_PUBLISH_QOS");
  if (dup && qos === 0) throw new MqttError("ERR_MQTT_PUBLISH_DUP");
  return (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
}

function writeBody(writer: Writer, packet: Packet, version: ProtocolVersion): void {
  switch (packet.type) {
    case "CONNECT":
      writeConnect(writer, packet);
      break;
    case "CONNACK":
      writeConnack(writer, packet, version);
      break;
    case "PUBLISH":
      writePublish(writer, packet, version);
      break;
    case "PUBACK":
    case "PUBREC":
    case "PUBREL":
    case "PUBCOMP":
      writeAcknowledgement(writer, packet, version);
      break;
    case "SUBSCRIBE":
      writeSubscribe(writer, packet, version);
      break;
    case "SUBACK":
      writeSuback(writer, packet, version);
      break;
    case "UNSUBSCRIBE":
      writeUnsubscribe(writer, packet, version);
      break;
    case "UNSUBACK":
      writeUnsuback(writer, packet, version);
      break;
    case "PINGREQ":
    case "PINGRESP":
      break;
    case "DISCONNECT":
      writeOutcome(writer, packet, version);
      break;
    case "AUTH":
      writeAuth(writer, packet, version);
      break;
  }
}

function writeProperties(
  writer: Writer,
  values: PropertyValues,
  place: PropertyPlace,
  version: ProtocolVersion,
): void {
  if (version === 5) writer.bytes(encodeProperties(values, place));
}

function writeReasonCode(
  writer: Writer,
  packet: PacketName,
  reasonCode: number,
  version: ProtocolVersion,
): void {
  checkReasonCode(packet, reasonCode, version);
  writer.byte(reasonCode);
}

function writeConnect(writer: Writer, packet: ConnectPacket): void {
  const { version, clientId, will, username, password } = packet;
  if (version === 4 && clientId === "" && !packet.cleanStart) {
    throw new MqttError("ERR_MQTT_CLIENT_ID");
  }
  const flags = connectFlagsOf(packet);
  checkConnectFlags(flags, version);
  writer.utf8String("MQTT");
  writer.byte(version);
  writer.byte(flags);
  writer.twoByteInteger(packet.keepAlive);
  writeProperties(writer, packet.properties, "CONNECT", version);
  writer.utf8String(clientId);
  if (will !== undefined) {
    if (version === 5) checkPayloadFormat(will.payload, will.properties.payloadFormatIndicator);
    writeProperties(writer, will.properties, "WILL", version);
    writer.utf8String(parseTopicName(will.topic));
    writer.binaryData(will.payload);
  }
  if (username !== undefined) writer.utf8String(username);
  if (password !== undefined) writer.binaryData(password);
}

function connectFlagsOf({ cleanStart, will, username, password }: ConnectPacket): number {
  return (
    (cleanStart ? connectFlags.cleanStart : 0) |
    (will === undefined ? 0 : connectFlags.will | (will.qos << 3)) |
    (will?.retain ? connectFlags.willRetain : 0) |
    (password === undefined ? 0 : connectFlags.password) |
    (username === undefined ? 0 : connectFlags.username)
  );
}

function writeConnack(writer: Writer, packet: ConnackPacket, version: ProtocolVersion): void {
  const { sessionPresent, reasonCode } = packet;
  if (sessionPresent && reasonCode !== 0) throw new MqttError("ERR_MQTT_SESSION_PRESENT");
  writer.byte(sessionPresent ? 1 : 0);
  writeReasonCode(writer, "CONNACK", reasonCode, version);
  writeProperties(writer, packet.properties, "CONNACK", version);
}

function writePublish(writer: Writer, packet: PublishPacket, version: ProtocolVersion): void {
  checkPublishTopic(packet.topic, version, packet.properties);
  if ((packet.qos === 0) !== (packet.packetId === undefined)) {
    throw new MqttError("ERR_MQTT_PACKET_ID"); // 5.0 [MQTT-2.2.1-2]
  }
  writer.utf8String(packet.topic);
  if (packet.qos > 0) writer.packetId(packet.packetId);
  writeProperties(writer, packet.properties, "PUBLISH", version);
  writer.bytes(packet.payload);
}

function writeAcknowledgement(
  writer: Writer,
  packet: AcknowledgementPacket,
  version: ProtocolVersion,
): void {
  writer.packetId(packet.packetId);
  writeOutcome(writer, packet, version);
}

/** The shortest form: properties left out where there are none, then the Reason Code where it is 0. */
function writeOutcome(
  writer: Writer,
  packet: AcknowledgementPacket | DisconnectPacket,
  version: ProtocolVersion,
): void {
  const { type, reasonCode, properties } = packet;
  checkReasonCode(type, reasonCode, version); // 3.1.1 knows only 0, which is not written
  if (version === 4) return;
  const section = encodeProperties(properties, type);
  if (reasonCode !== 0 || section.length > 1) writer.byte(reasonCode);
  if (section.length > 1) writer.bytes(section);
}

function writeSubscribe(writer: Writer, packet: SubscribePacket, version: ProtocolVersion): void {
  if (packet.subscriptions.length === 0) throw new MqttError("ERR_MQTT_EMPTY_LIST");
  writer.packetId(packet.packetId);
  writeProperties(writer, packet.properties, "SUBSCRIBE", version);
  for (const request of packet.subscriptions) {
    checkSubscription(request, version);
    const { filter, qos, noLocal, retainAsPublished, retainHandling } = request;
    writer.utf8String(filter);
    writer.byte(qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4));
  }
}

function writeSuback(writer: Writer, packet: SubackPacket, version: ProtocolVersion): void {
  writer.packetId(packet.packetId);
  writeProperties(writer, packet.properties, "SUBACK", version);
  writeReasonCodes(writer, packet, version);
}

function writeReasonCodes(
  writer: Writer,
  { type, reasonCodes }: SubackPacket | UnsubackPacket,
  version: ProtocolVersion,
): void {
  if (reasonCodes.length === 0) throw new MqttError("ERR_MQTT_EMPTY_LIST");
  for (const reasonCode of reasonCodes) writeReasonCode(writer, type, reasonCode, version);
}

function writeUnsubscribe(
  writer: Writer,
  packet: UnsubscribePacket,
  version: ProtocolVersion,
): void {
  if (packet.filters.length === 0) throw new MqttError("ERR_MQTT_EMPTY_LIST");
  writer.packetId(packet.packetId);
  writeProperties(writer, packet.properties, "UNSUBSCRIBE", version);
  for (const filter of packet.filters) {
    checkFilter(filter, version);
    writer.utf8String(filter);
  }
}

/** 3.1.1 acknowledges without saying how each filter fared. */
function writeUnsuback(writer: Writer, packet: UnsubackPacket, version: ProtocolVersion): void {
  writer.packetId(packet.packetId);
  if (version === 4) return;
  writeProperties(writer, packet.properties, "UNSUBACK", version);
  writeReasonCodes(writer, packet, version);
}

function writeAuth(writer: Writer, packet: AuthPacket, version: ProtocolVersion): void {
  if (version === 4) throw new MqttError("ERR_MQTT_PACKET_TYPE");
  const section = encodeProperties(packet.properties, "AUTH");
  if (packet.reasonCode === 0 && section.length === 1) return; // 5.0 3.15.2.1
  if (packet.properties.authenticationMethod === undefined) {
    throw new MqttError("ERR_MQTT_AUTHENTICATION_METHOD");
  }
  writeReasonCode(writer, "AUTH", packet.reasonCode, version);
  writer.bytes(section);
}
