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
    fc.array(fc.tuple(fc.constantFrom("set", "insert", "remove", "cut"), fc.nat(), fc.nat(0xff)), {
      minLength: 1,
      maxLength: 3,
    }),
    ({ packet, version, sender }, changes) => {
      const whole = encodePacket(packet, version);
      let body = whole.subarray(bodyStart(whole));
      for (const [kind, where, byte] of changes) body = changed(body, kind, where, byte);
      assertPacketOrError(whole[0] ?? 0, body, version, sender);
    },
  ),
} satisfies Record<string, fc.IRawProperty<unknown>>;

function changed(body: Buffer, kind: string, where: number, byte: number): Buffer {
  const at = where % (body.length + 1);
  const rest = kind === "insert" ? at : at + 1;
  if (kind === "cut") return body.subarray(0, at);
  const middle = kind === "remove" ? [] : [byte];
  return Buffer.concat([body.subarray(0, at), Buffer.from(middle), body.subarray(rest)]);
}

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
