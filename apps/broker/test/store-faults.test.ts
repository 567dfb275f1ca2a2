import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Packet, ProtocolVersion } from "@wardmq/mqtt";
import { BrokerParts, type Link } from "./broker-parts.ts";
import { SlowStore } from "./slow-store.ts";

/** A broker whose store refuses, with a reader that keeps its session, one that does not, and a writer. */
function scene() {
  const store = new SlowStore();
  const parts = new BrokerParts({ store });
  const settle = () => {
    for (let i = 0; i < 4 || store.isBusy; i += 1) {
      parts.advance(0);
      store.finish();
      parts.turn();
    }
  };
  const subscribe = (link: Link, filter: string) => {
    const subscription = { filter, qos: 2, noLocal: false, retainAsPublished: false } as const;
    link.send({
      type: "SUBSCRIBE",
      packetId: 1,
      subscriptions: [{ ...subscription, retainHandling: 0 }],
      properties: {},
    });
    settle();
    return link.take();
  };
  const open = (service: string, expirySeconds: number, version: ProtocolVersion = 5) => {
    const link = parts.link(parts.service(service));
    const atOnce = link.connect({
      version,
      clientId: service,
      cleanStart: version === 4,
      properties: version === 4 ? {} : { sessionExpiryInterval: expirySeconds },
    });
    settle();
    return { link, came: [...atOnce, ...link.take()] };
  };
  const publish = (link: Link, topic: string, qos: 0 | 1 | 2, more: object = {}): Packet[] => {
    const packetId = qos === 0 ? undefined : 1;
    const payload = Buffer.from(`${topic} ${qos}`);
    link.send({
      type: "PUBLISH",
      topic,
      payload,
      qos,
      retain: false,
      dup: false,
      packetId,
      properties: {},
      ...more,
    });
    settle();
    return link.take();
  };
  const keeper = open("keeper", 100).link;
  subscribe(keeper, "kept");
  const passer = open("passer", 0).link;
  subscribe(passer, "passes");
  const writer = open("writer", 0).link;
  const refuse = () => {
    store.fault = new Error("the disk is full");
  };
  const recover = () => {
    store.fault = undefined;
    settle();
  };
  return {
    store,
    parts,
    keeper,
    passer,
    writer,
    open,
    subscribe,
    publish,
    settle,
    refuse,
    recover,
  };
}

const codes = (packets: readonly Packet[]) =>
  packets.map((packet) => [packet.type, "reasonCode" in packet ? packet.reasonCode : 0]);
const texts = (packets: readonly Packet[]) =>
  packets.flatMap((packet) =>
    packet.type === "PUBLISH" ? [Buffer.from(packet.payload).toString()] : [],
  );

describe("a store that refuses", () => {
  test("has nothing acknowledged that it has not kept: the first publisher is disconnected, later ones hear 0x97", () => {
    const { writer, publish, open, refuse, keeper, settle } = scene();
    refuse();
    assert.deepEqual(codes(publish(writer, "kept", 1)), [["DISCONNECT", 0x97]]);
    assert.equal(writer.isClosed, true);
    assert.equal(keeper.isClosed, true, "what it would have been sent is not stored either");
    const later = open("later", 0).link;
    assert.deepEqual(codes(publish(later, "kept", 1)), [["PUBACK", 0x97]]);
    assert.deepEqual(codes(publish(later, "kept", 2)), [["PUBREC", 0x97]]);
    assert.deepEqual(codes(publish(later, "other", 1, { retain: true })), [["PUBACK", 0x97]]);
    const old = open("old", 0, 4).link;
    assert.deepEqual(publish(old, "kept", 1), []);
    settle();
    assert.equal(old.isClosed, true);
  });

  test("lets pass what it is not asked to keep", () => {
    const { writer, publish, open, refuse, passer } = scene();
    refuse();
    publish(writer, "kept", 1);
    const later = open("later", 0).link;
    assert.deepEqual(codes(publish(later, "passes", 1)), [["PUBACK", 0]]);
    publish(later, "passes", 0);
    publish(later, "passes", 0, { retain: true });
    assert.deepEqual(texts(passer.take()), ["passes 1", "passes 0", "passes 0"]);
  });

  test("leaves a topic without a retained message when it cannot keep the latest one of QoS 0", () => {
    const { writer, passer, publish, open, subscribe, refuse, recover } = scene();
    for (const topic of ["a", "b"]) publish(writer, topic, 0, { retain: true });
    refuse();
    publish(writer, "kept", 1);
    const later = open("later", 0).link;
    for (const topic of ["a", "passes"]) publish(later, topic, 0, { retain: true });
    assert.deepEqual(texts(passer.take()), ["passes 0"]);
    for (const isFailing of [true, false]) {
      const reader = open(`reader-${isFailing}`, 0).link;
      assert.deepEqual(texts(subscribe(reader, "a")), [], "the former one is out of date");
      assert.deepEqual(texts(subscribe(reader, "b")), ["b 0"]);
      assert.deepEqual(texts(subscribe(reader, "passes")), []);
      if (isFailing) recover();
    }
    publish(later, "a", 0, { retain: true });
    assert.deepEqual(texts(subscribe(open("last", 0).link, "a")), ["a 0"]);
  });

  test("has no session begin or start anew that it would have to keep; one that is there goes on", () => {
    const { parts, writer, publish, open, refuse, settle, subscribe } = scene();
    refuse();
    publish(writer, "kept", 1);
    assert.deepEqual(codes(open("new", 100).came), [["CONNACK", 0x97]]);
    const anew = parts.link(parts.service("keeper"));
    const refused = anew.connect({ clientId: "keeper", cleanStart: true });
    assert.deepEqual(codes(refused), [["CONNACK", 0x97]]);
    settle();
    const { link, came } = open("keeper", 100);
    assert.equal(came[0]?.type === "CONNACK" && came[0].sessionPresent, true);
    const [suback] = subscribe(link, "more");
    assert.deepEqual(suback?.type === "SUBACK" && suback.reasonCodes, [0x97]);
  });

  test("goes on delivering QoS 1 that it has, and QoS 2 when it keeps again", () => {
    const { keeper, writer, publish, open, refuse, recover } = scene();
    keeper.drop();
    publish(writer, "kept", 1);
    publish(writer, "kept", 2);
    refuse();
    publish(writer, "other", 1, { retain: true });
    const { link, came } = open("keeper", 100);
    assert.deepEqual(texts(came), ["kept 1"]);
    recover();
    assert.deepEqual(texts(link.take()), ["kept 2"]);
  });

  test("keeps, once it does again, what was said before, and says so once", () => {
    const { parts, writer, publish, open, refuse, recover } = scene();
    refuse();
    publish(writer, "kept", 1);
    const later = open("later", 0).link;
    publish(later, "kept", 1);
    recover();
    assert.deepEqual(codes(publish(later, "kept", 1)), [["PUBACK", 0]]);
    assert.deepEqual(texts(open("keeper", 100).came), ["kept 1", "kept 1"]);
    assert.deepEqual(
      parts.events.map(({ type }) => type).filter((type) => type.startsWith("store-")),
      ["store-failing", "store-recovered"],
    );
    assert.deepEqual(parts.failures, []);
  });
});
