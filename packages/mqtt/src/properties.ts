import type { PacketName } from "./packet.ts";

/** The Control Packets a property may stand in; WILL is the Will Properties of a CONNECT. */
export type PropertyPlace = PacketName | "WILL";
export type PropertyType =
  | "byte"
  | "twoByteInteger"
  | "fourByteInteger"
  | "variableByteInteger"
  | "utf8String"
  | "utf8StringPair"
  | "binaryData";

export interface PropertyDefinition {
  readonly id: number;
  readonly type: PropertyType;
  readonly allowedIn: readonly PropertyPlace[];
  readonly repeatable?: true;
  /** Of a number, where it is narrower than its type. */
  readonly minimum?: number;
  readonly maximum?: number;
}

const anywhere: readonly PropertyPlace[] = [
  "CONNECT",
  "CONNACK",
  "PUBLISH",
  "WILL",
  "PUBACK",
  "PUBREC",
  "PUBREL",
  "PUBCOMP",
  "SUBSCRIBE",
  "SUBACK",
  "UNSUBSCRIBE",
  "UNSUBACK",
  "DISCONNECT",
  "AUTH",
];
const reasonStringPlaces: readonly PropertyPlace[] = [
  "CONNACK",
  "PUBACK",
  "PUBREC",
  "PUBREL",
  "PUBCOMP",
  "SUBACK",
  "UNSUBACK",
  "DISCONNECT",
  "AUTH",
];

/** 5.0 table 2-4, one row each; the decoder, the encoder and the tests read it. */
export const properties = {
  payloadFormatIndicator: { id: 0x01, type: "byte", allowedIn: ["PUBLISH", "WILL"], maximum: 1 },
  messageExpiryInterval: { id: 0x02, type: "fourByteInteger", allowedIn: ["PUBLISH", "WILL"] },
  contentType: { id: 0x03, type: "utf8String", allowedIn: ["PUBLISH", "WILL"] },
  responseTopic: { id: 0x08, type: "utf8String", allowedIn: ["PUBLISH", "WILL"] },
  correlationData: { id: 0x09, type: "binaryData", allowedIn: ["PUBLISH", "WILL"] },
  /** Repeatable in a PUBLISH only, from server to client only; once in SUBSCRIBE. */
  subscriptionIdentifier: {
    id: 0x0b,
    type: "variableByteInteger",
    allowedIn: ["PUBLISH", "SUBSCRIBE"],
    repeatable: true,
    minimum: 1,
  },
  sessionExpiryInterval: {
    id: 0x11,
    type: "fourByteInteger",
    allowedIn: ["CONNECT", "CONNACK", "DISCONNECT"],
  },
  assignedClientIdentifier: { id: 0x12, type: "utf8String", allowedIn: ["CONNACK"] },
  serverKeepAlive: { id: 0x13, type: "twoByteInteger", allowedIn: ["CONNACK"] },
  authenticationMethod: {
    id: 0x15,
    type: "utf8String",
    allowedIn: ["CONNECT", "CONNACK", "AUTH"],
  },
  authenticationData: { id: 0x16, type: "binaryData", allowedIn: ["CONNECT", "CONNACK", "AUTH"] },
  requestProblemInformation: { id: 0x17, type: "byte", allowedIn: ["CONNECT"], maximum: 1 },
  willDelayInterval: { id: 0x18, type: "fourByteInteger", allowedIn: ["WILL"] },
  requestResponseInformation: { id: 0x19, type: "byte", allowedIn: ["CONNECT"], maximum: 1 },
  responseInformation: { id: 0x1a, type: "utf8String", allowedIn: ["CONNACK"] },
  serverReference: { id: 0x1c, type: "utf8String", allowedIn: ["CONNACK", "DISCONNECT"] },
  reasonString: { id: 0x1f, type: "utf8String", allowedIn: reasonStringPlaces },
  receiveMaximum: {
    id: 0x21,
    type: "twoByteInteger",
    allowedIn: ["CONNECT", "CONNACK"],
    minimum: 1,
  },
  topicAliasMaximum: { id: 0x22, type: "twoByteInteger", allowedIn: ["CONNECT", "CONNACK"] },
  topicAlias: { id: 0x23, type: "twoByteInteger", allowedIn: ["PUBLISH"], minimum: 1 },
  maximumQoS: { id: 0x24, type: "byte", allowedIn: ["CONNACK"], maximum: 1 },
  retainAvailable: { id: 0x25, type: "byte", allowedIn: ["CONNACK"], maximum: 1 },
  userProperty: { id: 0x26, type: "utf8StringPair", allowedIn: anywhere, repeatable: true },
  maximumPacketSize: {
    id: 0x27,
    type: "fourByteInteger",
    allowedIn: ["CONNECT", "CONNACK"],
    minimum: 1,
  },
  wildcardSubscriptionAvailable: { id: 0x28, type: "byte", allowedIn: ["CONNACK"], maximum: 1 },
  subscriptionIdentifierAvailable: { id: 0x29, type: "byte", allowedIn: ["CONNACK"], maximum: 1 },
  sharedSubscriptionAvailable: { id: 0x2a, type: "byte", allowedIn: ["CONNACK"], maximum: 1 },
} as const satisfies Record<string, PropertyDefinition>;

export type PropertyName = keyof typeof properties;

/** What a property of each type holds. */
export interface PropertyValueOf {
  byte: number;
  twoByteInteger: number;
  fourByteInteger: number;
  variableByteInteger: number;
  utf8String: string;
  utf8StringPair: readonly [name: string, value: string];
  binaryData: Uint8Array;
}

/** The properties of one packet by name; a repeatable one is a list in the order of the wire. */
export type PropertyValues = {
  readonly [Name in PropertyName]?: (typeof properties)[Name] extends { readonly repeatable: true }
    ? readonly PropertyValueOf[(typeof properties)[Name]["type"]][]
    : PropertyValueOf[(typeof properties)[Name]["type"]];
};
