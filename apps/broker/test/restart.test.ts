import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Packet } from "@wardmq/mqtt";
import type { Session } from "../src/session/session.ts";
import { subjectOf } from "../src/tokens/token-subjects.ts";
import { BrokerParts, type Link, openPolicy } from "./broker-parts.ts";
import { SlowStore } from "./slow-store.ts";

type Connect = Partial<Extract<Packet, { type: "CONNECT" }>>;

/** One broker after another over the same store; everything that is said is committed at once. */
class Scene {
  store = new SlowStore();
  parts = new BrokerParts({ store: this.store });

  /** The process is killed, and another one begins so many seconds later. */
  async restart(secondsLater = 1, policy = openPolicy, without: readonly string[] = []) {
    this.commit();
    const { clock } = this.parts;
    this.store = this.store.survivor();
    this.parts = new BrokerParts({ store: this.store, policy });
    this.parts.clock = clock + secondsLater * 1_000;
    for (const name of ["a", "b", "c"]) if (!without.includes(name)) this.parts.service(name);
    const restored = await this.parts.restore();
    this.commit();
    return restored;
  }

  commit(): void {
    for (let i = 0; i < 4 || this.store.isBusy; i += 1) {
      this.parts.advance(0);
      this.store.finish();
      this.parts.turn();
    }
  }

  /** A client of this service with a session that is kept, and what it is sent at once. */
  open(service: string, expirySeconds = 100, values: Connect = {}): { link: Link; came: Packet[] } {
    const link = this.parts.link(this.parts.service(service));
    const properties = { sessionExpiryInterval: expirySeconds };
    const atOnce = link.connect({ clientId: service, cleanStart: false, properties, ...values });
    this.commit();
    const came = [...atOnce, ...link.take()];
    assert.equal(came[0]?.type, "CONNACK");
    return { link, came };
  }

  subscribe(link: Link, filter: string): void {
    const subscription = { filter, qos: 2, noLocal: false, retainAsPublished: false } as const;
    link.send({
      type: "SUBSCRIBE",
      packetId: 1,
      subscriptions: [{ ...subscription, retainHandling: 0 }],
      properties: { subscriptionIdentifier: [7] },
    });
    this.commit();
    link.take();
  }

  publish(link: Link, topic: string, text: string, more: object = {}): Packet[] {
    link.send({
      type: "PUBLISH",
      topic,
      payload: Buffer.from(text),
      qos: 1,
      retain: false,
      dup: false,
      packetId: 1,
      properties: {},
      ...more,
    });
    this.commit();
    return link.take();
  }
}

const texts = (packets: readonly Packet[]) =>
  packets.flatMap((packet) =>
    packet.type === "PUBLISH" ? [Buffer.from(packet.payload).toString()] : [],
  );

const isPresent = (packets: readonly Packet[]) =>
  packets[0]?.type === "CONNACK" && packets[0].sessionPresent;

describe("a session after a restart", () => {
  test("is not there when it ended with its connection", async () => {
    const scene = new Scene();
    scene.open("a", 0);
    await scene.restart();
    assert.equal(isPresent(scene.open("a").came), false);
  });

  test("goes on with what was in flight: same identifiers, DUP, its order, and what waits behind", async () => {
    const scene = new Scene();
    const { link } = scene.open("a", 100, {
      properties: { sessionExpiryInterval: 100, receiveMaximum: 2 },
    });
    scene.subscribe(link, "t");
    const writer = scene.open("b").link;
    for (const text of ["1", "2", "3"]) scene.publish(writer, "t", text);
    const before = link.take();
    assert.deepEqual(texts(before), ["1", "2"]);
    await scene.restart();
    const { came } = scene.open("a");
    assert.equal(isPresent(came), true);
    const [, one, two, three] = came as Extract<Packet, { type: "PUBLISH" }>[];
    assert.deepEqual(texts(came), ["1", "2", "3"]);
    assert.deepEqual([one?.dup, two?.dup, three?.dup], [true, true, false]);
    const identifiers = (packets: readonly Packet[]) =>
      packets.map((packet) => "packetId" in packet && packet.packetId);
    assert.deepEqual(identifiers([one, two] as Packet[]), identifiers(before));
    assert.deepEqual(one?.properties.subscriptionIdentifier, [7]);
  });

  test("gets its messages as they were published, also when they were written anew since", async () => {
    const scene = new Scene();
    const { link } = scene.open("a");
    for (const filter of ["t", "u"]) scene.subscribe(link, filter);
    link.drop();
    const writer = scene.open("b").link;
    const more = (packetId: number) => ({
      packetId,
      properties: {
        contentType: "text/plain",
        messageExpiryInterval: 60,
        userProperty: [["name", `value ${packetId}`]],
      },
    });
    scene.publish(writer, "t", "first", more(1));
    scene.publish(writer, "u", "second", { packetId: 2 });
    scene.publish(writer, "u", "", more(3));
    await scene.restart(10);
    const rewritten = scene.parts.journal.rewriteAll();
    scene.commit();
    await rewritten;
    await scene.restart(10);
    const published = scene.open("a").came.slice(1) as Extract<Packet, { type: "PUBLISH" }>[];
    assert.deepEqual(texts(published), ["first", "second", ""]);
    const propertiesOf = (packetId: number) => ({
      ...more(packetId).properties,
      messageExpiryInterval: 40,
      subscriptionIdentifier: [7],
    });
    const [first, second, third] = published;
    assert.deepEqual({ ...first?.properties }, propertiesOf(1));
    assert.deepEqual({ ...second?.properties }, { subscriptionIdentifier: [7] });
    assert.deepEqual({ ...third?.properties }, propertiesOf(3));
  });

  test("is over when its expiry ran out since its connection ended, and not a second before", async () => {
    for (const [secondsLater, present] of [
      [98, true],
      [101, false],
    ] as const) {
      const scene = new Scene();
      scene.open("a").link.drop();
      await scene.restart(secondsLater);
      assert.equal(isPresent(scene.open("a").came), present);
    }
  });

  test("counts its expiry from the restart when it was connected until then", async () => {
    const scene = new Scene();
    scene.open("a");
    await scene.restart(1_000);
    scene.parts.advance(90_000);
    assert.equal(scene.parts.sessions.size, 1);
    await scene.restart(20);
    assert.equal(scene.parts.sessions.size, 0);
  });

  test("has no subscription that the policy of the moment does not allow, and gets nothing for it", async () => {
    const scene = new Scene();
    const { link } = scene.open("a");
    scene.subscribe(link, "t");
    scene.subscribe(link, "u");
    link.drop();
    const writer = scene.open("b").link;
    scene.publish(writer, "t", "in t");
    scene.publish(writer, "u", "in u");
    const onlyU = `
topics: { schema: off }
roles:
  some: { publish: ["t", "u"], subscribe: ["u"] }
bindings:
  - { role: some, to: "service:*" }
`;
    await scene.restart(1, onlyU);
    assert.ok(scene.parts.events.some(({ type }) => type === "subscribe-denied"));
    assert.deepEqual(texts(scene.open("a").came), ["in u"]);
    scene.publish(scene.open("c").link, "t", "more");
    await scene.restart(1);
    const again = scene.open("a");
    scene.publish(scene.open("b").link, "t", "not subscribed any more");
    assert.deepEqual(texts(again.link.take()), []);
  });

  test("is over when its subject is gone, and what it was owed as a member of a group goes to another", async () => {
    const scene = new Scene();
    const { link } = scene.open("a");
    scene.subscribe(link, "$share/g/t");
    link.drop();
    scene.publish(scene.open("b").link, "t", "for the group");
    const other = scene.open("c").link;
    scene.subscribe(other, "$share/g/t");
    other.drop();
    await scene.restart(1, openPolicy, ["a"]);
    assert.deepEqual(texts(scene.open("c").came), ["for the group"]);
    assert.equal(scene.parts.sessions.size, 2);
  });

  test("gets nothing of a publisher that is gone, and nothing that has expired", async () => {
    const scene = new Scene();
    const { link } = scene.open("a");
    scene.subscribe(link, "t");
    link.drop();
    scene.publish(scene.open("b").link, "t", "of b");
    const c = scene.open("c").link;
    scene.publish(c, "t", "short", { properties: { messageExpiryInterval: 5 } });
    scene.publish(c, "t", "long", { properties: { messageExpiryInterval: 50 } });
    await scene.restart(10, openPolicy, ["b"]);
    const { came } = scene.open("a");
    assert.deepEqual(texts(came), ["long"]);
    const [, long] = came as Extract<Packet, { type: "PUBLISH" }>[];
    assert.equal(long?.properties.messageExpiryInterval, 40);
  });

  test("knows the QoS 2 messages it has received and not released", async () => {
    const scene = new Scene();
    const { link } = scene.open("a");
    scene.subscribe(link, "t");
    const writer = scene.open("b").link;
    assert.equal(scene.publish(writer, "t", "once", { qos: 2 })[0]?.type, "PUBREC");
    await scene.restart();
    const again = scene.open("b").link;
    assert.equal(scene.publish(again, "t", "once", { qos: 2, dup: true })[0]?.type, "PUBREC");
    again.send({ type: "PUBREL", packetId: 1, reasonCode: 0, properties: {} });
    scene.commit();
    assert.equal(again.take()[0]?.type, "PUBCOMP");
    assert.deepEqual(texts(scene.open("a").came), ["once"]);
  });
});

describe("what has expired", () => {
  test("is given back, in memory and on disk, without anybody coming for it", async () => {
    const store = new SlowStore();
    const scene = new Scene();
    scene.store = store;
    scene.parts = new BrokerParts({ store, spareBytes: 10_000 });
    const { link } = scene.open("a", 1_000);
    scene.subscribe(link, "t");
    link.drop();
    const writer = scene.open("b").link;
    const stored = () => [...store.segments.values()].reduce((sum, { length }) => sum + length, 0);
    const publish = (packetId: number, properties: object) =>
      scene.publish(writer, "t", "x".repeat(5_000), { packetId, properties });
    for (let i = 1; i <= 20; i += 1) publish(i, { messageExpiryInterval: 60 });
    publish(21, {});
    assert.ok(stored() > 100_000 && scene.parts.budget.queued > 100_000);
    const expire = () => {
      scene.parts.sessions.removeExpired();
      scene.parts.journal.clean();
      scene.commit();
    };
    scene.parts.advance(59_000);
    expire();
    assert.ok(stored() > 100_000, "not a second before");
    scene.parts.advance(2_000);
    for (let i = 0; i < 3; i += 1) expire();
    const { journal, budget } = scene.parts;
    assert.ok(budget.queued < 10_000, `${budget.queued} bytes in memory`);
    assert.ok(journal.liveBytes < 10_000, `${journal.liveBytes} bytes live`);
    assert.ok(stored() < 20_000, `${stored()} bytes on disk`);
    assert.equal(texts(scene.open("a").came).length, 1);
  });
});

describe("a will after a restart", () => {
  const will = (delaySeconds: number) => ({
    topic: "w",
    payload: Buffer.from("gone"),
    qos: 1 as const,
    retain: false,
    properties: { willDelayInterval: delaySeconds },
  });

  async function scene(delaySeconds: number) {
    const scene = new Scene();
    const { link } = scene.open("a");
    scene.subscribe(link, "w");
    link.drop();
    return { scene, link: scene.open("b", 100, { will: will(delaySeconds) }).link };
  }

  test("is not sent when the client said goodbye", async () => {
    const { scene: world, link } = await scene(0);
    link.send({ type: "DISCONNECT", reasonCode: 0, properties: {} });
    await world.restart();
    assert.deepEqual(texts(world.open("a").came), []);
  });

  test("is sent for a client whose connection was lost with the process", async () => {
    const { scene: world } = await scene(0);
    await world.restart();
    assert.deepEqual(texts(world.open("a").came), ["gone"]);
    await world.restart();
    assert.deepEqual(texts(world.open("a").came), ["gone"], "it is owed, and was sent once");
  });

  test("waits for what is left of its delay, and is not sent when the client is back before", async () => {
    for (const isBack of [false, true]) {
      const { scene: world, link } = await scene(30);
      link.drop();
      await world.restart(20);
      world.parts.advance(8_000);
      if (isBack) world.open("b");
      world.parts.advance(4_000);
      world.commit();
      assert.deepEqual(texts(world.open("a").came), isBack ? [] : ["gone"]);
    }
  });
});

describe("retained messages after a restart", () => {
  test("have the life that their rule has by then, from when they were retained", async () => {
    const scene = new Scene();
    const { link } = scene.open("a");
    scene.publish(link, "kept", "x", { retain: true, properties: {} });
    const minute = openPolicy.replace("retain: allowed", "retain: allowed, retainSeconds: 60");
    assert.notEqual(minute, openPolicy);
    const subscription = {
      filter: "kept",
      qos: 2,
      noLocal: false,
      retainAsPublished: false,
    } as const;
    for (const [later, came] of [
      [40, 1],
      [30, 0],
    ] as const) {
      await scene.restart(later, minute);
      const reader = scene.open("b").link;
      const subscriptions = [{ ...subscription, retainHandling: 0 as const }];
      reader.send({ type: "SUBSCRIBE", packetId: 1, subscriptions, properties: {} });
      scene.commit();
      assert.equal(reader.take().filter(({ type }) => type === "PUBLISH").length, came);
      assert.equal(scene.parts.retained.messages, came);
    }
  });

  test("are there with their publisher, without those that were replaced, removed or have expired", async () => {
    const scene = new Scene();
    const { link } = scene.open("b", 0);
    const retain = (topic: string, text: string, properties = {}) =>
      scene.publish(link, topic, text, { retain: true, properties });
    retain("kept", "kept");
    retain("replaced", "former");
    retain("replaced", "latter");
    retain("removed", "removed");
    retain("removed", "");
    retain("expired", "expired", { messageExpiryInterval: 5 });
    await scene.restart(10);
    assert.equal(scene.parts.retained.messages, 2);
    const reader = scene.open("a").link;
    scene.subscribe(reader, "none");
    const subscription = { qos: 2, noLocal: false, retainAsPublished: false } as const;
    reader.send({
      type: "SUBSCRIBE",
      packetId: 2,
      subscriptions: [{ filter: "#", ...subscription, retainHandling: 0 }],
      properties: {},
    });
    scene.commit();
    assert.deepEqual(texts(reader.take()).sort(), ["kept", "latter"]);
    await scene.restart(1, openPolicy, ["b"]);
    const later = scene.open("c").link;
    later.send({
      type: "SUBSCRIBE",
      packetId: 2,
      subscriptions: [{ filter: "#", ...subscription, retainHandling: 0 }],
      properties: {},
    });
    scene.commit();
    assert.deepEqual(texts(later.take()), [], "nobody may have published them");
  });
});

describe("a session that a token speaks for", () => {
  const grant = {
    subject: "app:issuer_1",
    kind: "app",
    attributes: { org: "hospital", id: "issuer_1" },
    roles: ["all"],
    actions: ["publish", "subscribe"],
    issuer: "issuer",
    jti: undefined,
    sid: undefined,
    issuedAt: 0,
    expiresAt: Number.MAX_SAFE_INTEGER,
  } as const;

  function begin({ parts }: Scene, clientId: string): Session {
    const { session } = parts.sessions.open(subjectOf(grant), clientId, true);
    parts.sessions.begin(session, 100, undefined);
    return session;
  }

  test("keeps the rights of its token, which nobody else knows of, and so do its messages", async () => {
    const scene = new Scene();
    begin(scene, "app");
    await scene.restart();
    const [found] = scene.parts.sessions.values();
    assert.deepEqual(found?.subject.grant, JSON.parse(JSON.stringify(grant)));
    assert.equal(found?.subject.id, grant.subject);
  });

  test("renews it by itself, though others began with the same one", async () => {
    const scene = new Scene();
    begin(scene, "one");
    begin(scene, "other");
    await scene.restart();
    const { sessions } = scene.parts;
    const [one, other] = [...sessions.values()];
    assert.ok(one !== undefined && other !== undefined);
    sessions.replaceGrant(one.subject, { ...grant, jti: "next", expiresAt: 1 });
    assert.equal(other.subject.grant?.expiresAt, grant.expiresAt);
  });

  test("ends with the last one it had, though the rights of all were the same", async () => {
    const scene = new Scene();
    const session = begin(scene, "app");
    scene.parts.sessions.replaceGrant(session.subject, { ...grant, jti: "next", expiresAt: 1 });
    await scene.restart();
    const [found] = scene.parts.sessions.values();
    assert.equal(found?.subject.grant?.jti, "next");
  });
});
