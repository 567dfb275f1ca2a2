import { decodeProperties, noProperties } from "./decode-properties.ts";
import { MqttError } from "./errors.ts";
import type { ConnectPacket, ProtocolVersion, QoS, WillMessage } from "./packet.ts";
import { Reader } from "./reader.ts";
import { parseTopicName } from "./topic-name.ts";
import { isUtf8Payload } from "./utf8.ts";

/** The bits of the Connect Flags, 5.0 section 3.1.2.3. */
export const connectFlags = {
  reserved: 0x01,
  cleanStart: 0x02,
  will: 0x04,
  willQoS: 0x18,
  willRetain: 0x20,
  password: 0x40,
  username: 0x80,
} as const;

/** Decodes the bytes of a CONNECT after its fixed header; the version is the one the packet names. */
export function decodeConnect(
  buffer: Buffer,
  start: number,
  end: number,
  maximumUserProperties = Number.POSITIVE_INFINITY,
): ConnectPacket {
  const reader = new Reader(buffer, start, end);
  const version = decodeVersion(reader);
  const flags = reader.byte();
  checkConnectFlags(flags, version);
  const keepAlive = reader.twoByteInteger();
  const properties =
    version === 5
      ? decodeProperties(reader, "CONNECT", "client", maximumUserProperties)
      : noProperties;
  const cleanStart = (flags & connectFlags.cleanStart) !== 0;
  const clientId = reader.utf8String();
  if (version === 4 && clientId === "" && !cleanStart) {
    throw new MqttError("ERR_MQTT_CLIENT_ID"); // 3.1.1 [MQTT-3.1.3-8]
  }
  const will =
    (flags & connectFlags.will) === 0
      ? undefined
      : decodeWill(reader, flags, version, maximumUserProperties);
  const username = (flags & connectFlags.username) === 0 ? undefined : reader.utf8String();
  const password = (flags & connectFlags.password) === 0 ? undefined : reader.binaryData();
  reader.expectEnd();
  return {
    type: "CONNECT",
    version,
    cleanStart,
    keepAlive,
    clientId,
    will,
    username,
    password,
    properties,
  };
}

/**
 * The version in which to answer a CONNECT, well-formed or not; undefined where it does not even begin like
 * one and must get no answer. A version older than 3.1.1 is told so in the form of 3.1.1, a newer one in 5.0.
 */
export function connackVersion(
  buffer: Buffer,
  start: number,
  end: number,
): ProtocolVersion | undefined {
  const name =
    end - start < 2 ? "" : buffer.toString("latin1", start + 2, Math.min(end, start + 8));
  if (name.startsWith("MQTT") && buffer.readUInt16BE(start) === 4 && end - start > 6) {
    return (buffer[start + 6] as number) < 5 ? 4 : 5;
  }
  return name === "MQIsdp" && buffer.readUInt16BE(start) === 6 ? 4 : undefined;
}

function decodeVersion(reader: Reader): ProtocolVersion {
  if (reader.utf8String() !== "MQTT") throw new MqttError("ERR_MQTT_PROTOCOL_NAME"); // 5.0 [MQTT-3.1.2-1]
  const version = reader.byte();
  if (version !== 4 && version !== 5) throw new MqttError("ERR_MQTT_PROTOCOL_VERSION"); // 5.0 [MQTT-3.1.2-2]
  return version;
}

/** Refuses Connect Flags that set the reserved bit or speak of a will or password without what it needs. */
export function checkConnectFlags(flags: number, version: ProtocolVersion): void {
  const { reserved, will, willQoS, willRetain, username, password } = connectFlags;
  const contradiction =
    (flags & reserved) !== 0 || // 5.0 [MQTT-3.1.2-3]
    (flags & willQoS) === willQoS || // 5.0 [MQTT-3.1.2-12]
    ((flags & will) === 0 && (flags & (willQoS | willRetain)) !== 0) || // 5.0 [MQTT-3.1.2-11], [MQTT-3.1.2-13]
    (version === 4 && (flags & password) !== 0 && (flags & username) === 0); // 3.1.1 [MQTT-3.1.2-22]
  if (contradiction) throw new MqttError("ERR_MQTT_CONNECT_FLAGS");
}

function decodeWill(
  reader: Reader,
  flags: number,
  version: ProtocolVersion,
  maximumUserProperties: number,
): WillMessage {
  const properties =
    version === 5
      ? decodeProperties(reader, "WILL", "client", maximumUserProperties)
      : noProperties;
  const topic = parseTopicName(reader.utf8String());
  const payload = reader.binaryData();
  checkPayloadFormat(payload, properties.payloadFormatIndicator);
  const qos = ((flags & connectFlags.willQoS) >> 3) as QoS;
  return { topic, payload, qos, retain: (flags & connectFlags.willRetain) !== 0, properties };
}

/** Refuses a payload that is not the UTF-8 its Payload Format Indicator promises, 5.0 sections 3.1.3.2.3 and 3.3.2.3.2. */
export function checkPayloadFormat(payload: Uint8Array, indicator: number | undefined): void {
  if (indicator === 1 && !isUtf8Payload(payload, 0, payload.length)) {
    throw new MqttError("ERR_MQTT_PAYLOAD_FORMAT");
  }
}
