import assert from "node:assert/strict";
import { describe, test } from "node:test";
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
    const publish = (text: string, qos: 1 | 2, packetId: number) =>
      writer.send({
        type: "PUBLISH",
        topic: "t",
        qos,
        packetId,
        retain: false,
        dup: false,
        payload: Buffer.from(text),
        properties: {},
      });
    return { store, parts, reader, writer, publish, finish };
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
