import { decodeConnect } from "./decode-connect.ts";
import { decodeProperties, noProperties } from "./decode-properties.ts";
import { MqttError } from "./errors.ts";
import { decodeFirstByte } from "./fixed-header.ts";
import type {
  AcknowledgementPacket,
  AuthPacket,
  ConnackPacket,
  DisconnectPacket,
  Packet,
  PacketName,
  ProtocolVersion,
  PublishPacket,
  QoS,
  SubackPacket,
  SubscribePacket,
  SubscriptionRequest,
  UnsubackPacket,
  UnsubscribePacket,
} from "./packet.ts";
import type { PropertyPlace, PropertyValues } from "./properties.ts";
import { checkPublishTopic } from "./publish-rules.ts";
import { Reader } from "./reader.ts";
import { checkReasonCode, type Sender } from "./reason-codes.ts";
import { checkFilter, checkSubscription } from "./subscription-rules.ts";

export interface DecodeOptions {
  /** Who sent the bytes: the two sides may send different packets, properties and Reason Codes. */
  readonly sender: Sender;
  /** How many User Properties one packet, or one will, may have; no limit where absent. */
  readonly maximumUserProperties?: number;
}

/**
 * Decodes one packet from `buffer[start, end)`, the bytes after its fixed header; throws MqttError and nothing
 * else. Payloads and binary data are views of the buffer: copy what outlives it.
 */
export function decodePacket(
  firstByte: number,
  buffer: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
  options: DecodeOptions = fromClient,
): Packet {
  const type = decodeFirstByte(firstByte, version, options.sender);
  if (type === "CONNECT") return decodeConnect(buffer, start, end, options.maximumUserProperties);
  const body = new Body(new Reader(buffer, start, end), version, options);
  const packet = decodeBody(type, firstByte, body);
  body.reader.expectEnd();
  return packet;
}

const fromClient: DecodeOptions = { sender: "client" };

/** The bytes of one packet with what decides how they are read. */
class Body {
  readonly reader: Reader;
  readonly version: ProtocolVersion;
  readonly sender: Sender;
  readonly #maximumUserProperties: number;

  constructor(reader: Reader, version: ProtocolVersion, options: DecodeOptions) {
    this.reader = reader;
    this.version = version;
    this.sender = options.sender;
    this.#maximumUserProperties = options.maximumUserProperties ?? Number.POSITIVE_INFINITY;
  }

  properties(place: PropertyPlace): PropertyValues {
    if (this.version === 4) return noProperties;
    return decodeProperties(this.reader, place, this.sender, this.#maximumUserProperties);
  }

  reasonCode(packet: PacketName): number {
    const reasonCode = this.reader.byte();
    checkReasonCode(packet, reasonCode, this.version, this.sender);
    return reasonCode;
  }

  /** Takes items to the end; there must be one. */
  list<Item>(item: () => Item): readonly Item[] {
    if (this.reader.atEnd) throw new MqttError("ERR_MQTT_EMPTY_LIST"); // 5.0 [MQTT-3.8.3-2], [MQTT-3.10.3-2]
    const items: Item[] = [];
    while (!this.reader.atEnd) items.push(item());
    return items;
  }
}

function decodeBody(type: Exclude<PacketName, "CONNECT">, firstByte: number, body: Body): Packet {
  switch (type) {
    case "CONNACK":
      return decodeConnack(body);
    case "PUBLISH":
      return decodePublish(firstByte, body);
    case "PUBACK":
    case "PUBREC":
    case "PUBREL":
    case "PUBCOMP":
      return decodeAcknowledgement(type, body);
    case "SUBSCRIBE":
      return decodeSubscribe(body);
    case "SUBACK":
      return decodeSuback(body);
    case "UNSUBSCRIBE":
      return decodeUnsubscribe(body);
    case "UNSUBACK":
      return decodeUnsuback(body);
    case "PINGREQ":
    case "PINGRESP":
      return { type };
    case "DISCONNECT":
      return decodeDisconnect(body);
    case "AUTH":
      return decodeAuth(body);
  }
}

function decodeConnack(body: Body): ConnackPacket {
  const flags = body.reader.byte();
  if (flags > 1) throw new MqttError("ERR_MQTT_CONNACK_FLAGS"); // 5.0 [MQTT-3.2.2-1]
  const reasonCode = body.reasonCode("CONNACK");
  const sessionPresent = flags === 1;
  if (sessionPresent && reasonCode !== 0) throw new MqttError("ERR_MQTT_SESSION_PRESENT"); // 5.0 [MQTT-3.2.2-6]
  return { type: "CONNACK", sessionPresent, reasonCode, properties: body.properties("CONNACK") };
}

function decodePublish(firstByte: number, body: Body): PublishPacket {
  const qos = (firstByte >> 1) & 3;
  if (qos === 3) throw new MqttError("ERR_MQTT_PUBLISH_QOS"); // 5.0 [MQTT-3.3.1-4]
  const dup = (firstByte & 8) !== 0;
  if (dup && qos === 0) throw new MqttError("ERR_MQTT_PUBLISH_DUP"); // 5.0 [MQTT-3.3.1-2]
  const topic = body.reader.utf8String();
  const packetId = qos === 0 ? undefined : body.reader.packetId();
  const properties = body.properties("PUBLISH");
  checkPublishTopic(topic, body.version, properties);
  return {
    type: "PUBLISH",
    topic,
    payload: body.reader.rest(),
    qos: qos as QoS,
    retain: (firstByte & 1) !== 0,
    dup,
    packetId,
    properties,
  };
}

function decodeAcknowledgement(
  type: AcknowledgementPacket["type"],
  body: Body,
): AcknowledgementPacket {
  const packetId = body.reader.packetId();
  if (body.version === 4) return { type, packetId, reasonCode: 0, properties: noProperties };
  const { reasonCode, properties } = decodeOutcome(type, body);
  return { type, packetId, reasonCode, properties }; // spreading would double the time of a PUBACK
}

/** A Reason Code and properties, of which 5.0 lets the properties or both be left out (3.4.2.1, 3.14.2.1). */
function decodeOutcome(
  type: PacketName,
  body: Body,
): { reasonCode: number; properties: PropertyValues } {
  const reasonCode = body.reader.atEnd ? 0 : body.reasonCode(type);
  return { reasonCode, properties: body.reader.atEnd ? noProperties : body.properties(type) };
}

function decodeSubscribe(body: Body): SubscribePacket {
  const packetId = body.reader.packetId();
  const properties = body.properties("SUBSCRIBE");
  const subscriptions = body.list(() => decodeSubscription(body));
  return { type: "SUBSCRIBE", packetId, subscriptions, properties };
}

function decodeSubscription({ reader, version }: Body): SubscriptionRequest {
  const filter = reader.utf8String();
  const options = reader.byte();
  if ((options & (version === 5 ? 0xc0 : 0xfc)) !== 0) {
    throw new MqttError("ERR_MQTT_SUBSCRIPTION_OPTIONS"); // 5.0 [MQTT-3.8.3-5], 3.1.1 [MQTT-3-8.3-4]
  }
  const request: SubscriptionRequest = {
    filter,
    qos: (options & 0x03) as QoS,
    noLocal: (options & 0x04) !== 0,
    retainAsPublished: (options & 0x08) !== 0,
    retainHandling: ((options >> 4) & 0x03) as SubscriptionRequest["retainHandling"],
  };
  checkSubscription(request, version);
  return request;
}

function decodeSuback(body: Body): SubackPacket {
  const packetId = body.reader.packetId();
  const properties = body.properties("SUBACK");
  const reasonCodes = body.list(() => body.reasonCode("SUBACK"));
  return { type: "SUBACK", packetId, reasonCodes, properties };
}

function decodeUnsubscribe(body: Body): UnsubscribePacket {
  const packetId = body.reader.packetId();
  const properties = body.properties("UNSUBSCRIBE");
  const filters = body.list(() => {
    const filter = body.reader.utf8String();
    checkFilter(filter, body.version);
    return filter;
  });
  return { type: "UNSUBSCRIBE", packetId, filters, properties };
}

function decodeUnsuback(body: Body): UnsubackPacket {
  const packetId = body.reader.packetId();
  if (body.version === 4) {
    return { type: "UNSUBACK", packetId, reasonCodes: [], properties: noProperties };
  }
  const properties = body.properties("UNSUBACK");
  const reasonCodes = body.list(() => body.reasonCode("UNSUBACK"));
  return { type: "UNSUBACK", packetId, reasonCodes, properties };
}

function decodeDisconnect(body: Body): DisconnectPacket {
  if (body.version === 4) return { type: "DISCONNECT", reasonCode: 0, properties: noProperties };
  return { type: "DISCONNECT", ...decodeOutcome("DISCONNECT", body) };
}

function decodeAuth(body: Body): AuthPacket {
  if (body.reader.atEnd) {
    checkReasonCode("AUTH", 0, 5, body.sender); // 5.0 3.15.2.1: Success, which only a server may say
    return { type: "AUTH", reasonCode: 0, properties: noProperties };
  }
  const reasonCode = body.reasonCode("AUTH");
  const properties = body.properties("AUTH");
  if (properties.authenticationMethod === undefined) {
    throw new MqttError("ERR_MQTT_AUTHENTICATION_METHOD"); // 5.0 3.15.2.2.2
  }
  return { type: "AUTH", reasonCode, properties };
}
