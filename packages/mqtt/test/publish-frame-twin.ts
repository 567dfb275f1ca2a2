import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decodePacket,
  decodeUtf8,
  encodePacket,
  MqttError,
  type ProtocolVersion,
  PublishFrame,
  parseTopicName,
} from "../src/index.ts";
import { publish } from "./arbitrary-packet.ts";
import { bodyStart, bytes } from "./bytes.ts";
import { changedBody, changes } from "./changed-body.ts";

/** A PUBLISH of a client, as it is encoded or with changed bytes. */
export const publishBytes = fc
  .constantFrom<ProtocolVersion>(4, 5)
  .chain((version) =>
    fc.record({
      packet: publish("client", version),
      version: fc.constant(version),
      edits: fc.oneof(fc.constant([]), changes),
    }),
  )
  .map(({ packet, version, edits }) => {
    const whole = encodePacket(packet, version);
    const body = changedBody(whole.subarray(bodyStart(whole)), edits);
    return { firstByte: whole[0] ?? 0, hex: body.toString("hex"), version };
  });

/** One for all, as in the broker: what the packet before left in it must not show. */
const frame = new PublishFrame();

/** Decodes both ways in the middle of other bytes and compares what comes out. */
export function assertSameFrame(firstByte: number, hex: string, version: ProtocolVersion): void {
  const buffer = bytes(`ffff ${hex} 00ff`.replace(/\s+/g, ""));
  const end = buffer.length - 2;
  const plain = outcomeOf(() => fieldsOfPacket(firstByte, buffer, end, version));
  const hot = outcomeOf(() => fieldsOfFrame(firstByte, buffer, end, version));
  assert.deepEqual(hot, plain);
}

function outcomeOf(fields: () => object): object {
  try {
    return fields();
  } catch (error) {
    assert.ok(error instanceof MqttError, String(error));
    return { refused: true };
  }
}

function fieldsOfPacket(
  firstByte: number,
  buffer: Buffer,
  end: number,
  version: ProtocolVersion,
): object {
  const packet = decodePacket(firstByte, buffer, 2, end, version);
  assert.ok(packet.type === "PUBLISH");
  const { properties } = packet;
  return {
    qos: packet.qos,
    retain: packet.retain,
    dup: packet.dup,
    topic: packet.topic,
    packetId: packet.packetId ?? 0,
    payload: Buffer.from(packet.payload).toString("hex"),
    topicAlias: properties.topicAlias ?? 0,
    messageExpiryInterval: properties.messageExpiryInterval ?? -1,
    payloadFormatIndicator: properties.payloadFormatIndicator ?? -1,
    responseTopic: properties.responseTopic,
    userProperties: properties.userProperty?.length ?? 0,
  };
}

function fieldsOfFrame(
  firstByte: number,
  buffer: Buffer,
  end: number,
  version: ProtocolVersion,
): object {
  frame.decode(firstByte, buffer, 2, end, version);
  const topic = decodeUtf8(buffer, frame.topicStart, frame.topicEnd);
  if (topic !== "" || frame.topicAlias === 0) parseTopicName(topic); // what its caller does
  const hasResponseTopic = frame.responseTopicStart >= 0;
  if (frame.topicAliasAt >= 0) {
    assert.equal(buffer[frame.topicAliasAt], 0x23);
    assert.equal(buffer.readUInt16BE(frame.topicAliasAt + 1), frame.topicAlias);
  }
  if (frame.messageExpiryAt >= 0) {
    assert.equal(buffer.readUInt32BE(frame.messageExpiryAt), frame.messageExpiryInterval);
  }
  return {
    qos: frame.qos,
    retain: frame.retain,
    dup: frame.dup,
    topic,
    packetId: frame.packetId,
    payload: buffer.subarray(frame.payloadStart, frame.payloadEnd).toString("hex"),
    topicAlias: frame.topicAlias,
    messageExpiryInterval: frame.messageExpiryInterval,
    payloadFormatIndicator: frame.payloadFormatIndicator,
    responseTopic: hasResponseTopic
      ? decodeUtf8(buffer, frame.responseTopicStart, frame.responseTopicEnd)
      : undefined,
    userProperties: frame.userProperties,
  };
}
