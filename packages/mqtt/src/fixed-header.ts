import { MqttError } from "./errors.ts";
import { type PacketName, type ProtocolVersion, packetTypes } from "./packet.ts";
import type { Sender } from "./reason-codes.ts";

interface FixedHeader {
  /** The four flag bits, 5.0 table 2-2; those of PUBLISH carry values. */
  readonly flags?: number;
  readonly sentBy: readonly Sender[];
  /** Those of them who may not send it in 3.1.1. */
  readonly onlyIn5?: readonly Sender[];
}

const client: readonly Sender[] = ["client"];
const server: readonly Sender[] = ["server"];
const both: readonly Sender[] = ["client", "server"];

/** 5.0 tables 2-1 and 2-2, 3.1.1 tables 2.1 and 2.2. */
export const fixedHeaders: Readonly<Record<PacketName, FixedHeader>> = {
  CONNECT: { flags: 0, sentBy: client },
  CONNACK: { flags: 0, sentBy: server },
  PUBLISH: { sentBy: both },
  PUBACK: { flags: 0, sentBy: both },
  PUBREC: { flags: 0, sentBy: both },
  PUBREL: { flags: 2, sentBy: both },
  PUBCOMP: { flags: 0, sentBy: both },
  SUBSCRIBE: { flags: 2, sentBy: client },
  SUBACK: { flags: 0, sentBy: server },
  UNSUBSCRIBE: { flags: 2, sentBy: client },
  UNSUBACK: { flags: 0, sentBy: server },
  PINGREQ: { flags: 0, sentBy: client },
  PINGRESP: { flags: 0, sentBy: server },
  DISCONNECT: { flags: 0, sentBy: both, onlyIn5: server },
  AUTH: { flags: 0, sentBy: both },
};

const names: readonly (PacketName | undefined)[] = Array.from({ length: 16 }, (_, type) =>
  (Object.keys(packetTypes) as PacketName[]).find((name) => packetTypes[name] === type),
);

/** The type of packet a first byte announces; throws where its type, direction or flags are not allowed. */
export function decodeFirstByte(
  firstByte: number,
  version: ProtocolVersion,
  sender: Sender,
): PacketName {
  const name = names[firstByte >> 4];
  if (name === undefined || (name === "AUTH" && version === 4)) {
    throw new MqttError("ERR_MQTT_PACKET_TYPE"); // 5.0 table 2-1, 3.1.1 table 2.1
  }
  const { flags, sentBy, onlyIn5 } = fixedHeaders[name];
  if (!sentBy.includes(sender) || (version === 4 && onlyIn5?.includes(sender))) {
    throw new MqttError("ERR_MQTT_DIRECTION");
  }
  if (flags !== undefined && (firstByte & 0x0f) !== flags) {
    throw new MqttError("ERR_MQTT_FIXED_HEADER_FLAGS"); // 5.0 [MQTT-2.1.3-1], 3.1.1 [MQTT-2.2.2-2]
  }
  return name;
}
