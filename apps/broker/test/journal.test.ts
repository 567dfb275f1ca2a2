import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Packet } from "@wardmq/mqtt";
import { BrokerParts } from "./broker-parts.ts";
import { SlowStore } from "./slow-store.ts";

const kept = { cleanStart: false, properties: { sessionExpiryInterval: 1_000 } } as const;

describe("a session that may outlive its connection", () => {
  /** Two services, one of which keeps a session that has subscribed to everything. */
  function scene() {
    const store = new SlowStore();
    const parts = new BrokerParts({ store });
    const finish = () => {
      while (store.isBusy) {
        store.finish();
        parts.turn();
      }
    };
    const reader = parts.link(parts.service("a"));
    reader.connect({ clientId: "reader", ...kept });
    reader.send({
      type: "SUBSCRIBE",
      packetId: 1,
      subscriptions: [
        { filter: "#", qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 },
      ],
      properties: {},
    });
    finish();
    reader.take();
    const writer = parts.link(parts.service("b"));
    writer.connect({ clientId: "writer" });
    const publishOf = (text: string, qos: 1 | 2, packetId: number): Packet => ({
      type: "PUBLISH",
      topic: "t",
      qos,
      packetId,
      retain: false,
      dup: false,
      payload: Buffer.from(text),
      properties: {},
    });
    const publish = (text: string, qos: 1 | 2, packetId: number) =>
      writer.send(publishOf(text, qos, packetId));
    /** In one turn of the event loop more than one segment holds. */
    const much = (): readonly string[] => {
      const texts = [1, 2, 3, 4].map((i) => `${i}`.repeat(80_000));
      writer.send(...texts.map((text, i) => publishOf(text, 2, i + 1)));
      return texts;
    };
    return { store, parts, reader, writer, publish, much, finish };
  }

  test("gets its PUBLISH, and the publisher its PUBACK, only after the commit", () => {
    const { writer, reader, publish, finish } = scene();
    publish("one", 1, 1);
    assert.deepEqual([writer.take(), reader.take()], [[], []]);
    finish();
    assert.deepEqual(
      writer.take().map(({ type }) => type),
      ["PUBACK"],
    );
    assert.deepEqual(
      reader.take().map(({ type }) => type),
      ["PUBLISH"],
    );
  });

  test("has the store busy with several segments when much is said, each packet whole in one", () => {
    const { store, parts, writer, reader, much, finish } = scene();
    const texts = much();
    const onTheirWay = store.waiting;
    assert.ok(onTheirWay >= 2, `${onTheirWay} on their way`);
    store.finish();
    parts.turn();
    const first = writer.take().length;
    assert.ok(first < texts.length, "the others are not acknowledged before their commit");
    finish();
    assert.equal(first + writer.take().length, texts.length);
    assert.deepEqual(
      reader.take().map((packet) => packet.type === "PUBLISH" && packet.payload.toString()),
      texts,
    );
    const lastBytes = [...store.segments.values()].map((bytes) => bytes.toString("latin1"));
    for (const text of texts) {
      const holders = lastBytes.filter((bytes) => bytes.includes(text));
      assert.equal(holders.length, 1);
    }
  });

  test("is kept in order when the store refuses what is on its way, and takes it later", async () => {
    const { store, parts, writer, much, finish } = scene();
    const texts = much();
    store.finish();
    store.fault = new Error("the disk is full");
    finish();
    assert.deepEqual(
      writer.take().filter(({ type }) => type === "PUBREC"),
      [],
    );
    store.fault = undefined;
    parts.advance(1_000);
    finish();
    const numbers = [...store.segments.keys()];
    assert.deepEqual(
      numbers,
      numbers.map((_, i) => i + 1),
      "none is missing, and none stands before its turn",
    );
    const next = new BrokerParts({ store: store.survivor() });
    next.service("a");
    next.service("b");
    assert.equal((await next.restore()).owed, texts.length);
  });

  test("finds what it is owed as it was published, however often memory is used again meanwhile", () => {
    const { parts, reader, writer, finish } = scene();
    reader.drop();
    const other = parts.link(parts.service("a"));
    other.connect({ clientId: "other", ...kept });
    const subscriptions = [
      { filter: "#", qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
    ] as const;
    other.send({ type: "SUBSCRIBE", packetId: 1, subscriptions, properties: {} });
    finish();
    other.take();
    const acknowledge = (by: typeof other, packetId = 0) =>
      by.send({ type: "PUBACK", packetId, reasonCode: 0, properties: {} });
    const publish = (text: string, packetId: number) => {
      const payload = Buffer.from(text);
      const flags = { qos: 1, packetId, retain: false, dup: false } as const;
      writer.send({ type: "PUBLISH", topic: "t", ...flags, payload, properties: {} });
      finish();
      for (const packet of other.take()) {
        if (packet.type !== "PUBLISH") continue;
        assert.equal(packet.payload.toString(), text);
        acknowledge(other, packet.packetId);
      }
    };
    const texts = Array.from({ length: 100 }, (_, i) => `${i} `.repeat(60_000)); // the first half goes for the second
    texts.forEach((text, i) => void publish(text, i + 1));
    const again = parts.link(parts.service("a"));
    again.connect({ clientId: "reader", ...kept });
    finish();
    const found: string[] = [];
    for (let packets = again.take(); packets.length > 0; packets = again.take()) {
      for (const packet of packets) {
        if (packet.type !== "PUBLISH") continue;
        found.push(packet.payload.toString());
        acknowledge(again, packet.packetId);
      }
      finish();
    }
    assert.ok(found.length > 10 && found.length < texts.length, `${found.length} were found`);
    assert.deepEqual(found, texts.slice(-found.length));
  });

  test("is not waited for by a message that it is not owed", () => {
    const { store, parts, writer } = scene();
    const other = parts.link(parts.service("a"));
    other.connect({ clientId: "other" });
    writer.send({
      type: "PUBLISH",
      topic: "$other",
      qos: 1,
      packetId: 1,
      retain: false,
      dup: false,
      payload: Buffer.from("x"),
      properties: {},
    });
    assert.equal(store.isBusy, false);
    assert.equal(writer.take()[0]?.type, "PUBACK");
  });
});
