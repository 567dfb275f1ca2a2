import type { PropertyValues } from "./properties.ts";

/** The protocol level of the CONNECT: 4 is MQTT 3.1.1, 5 is MQTT 5.0. MQTT 3.1 (level 3) is not spoken. */
export type ProtocolVersion = 4 | 5;
export type QoS = 0 | 1 | 2;

/** Control Packet types, 5.0 section 2.1.2. */
export const packetTypes = {
  CONNECT: 1,
  CONNACK: 2,
  PUBLISH: 3,
  PUBACK: 4,
  PUBREC: 5,
  PUBREL: 6,
  PUBCOMP: 7,
  SUBSCRIBE: 8,
  SUBACK: 9,
  UNSUBSCRIBE: 10,
  UNSUBACK: 11,
  PINGREQ: 12,
  PINGRESP: 13,
  DISCONNECT: 14,
  AUTH: 15,
} as const;
export type PacketName = keyof typeof packetTypes;

export interface WillMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties: PropertyValues;
}

export interface ConnectPacket {
  readonly type: "CONNECT";
  readonly version: ProtocolVersion;
  /** 5.0 Clean Start, 3.1.1 Clean Session. */
  readonly cleanStart: boolean;
  readonly keepAlive: number;
  readonly clientId: string;
  readonly will: WillMessage | undefined;
  readonly username: string | undefined;
  readonly password: Uint8Array | undefined;
  readonly properties: PropertyValues;
}

export interface ConnackPacket {
  readonly type: "CONNACK";
  readonly sessionPresent: boolean;
  /** A 5.0 Reason Code or a 3.1.1 Connect Return Code. */
  readonly reasonCode: number;
  readonly properties: PropertyValues;
}

export interface PublishPacket {
  readonly type: "PUBLISH";
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly dup: boolean;
  /** Present when, and only when, qos > 0. */
  readonly packetId: number | undefined;
  readonly properties: PropertyValues;
}

/** PUBACK, PUBREC, PUBREL, PUBCOMP: one shape, 5.0 sections 3.4 to 3.7. */
export interface AcknowledgementPacket {
  readonly type: "PUBACK" | "PUBREC" | "PUBREL" | "PUBCOMP";
  readonly packetId: number;
  readonly reasonCode: number;
  readonly properties: PropertyValues;
}

export interface SubscriptionRequest {
  readonly filter: string;
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
}

export interface SubscribePacket {
  readonly type: "SUBSCRIBE";
  readonly packetId: number;
  readonly subscriptions: readonly SubscriptionRequest[];
  readonly properties: PropertyValues;
}

export interface SubackPacket {
  readonly type: "SUBACK";
  readonly packetId: number;
  readonly reasonCodes: readonly number[];
  readonly properties: PropertyValues;
}

export interface UnsubscribePacket {
  readonly type: "UNSUBSCRIBE";
  readonly packetId: number;
  readonly filters: readonly string[];
  readonly properties: PropertyValues;
}

export interface UnsubackPacket {
  readonly type: "UNSUBACK";
  readonly packetId: number;
  /** Empty on 3.1.1, whose UNSUBACK has no payload. */
  readonly reasonCodes: readonly number[];
  readonly properties: PropertyValues;
}

export interface PingreqPacket {
  readonly type: "PINGREQ";
}

export interface PingrespPacket {
  readonly type: "PINGRESP";
}

export interface DisconnectPacket {
  readonly type: "DISCONNECT";
  readonly reasonCode: number;
  readonly properties: PropertyValues;
}

export interface AuthPacket {
  readonly type: "AUTH";
  readonly reasonCode: number;
  readonly properties: PropertyValues;
}

export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | AcknowledgementPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | UnsubackPacket
  | PingreqPacket
  | PingrespPacket
  | DisconnectPacket
  | AuthPacket;
