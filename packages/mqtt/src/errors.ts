/** One row an error: the 5.0 Reason Code it is answered with, and what people read. */
export interface MqttErrorDefinition {
  readonly reasonCode: number;
  readonly message: string;
}

/**
 * Every way in which bytes or values fail to be MQTT. The Reason Code is the one the text of 5.0 names
 * for the case, 0x82 where data is readable but not permitted, else 0x81 (1.2, 4.13).
 */
export const mqttErrors = {
  ERR_MQTT_TRUNCATED: { reasonCode: 0x81, message: "the packet ends before its fields do" },
  ERR_MQTT_BYTES_LEFT_OVER: {
    reasonCode: 0x81,
    message: "bytes are left over behind the last field of the packet",
  },
  ERR_MQTT_VARIABLE_BYTE_INTEGER: {
    reasonCode: 0x81,
    message: "a variable byte integer is longer than four bytes, not minimal or too large",
  },
  ERR_MQTT_UTF8: {
    reasonCode: 0x81,
    message: "a string is not well-formed UTF-8, holds U+0000 or is longer than 65535 bytes",
  },
  ERR_MQTT_BINARY_DATA: { reasonCode: 0x81, message: "binary data is longer than 65535 bytes" },
  ERR_MQTT_INTEGER: { reasonCode: 0x81, message: "an integer does not fit its field" },
  ERR_MQTT_PACKET_TYPE: {
    reasonCode: 0x81,
    message: "the packet type is reserved in this version of MQTT",
  },
  ERR_MQTT_DIRECTION: {
    reasonCode: 0x82,
    message: "this side may not send this type of packet",
  },
  ERR_MQTT_FIXED_HEADER_FLAGS: {
    reasonCode: 0x81,
    message: "the flags of the fixed header are not those of this type of packet",
  },
  ERR_MQTT_PUBLISH_QOS: { reasonCode: 0x81, message: "the QoS of a message is not 0, 1 or 2" },
  ERR_MQTT_PUBLISH_DUP: { reasonCode: 0x81, message: "the DUP flag is set on a QoS 0 message" },
  ERR_MQTT_PACKET_ID: {
    reasonCode: 0x82,
    message: "a packet identifier is 0, missing, or not expected",
  },
  ERR_MQTT_PROTOCOL_NAME: { reasonCode: 0x84, message: "the protocol name is not MQTT" },
  ERR_MQTT_PROTOCOL_VERSION: {
    reasonCode: 0x84,
    message: "the protocol version is neither 4 (MQTT 3.1.1) nor 5 (MQTT 5.0)",
  },
  ERR_MQTT_CONNECT_FLAGS: {
    reasonCode: 0x81,
    message: "the CONNECT flags contradict each other or set the reserved bit",
  },
  ERR_MQTT_CLIENT_ID: {
    reasonCode: 0x85,
    message: "a 3.1.1 client without a client identifier did not ask for a clean session",
  },
  ERR_MQTT_CONNACK_FLAGS: {
    reasonCode: 0x81,
    message: "the CONNACK flags set a reserved bit",
  },
  ERR_MQTT_SESSION_PRESENT: {
    reasonCode: 0x82,
    message: "a refusing CONNACK says that a session is present",
  },
  ERR_MQTT_TOPIC_NAME: {
    reasonCode: 0x90,
    message: "a topic name is empty, too long, or holds a wildcard",
  },
  ERR_MQTT_TOPIC_MISSING: {
    reasonCode: 0x82,
    message: "a PUBLISH has neither a topic name nor a topic alias",
  },
  ERR_MQTT_TOPIC_FILTER: {
    reasonCode: 0x8f,
    message: "a topic filter is empty, too long, or has a wildcard that is not a level of its own",
  },
  ERR_MQTT_SHARED_SUBSCRIPTION: {
    reasonCode: 0x8f,
    message: "a shared subscription is not $share/NAME/FILTER, or its name holds + or #",
  },
  ERR_MQTT_TOPIC_ALIAS: { reasonCode: 0x94, message: "a topic alias is 0 or above the maximum" },
  ERR_MQTT_EMPTY_LIST: {
    reasonCode: 0x82,
    message: "a packet that must name at least one topic filter or reason code names none",
  },
  ERR_MQTT_SUBSCRIPTION_OPTIONS: {
    reasonCode: 0x81,
    message: "the subscription options set a reserved bit",
  },
  ERR_MQTT_SUBSCRIPTION_QOS: {
    reasonCode: 0x82,
    message: "the maximum QoS of a subscription is not 0, 1 or 2",
  },
  ERR_MQTT_RETAIN_HANDLING: {
    reasonCode: 0x82,
    message: "the retain handling of a subscription is not 0, 1 or 2",
  },
  ERR_MQTT_NO_LOCAL_SHARED: {
    reasonCode: 0x82,
    message: "no local is set on a shared subscription",
  },
  ERR_MQTT_PROPERTY_NOT_ALLOWED: {
    reasonCode: 0x81,
    message: "a property is unknown or not allowed in this packet",
  },
  ERR_MQTT_PROPERTY_SENDER: {
    reasonCode: 0x82,
    message: "this side may not send this property in this packet",
  },
  ERR_MQTT_PROPERTY_DUPLICATE: {
    reasonCode: 0x82,
    message: "a property that may stand once is repeated",
  },
  ERR_MQTT_PROPERTY_VALUE: {
    reasonCode: 0x82,
    message: "the value of a property is outside of its range",
  },
  ERR_MQTT_RESPONSE_TOPIC: {
    reasonCode: 0x82,
    message: "a response topic is empty or holds a wildcard",
  },
  ERR_MQTT_AUTHENTICATION_METHOD: {
    reasonCode: 0x82,
    message: "authentication data or an AUTH packet comes without an authentication method",
  },
  ERR_MQTT_REASON_CODE: {
    reasonCode: 0x82,
    message: "the reason code is not allowed in this packet or from this side",
  },
  ERR_MQTT_PAYLOAD_FORMAT: {
    reasonCode: 0x99,
    message: "the payload is not the UTF-8 that its payload format indicator says",
  },
  ERR_MQTT_RECEIVE_MAXIMUM: {
    reasonCode: 0x93,
    message: "more QoS 1 and 2 messages are in flight than the receive maximum",
  },
  ERR_MQTT_PACKET_TOO_LARGE: {
    reasonCode: 0x95,
    message: "the packet is larger than the maximum packet size",
  },
  ERR_MQTT_USER_PROPERTIES: {
    reasonCode: 0x97,
    message: "the packet has more user properties than the limit",
  },
} as const satisfies Record<string, MqttErrorDefinition>;

export type MqttErrorCode = keyof typeof mqttErrors;

/** The only error this package throws for bytes or values that are not MQTT; its text holds none of them. */
export class MqttError extends Error {
  readonly code: MqttErrorCode;
  /** The 5.0 Reason Code to answer with. */
  readonly reasonCode: number;

  constructor(code: MqttErrorCode) {
    super(mqttErrors[code].message);
    this.name = "MqttError";
    this.code = code;
    this.reasonCode = mqttErrors[code].reasonCode;
  }
}
