import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decodePacket,
  encodePacket,
  MqttError,
  type ProtocolVersion,
  type Sender,
} from "../src/index.ts";
import { sentPacket } from "./arbitrary-packet.ts";
import { bodyStart, decodeWhole } from "./bytes.ts";
import { changedBody, changes } from "./changed-body.ts";
import { assertSameFrame, publishBytes } from "./publish-frame-twin.ts";

/** What must hold for all packets and all bytes; the tests run these a little, the fuzzer for as long as it is told. */
export const codecProperties = {
  "decode(encode(packet)) is packet": fc.property(sentPacket, ({ packet, version, sender }) => {
    assert.deepStrictEqual(decodeWhole(encodePacket(packet, version), version, { sender }), packet);
  }),

  "any bytes give a packet or an MqttError": fc.property(
    fc.nat(0xff),
    fc.uint8Array({ maxLength: 64 }),
    fc.constantFrom<ProtocolVersion>(4, 5),
    fc.constantFrom<Sender>("client", "server"),
    (firstByte, body, version, sender) => assertPacketOrError(firstByte, body, version, sender),
  ),

  "a packet with changed bytes gives a packet or an MqttError": fc.property(
    sentPacket,
    changes,
    ({ packet, version, sender }, edits) => {
      const whole = encodePacket(packet, version);
      const body = changedBody(whole.subarray(bodyStart(whole)), edits);
      assertPacketOrError(whole[0] ?? 0, body, version, sender);
    },
  ),

  "a PublishFrame takes and refuses what decodePacket does, and finds the same in it": fc.property(
    publishBytes,
    ({ firstByte, hex, version }) => assertSameFrame(firstByte, hex, version),
  ),
} satisfies Record<string, fc.IRawProperty<unknown>>;

/** What is decoded can be encoded, and is the same when it is decoded again. */
function assertPacketOrError(
  firstByte: number,
  body: Uint8Array,
  version: ProtocolVersion,
  sender: Sender,
): void {
  const buffer = Buffer.from(body);
  let packet: ReturnType<typeof decodePacket>;
  try {
    packet = decodePacket(firstByte, buffer, 0, buffer.length, version, { sender });
  } catch (error) {
    assert.ok(error instanceof MqttError, `threw ${String(error)}`);
    return;
  }
  const again = packet.type === "CONNECT" ? packet.version : version;
  assert.deepStrictEqual(decodeWhole(encodePacket(packet, again), again, { sender }), packet);
}
