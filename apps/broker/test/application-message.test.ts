import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  decodePacket,
  encodePacket,
  type PropertyValues,
  type ProtocolVersion,
  type PublishPacket,
  type QoS,
} from "@wardmq/mqtt";
import fc from "fast-check";
import type { Connection } from "../src/connection/connection.ts";
import { PublishHandler } from "../src/connection/publish.ts";
import {
  type ApplicationMessage,
  packetIdOffset,
  publishLength,
  writePublish,
} from "../src/routing/application-message.ts";
import { FrameCache } from "../src/routing/frame-cache.ts";
import { BrokerParts } from "./broker-parts.ts";
import { topicName } from "./topics.ts";

const text = fc.string({ maxLength: 6 }).map((value) => value.replaceAll("\0", ""));
/** What a client may put on a PUBLISH, in any order on the wire. */
const properties: fc.Arbitrary<PropertyValues> = fc
  .record(
    {
      payloadFormatIndicator: fc.constantFrom(0, 1),
      messageExpiryInterval: fc.integer({ min: 1, max: 0xffff_ffff }),
      topicAlias: fc.integer({ min: 1, max: 16 }),
      responseTopic: fc.constantFrom("reply", "a/b"),
      correlationData: fc.uint8Array({ maxLength: 5 }).map((value) => Buffer.from(value)),
      userProperty: fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 3 }),
      contentType: text,
    },
    { requiredKeys: [], noNullPrototype: true },
  )
  .chain((values) =>
    fc
      .shuffledSubarray(Object.keys(values), { minLength: Object.keys(values).length })
      .map((keys) =>
        Object.fromEntries(keys.map((key) => [key, values[key as keyof typeof values]])),
      ),
  );
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const);
const version = fc.constantFrom(4 as const, 5 as const);
/** Lengths on both sides of where a length takes one byte more. */
const payload = fc
  .oneof(fc.nat(20), fc.integer({ min: 100, max: 140 }), fc.integer({ min: 16_340, max: 16_400 }))
  .map((length) => Buffer.alloc(length, "payload "));

const sent = fc.record({
  topic: topicName.filter((name) => !name.startsWith("$")),
  payload,
  qos,
  retain: fc.boolean(),
  properties,
});
type Sent = typeof sent extends fc.Arbitrary<infer Value> ? Value : never;

/** Sends a PUBLISH through the handler of a connection and returns what it gives to the router, and when. */
function received(
  { topic, payload: body, qos: level, retain, properties: values }: Sent,
  from: ProtocolVersion,
) {
  const parts = new BrokerParts();
  let routed: ApplicationMessage | undefined;
  parts.router.publish = (message) => {
    routed = message;
    return 1;
  };
  const subject = parts.service("a");
  const { session } = parts.sessions.open(subject, "a", true);
  const connection = {
    context: parts.context,
    version: from,
    address: "",
    requester: { subject, clientId: "a" },
    sendPuback() {},
    sendPubrec() {},
  } as unknown as Connection;
  const bytes = encodePacket(
    {
      type: "PUBLISH",
      topic,
      payload: body,
      qos: level,
      retain,
      dup: false,
      packetId: level === 0 ? undefined : 77,
      properties: from === 5 ? values : {},
    },
    from,
  );
  // Behind other bytes, as in a read of the socket that brought several packets.
  const buffer = Buffer.concat([Buffer.alloc(7, 0xff), bytes, Buffer.alloc(3, 0xff)]);
  const start = 7 + bodyStart(bytes);
  new PublishHandler(connection, { session, inflight: 1 }).handle(
    bytes[0] as number,
    buffer,
    start,
    7 + bytes.length,
  );
  if (routed === undefined) throw new Error("nothing was routed");
  return { message: routed, buffer, now: parts.clock };
}

function bodyStart(packet: Buffer): number {
  return 2 + packet.subarray(1).findIndex((byte) => byte < 0x80);
}

function decoded(packet: Buffer, as: ProtocolVersion): PublishPacket {
  const packetOf = decodePacket(packet[0] as number, packet, bodyStart(packet), packet.length, as, {
    sender: "server",
  });
  assert.ok(packetOf.type === "PUBLISH");
  return packetOf;
}

/** One delivery of a message: everything in which two deliveries of it can differ. */
const delivery = fc.record({
  to: version,
  qos,
  retain: fc.boolean(),
  dup: fc.boolean(),
  packetId: fc.integer({ min: 1, max: 0xffff }),
  identifiers: fc.option(
    fc.array(fc.constantFrom(1, 127, 128, 268_435_455), { minLength: 1, maxLength: 3 }),
    {
      nil: undefined,
    },
  ),
  alias: fc.option(
    fc.record({ number: fc.integer({ min: 1, max: 0xffff }), isKnown: fc.boolean() }),
    {
      nil: undefined,
    },
  ),
  waitedMs: fc.option(fc.nat(10_000_000), { nil: undefined }),
  isKept: fc.boolean(),
});
type Delivery = typeof delivery extends fc.Arbitrary<infer Value> ? Value : never;

/** What the peer must read, made by the codec's own encoder and decoder. */
function expected(
  message: Sent,
  { to, alias, identifiers, waitedMs, ...rest }: Delivery,
  from: ProtocolVersion,
): PublishPacket {
  const { topicAlias: _, ...travelling } = from === 5 ? message.properties : ({} as PropertyValues);
  const { messageExpiryInterval } = travelling;
  const decremented =
    messageExpiryInterval === undefined || waitedMs === undefined
      ? {}
      : { messageExpiryInterval: Math.max(1, Math.ceil(messageExpiryInterval - waitedMs / 1_000)) };
  const values: PropertyValues = {
    ...travelling,
    ...decremented,
    ...(identifiers === undefined ? {} : { subscriptionIdentifier: identifiers }),
    ...(alias === undefined ? {} : { topicAlias: alias.number }),
  };
  const packet = {
    type: "PUBLISH",
    topic: alias?.isKnown === true && to === 5 ? "" : message.topic,
    payload: message.payload,
    qos: rest.qos,
    retain: rest.retain,
    dup: rest.dup && rest.qos > 0,
    packetId: rest.qos === 0 ? undefined : rest.packetId,
    properties: to === 5 ? values : {},
  } as const;
  return decoded(encodePacket(packet, to), to);
}

function written(message: ApplicationMessage, each: Delivery, now: number): Buffer {
  const alias = each.to === 5 ? each.alias : undefined;
  const identifiers =
    each.identifiers === undefined || each.to === 4
      ? undefined
      : encodedIdentifiers(each.identifiers);
  const topic = alias?.isKnown === true ? Buffer.alloc(2) : message.topic.encoded;
  const length = publishLength(
    message,
    each.to,
    each.qos,
    identifiers,
    topic.length,
    alias?.number ?? 0,
  );
  const out = Buffer.alloc(length + 10, 0xee);
  const end = writePublish(
    out,
    5,
    message,
    each.to,
    each.qos,
    each.retain,
    each.dup && each.qos > 0,
    each.packetId,
    identifiers,
    topic,
    alias?.number ?? 0,
    each.waitedMs === undefined ? 0 : now + each.waitedMs,
  );
  assert.equal(end, 5 + length, "the length that was promised");
  assert.deepEqual(out.subarray(end), Buffer.alloc(5, 0xee), "nothing behind the end");
  if (each.qos > 0) assert.equal(out.readUInt16BE(5 + packetIdOffset), each.packetId);
  return out.subarray(5, end);
}

function encodedIdentifiers(identifiers: readonly number[]): Buffer {
  const packet = encodePacket(
    {
      type: "PUBLISH",
      topic: "t",
      payload: Buffer.alloc(0),
      qos: 0,
      retain: false,
      dup: false,
      packetId: undefined,
      properties: { subscriptionIdentifier: identifiers as [number, ...number[]] },
    },
    5,
  );
  return packet.subarray(bodyStart(packet) + 4);
}

describe("an Application Message on the wire", () => {
  test("is what the codec would write, for every version, QoS, flag, identifier, alias, age, kept or not", () => {
    fc.assert(
      fc.property(sent, version, delivery, (message, from, each) => {
        const { message: routed, buffer, now } = received(message, from);
        const carried = each.isKept ? routed.keep() : routed;
        if (each.isKept) buffer.fill(0xdd); // the buffer it arrived in is used again
        assert.deepEqual(
          decoded(written(carried, each, now), each.to),
          expected(message, each, from),
        );
      }),
      { numRuns: 600 },
    );
  });

  test("travels without the publisher's alias, wherever that stands among the properties", () => {
    const others: PropertyValues = {
      messageExpiryInterval: 60,
      userProperty: [
        ["b", "2"],
        ["a", "1"],
      ],
      responseTopic: "r",
    };
    const names = Object.keys(others);
    for (let at = 0; at <= names.length; at += 1) {
      const keys = [...names.slice(0, at), "topicAlias", ...names.slice(at)];
      const values = Object.fromEntries(
        keys.map((key) => [key, { topicAlias: 3, ...others }[key]]),
      );
      const message = {
        topic: "t",
        payload: Buffer.from("p"),
        qos: 1,
        retain: false,
        properties: values,
      } as const;
      const { message: routed, now } = received(message, 5);
      const each: Delivery = {
        to: 5,
        qos: 0,
        retain: false,
        dup: false,
        packetId: 1,
        identifiers: undefined,
        alias: undefined,
        waitedMs: 10_500,
        isKept: false,
      };
      assert.deepEqual(
        { ...decoded(written(routed.keep(), each, now), 5).properties },
        { ...others, messageExpiryInterval: 50 },
      );
    }
  });

  test("counts its expiry down from when it came, and never below one second", () => {
    for (const [interval, waitedMs, left] of [
      [10, 0, 10],
      [10, 1, 10],
      [10, 1_000, 9],
      [10, 9_999, 1],
      [10, 50_000, 1],
      [0xffff_ffff, 1_000, 0xffff_fffe],
    ] as const) {
      const values = { messageExpiryInterval: interval };
      const message = {
        topic: "t",
        payload: Buffer.alloc(0),
        qos: 0,
        retain: false,
        properties: values,
      } as const;
      const { message: routed, now } = received(message, 5);
      const each = {
        to: 5,
        qos: 0,
        retain: false,
        dup: false,
        packetId: 1,
        isKept: false,
      } as const;
      const bytes = written(
        routed,
        { ...each, identifiers: undefined, alias: undefined, waitedMs },
        now,
      );
      assert.equal(decoded(bytes, 5).properties.messageExpiryInterval, left);
    }
  });

  test("is the same from the cache of frames, whatever was asked of it before", () => {
    const asked = fc.array(fc.record({ to: version, qos, retain: fc.boolean() }), { maxLength: 8 });
    const cache = new FrameCache();
    fc.assert(
      fc.property(sent, version, asked, (message, from, all) => {
        const { message: routed } = received(message, from);
        cache.begin(routed);
        for (const { to, qos: level, retain } of all) {
          const frame = cache.get(to, level > 0, retain);
          const bytes = Buffer.from(frame.bytes.subarray(0, frame.length));
          if (level === 2) bytes[0] = (bytes[0] as number) + 2;
          if (level > 0) bytes.writeUInt16BE(513, frame.packetIdOffset);
          const length = publishLength(
            routed,
            to,
            level,
            undefined,
            routed.topic.encoded.length,
            0,
          );
          const out = Buffer.alloc(length);
          writePublish(
            out,
            0,
            routed,
            to,
            level as QoS,
            retain,
            false,
            513,
            undefined,
            routed.topic.encoded,
            0,
            0,
          );
          assert.deepEqual(bytes, out);
        }
      }),
    );
  });
});
