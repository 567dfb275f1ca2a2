import { MqttError } from "./errors.ts";
import type { PacketName, ProtocolVersion } from "./packet.ts";

export type Sender = "client" | "server";

export interface ReasonCodeDefinition {
  readonly value: number;
  readonly allowedIn: readonly PacketName[];
  /** The one side that may send it in DISCONNECT and AUTH; both where absent. Elsewhere the packet decides. */
  readonly sender?: Sender;
}

/** 5.0 tables 2-6, 3-1, 3-4 to 3-11, one row each; values from 0x80 on are refusals. */
export const reasonCodes = {
  success: {
    value: 0x00,
    allowedIn: ["CONNACK", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "UNSUBACK"],
  },
  normalDisconnection: { value: 0x00, allowedIn: ["DISCONNECT"] },
  authenticationSuccess: { value: 0x00, allowedIn: ["AUTH"], sender: "server" },
  grantedQoS0: { value: 0x00, allowedIn: ["SUBACK"] },
  grantedQoS1: { value: 0x01, allowedIn: ["SUBACK"] },
  grantedQoS2: { value: 0x02, allowedIn: ["SUBACK"] },
  disconnectWithWillMessage: { value: 0x04, allowedIn: ["DISCONNECT"], sender: "client" },
  noMatchingSubscribers: { value: 0x10, allowedIn: ["PUBACK", "PUBREC"] },
  noSubscriptionExisted: { value: 0x11, allowedIn: ["UNSUBACK"] },
  continueAuthentication: { value: 0x18, allowedIn: ["AUTH"] },
  reAuthenticate: { value: 0x19, allowedIn: ["AUTH"], sender: "client" },
  unspecifiedError: {
    value: 0x80,
    allowedIn: ["CONNACK", "PUBACK", "PUBREC", "SUBACK", "UNSUBACK", "DISCONNECT"],
  },
  malformedPacket: { value: 0x81, allowedIn: ["CONNACK", "DISCONNECT"] },
  protocolError: { value: 0x82, allowedIn: ["CONNACK", "DISCONNECT"] },
  implementationSpecificError: {
    value: 0x83,
    allowedIn: ["CONNACK", "PUBACK", "PUBREC", "SUBACK", "UNSUBACK", "DISCONNECT"],
  },
  unsupportedProtocolVersion: { value: 0x84, allowedIn: ["CONNACK"] },
  clientIdentifierNotValid: { value: 0x85, allowedIn: ["CONNACK"] },
  badUserNameOrPassword: { value: 0x86, allowedIn: ["CONNACK"] },
  notAuthorized: {
    value: 0x87,
    allowedIn: ["CONNACK", "PUBACK", "PUBREC", "SUBACK", "UNSUBACK", "DISCONNECT"],
    sender: "server",
  },
  serverUnavailable: { value: 0x88, allowedIn: ["CONNACK"] },
  serverBusy: { value: 0x89, allowedIn: ["CONNACK", "DISCONNECT"], sender: "server" },
  banned: { value: 0x8a, allowedIn: ["CONNACK"] },
  serverShuttingDown: { value: 0x8b, allowedIn: ["DISCONNECT"], sender: "server" },
  badAuthenticationMethod: { value: 0x8c, allowedIn: ["CONNACK", "DISCONNECT"], sender: "server" },
  keepAliveTimeout: { value: 0x8d, allowedIn: ["DISCONNECT"], sender: "server" },
  sessionTakenOver: { value: 0x8e, allowedIn: ["DISCONNECT"], sender: "server" },
  topicFilterInvalid: {
    value: 0x8f,
    allowedIn: ["SUBACK", "UNSUBACK", "DISCONNECT"],
    sender: "server",
  },
  topicNameInvalid: { value: 0x90, allowedIn: ["CONNACK", "PUBACK", "PUBREC", "DISCONNECT"] },
  packetIdentifierInUse: { value: 0x91, allowedIn: ["PUBACK", "PUBREC", "SUBACK", "UNSUBACK"] },
  packetIdentifierNotFound: { value: 0x92, allowedIn: ["PUBREL", "PUBCOMP"] },
  receiveMaximumExceeded: { value: 0x93, allowedIn: ["DISCONNECT"] },
  topicAliasInvalid: { value: 0x94, allowedIn: ["DISCONNECT"] },
  packetTooLarge: { value: 0x95, allowedIn: ["CONNACK", "DISCONNECT"] },
  messageRateTooHigh: { value: 0x96, allowedIn: ["DISCONNECT"] },
  quotaExceeded: {
    value: 0x97,
    allowedIn: ["CONNACK", "PUBACK", "PUBREC", "SUBACK", "DISCONNECT"],
  },
  administrativeAction: { value: 0x98, allowedIn: ["DISCONNECT"] },
  payloadFormatInvalid: { value: 0x99, allowedIn: ["CONNACK", "PUBACK", "PUBREC", "DISCONNECT"] },
  retainNotSupported: { value: 0x9a, allowedIn: ["CONNACK", "DISCONNECT"], sender: "server" },
  qosNotSupported: { value: 0x9b, allowedIn: ["CONNACK", "DISCONNECT"], sender: "server" },
  useAnotherServer: { value: 0x9c, allowedIn: ["CONNACK", "DISCONNECT"], sender: "server" },
  serverMoved: { value: 0x9d, allowedIn: ["CONNACK", "DISCONNECT"], sender: "server" },
  sharedSubscriptionsNotSupported: {
    value: 0x9e,
    allowedIn: ["SUBACK", "DISCONNECT"],
    sender: "server",
  },
  connectionRateExceeded: { value: 0x9f, allowedIn: ["CONNACK", "DISCONNECT"], sender: "server" },
  maximumConnectTime: { value: 0xa0, allowedIn: ["DISCONNECT"], sender: "server" },
  subscriptionIdentifiersNotSupported: {
    value: 0xa1,
    allowedIn: ["SUBACK", "DISCONNECT"],
    sender: "server",
  },
  wildcardSubscriptionsNotSupported: {
    value: 0xa2,
    allowedIn: ["SUBACK", "DISCONNECT"],
    sender: "server",
  },
} as const satisfies Record<string, ReasonCodeDefinition>;

/** 3.1.1 table 3.1, one row each, with the 5.0 Reason Codes that come down to it. */
export const connectReturnCodes = {
  accepted: { value: 0, from: [0x00] },
  unacceptableProtocolVersion: { value: 1, from: [0x84] },
  identifierRejected: { value: 2, from: [0x85] },
  serverUnavailable: { value: 3, from: [0x88, 0x89, 0x97, 0x9c, 0x9d, 0x9f] },
  badUserNameOrPassword: { value: 4, from: [0x86] },
  notAuthorized: { value: 5, from: [0x87, 0x8a] },
} as const satisfies Record<string, { value: number; from: readonly number[] }>;

/** 3.1.1 SUBACK: the granted QoS or failure, section 3.9.3. */
const subackReturnCodes: readonly number[] = [0x00, 0x01, 0x02, 0x80];

/**
 * The 3.1.1 Connect Return Code for a 5.0 CONNACK Reason Code; undefined where 3.1.1 has none and wants
 * the Network Connection closed without a CONNACK (3.1.1 [MQTT-3.2.2-6]).
 */
export function connectReturnCode(reasonCode: number): number | undefined {
  return Object.values(connectReturnCodes).find(({ from }) =>
    (from as readonly number[]).includes(reasonCode),
  )?.value;
}

/** Whether the Reason Code may stand in the packet; without a sender, whether either side may send it. */
export function reasonCodeAllowed(
  packet: PacketName,
  reasonCode: number,
  sender?: Sender,
): boolean {
  return (sendersOf[packet]?.[reasonCode] ?? []).some(
    (one) => sender === undefined || one === sender,
  );
}

/** Refuses a Reason Code that may not stand in the packet of that version and sender. */
export function checkReasonCode(
  packet: PacketName,
  reasonCode: number,
  version: ProtocolVersion,
  sender?: Sender,
): void {
  const allowed =
    version === 5
      ? reasonCodeAllowed(packet, reasonCode, sender)
      : (returnCodes311[packet] ?? [0]).includes(reasonCode);
  if (!allowed) throw new MqttError("ERR_MQTT_REASON_CODE");
}

const returnCodes311: Partial<Record<PacketName, readonly number[]>> = {
  CONNACK: Object.values(connectReturnCodes).map(({ value }) => value),
  SUBACK: subackReturnCodes,
};

const sendersOf = sendersByPacketAndCode();

function sendersByPacketAndCode(): Partial<Record<PacketName, Record<number, readonly Sender[]>>> {
  const table: Partial<Record<PacketName, Record<number, readonly Sender[]>>> = {};
  for (const row of Object.values<ReasonCodeDefinition>(reasonCodes)) {
    for (const packet of row.allowedIn) {
      const oneSide = packet === "DISCONNECT" || packet === "AUTH" ? row.sender : undefined;
      const packetRows = table[packet] ?? {};
      packetRows[row.value] = oneSide === undefined ? ["client", "server"] : [oneSide];
      table[packet] = packetRows;
    }
  }
  return table;
}
