import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Packet, PublishPacket, QoS } from "@wardmq/mqtt";
import { BrokerParts, type Link } from "./broker-parts.ts";

const publish = (topic: string, rest: Partial<PublishPacket> = {}): PublishPacket => ({
  type: "PUBLISH",
  topic,
  payload: Buffer.from("x"),
  qos: 0,
  retain: false,
  dup: false,
  packetId: undefined,
  properties: {},
  ...rest,
});

const subscribe = (filter: string, qos: QoS = 0): Packet => ({
  type: "SUBSCRIBE",
  packetId: 1,
  subscriptions: [{ filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
  properties: {},
});

function connected(parts: BrokerParts, name = "a"): Link {
  const link = parts.link(parts.service(name));
  link.connect();
  return link;
}

const reasonCodesOf = (packets: readonly Packet[]) =>
  packets.map((packet) => ("reasonCode" in packet ? packet.reasonCode : packet.type));

/** The names the router has been asked to remember. */
function namesAsked(parts: BrokerParts): string[] {
  const names: string[] = [];
  const topic = parts.router.topic.bind(parts.router);
  parts.router.topic = (name) => {
    names.push(name);
    return topic(name);
  };
  return names;
}

describe("a client that makes up names", () => {
  test("has none remembered that it may not publish to, by policy or by a limit", () => {
    const parts = new BrokerParts({
      policy: `
topics: { schema: off }
roles: { some: { publish: ["a/#"], subscribe: ["a/#"] } }
bindings: [{ role: some, to: "service:*" }]
`,
    });
    const names = namesAsked(parts);
    const link = connected(parts);
    const tooLong = "a/".padEnd(parts.limits.topicBytes + 1, "x");
    const tooDeep = "a/".repeat(parts.limits.topicLevels);
    for (const topic of ["b", tooLong, tooDeep, "b", "a/1", tooLong, "a/1"]) {
      link.send(publish(topic, { qos: 1, packetId: 1 }));
    }
    const codes = [0x87, 0x90, 0x90, 0x87, 0x10, 0x90, 0x10];
    assert.deepEqual(reasonCodesOf(link.take()), codes);
    assert.deepEqual(names, ["a/1"]);
  });

  test("is refused again by the alias of a name that broke a limit, and can give it another one", () => {
    const parts = new BrokerParts();
    const names = namesAsked(parts);
    const link = connected(parts);
    const tooLong = "x".repeat(parts.limits.topicBytes + 1);
    const aliased = (topic: string) =>
      publish(topic, { qos: 1, packetId: 1, properties: { topicAlias: 1 } });
    for (const topic of [tooLong, "", "a", "", tooLong, ""]) link.send(aliased(topic));
    assert.deepEqual(reasonCodesOf(link.take()), [0x90, 0x90, 0x10, 0x10, 0x90, 0x90]);
    assert.deepEqual(names, ["a"]);
    assert.deepEqual(
      parts.events.filter(({ limit }) => limit === "topicBytes").length,
      4,
      "each refusal is an event",
    );
  });

  test("cannot name a group of shared subscriptions longer than a topic", () => {
    const parts = new BrokerParts();
    const link = connected(parts);
    const longest = "g".repeat(parts.limits.topicBytes);
    link.send(subscribe(`$share/${longest}g/a`), subscribe(`$share/${longest}/a`));
    const codes = link.take().map((packet) => packet.type === "SUBACK" && packet.reasonCodes[0]);
    assert.deepEqual(codes, [0x8f, 0]);
  });
});

describe("what a session holds while its client is away", () => {
  const will = {
    topic: "w",
    payload: Buffer.alloc(5_000),
    qos: 0,
    retain: false,
    properties: { willDelayInterval: 50 },
  } as const;
  const away = (parts: BrokerParts, clientId: string) => {
    const link = parts.link(parts.service("a"));
    const properties = { sessionExpiryInterval: 100 };
    link.connect({ clientId, cleanStart: false, will, properties });
    link.drop();
  };

  const clientId = "c".repeat(5_000);
  const ends: Readonly<Record<string, (parts: BrokerParts) => void>> = {
    "its will is sent and it expires": (parts) => {
      parts.advance(51_000);
      assert.ok(parts.budget.used < 4 * clientId.length + will.payload.length);
      parts.advance(50_000);
    },
    "its client comes back and leaves for good": (parts) => {
      const link = parts.link(parts.service("a"));
      link.connect({ clientId });
      link.drop();
    },
    "its subject is revoked": (parts) => parts.sessions.endAllOf(parts.service("a")),
  };

  for (const [how, end] of Object.entries(ends)) {
    test(`counts with its name and its will, and is given back when ${how}`, () => {
      const parts = new BrokerParts({ limits: { clientIdBytes: clientId.length } });
      away(parts, clientId);
      assert.ok(parts.budget.used > 4 * clientId.length + will.payload.length);
      end(parts);
      assert.equal(parts.budget.used, 0);
    });
  }
});

describe("a mistake of ours", () => {
  const mistake = new Error("a mistake of ours");
  const throws = () => {
    throw mistake;
  };

  for (const [when, meet] of [
    ["when its peer reads again", (link: Link) => link.unblock()],
    ["when it is due", (_: Link, parts: BrokerParts) => parts.advance(91_000)],
    ["when its network connection is lost", (link: Link) => link.drop()],
  ] as const) {
    test(`ends the connection that met it and is reported, ${when}`, () => {
      const parts = new BrokerParts();
      const link = connected(parts);
      link.send(subscribe("t", 1));
      const other = connected(parts, "other");
      link.isBlocked = true;
      for (let packetId = 1; packetId < 9; packetId += 1) {
        other.send(publish("t", { qos: 1, packetId, payload: Buffer.alloc(60_000) }));
      }
      link.write = throws;
      parts.sessions.detach = throws;
      meet(link, parts);
      assert.ok(parts.failures.length > 0);
      assert.ok(parts.failures.every((failure) => failure === mistake));
      parts.advance(1_000);
      assert.equal(link.isClosed, true);
      assert.equal(other.isClosed, when === "when it is due"); // by its keep alive
      assert.equal(parts.budget.output, 0);
    });
  }
});

describe("a clock that is set back", () => {
  test("gives no message a longer life than its publisher did, and breaks nothing", () => {
    const parts = new BrokerParts({ limits: { retainedSeconds: 0xffff_ffff } });
    const reader = connected(parts, "reader");
    reader.send(subscribe("#", 1));
    reader.take();
    const writer = connected(parts, "writer");
    const properties = { messageExpiryInterval: 0xffff_ffff };
    writer.send(publish("kept", { retain: true, properties }));
    reader.isBlocked = true;
    for (let packetId = 1; packetId < 9; packetId += 1) {
      writer.send(publish("t", { qos: 1, packetId, payload: Buffer.alloc(60_000), properties }));
    }
    parts.clock -= 10_000;
    reader.unblock();
    const late = connected(parts, "late");
    late.send(subscribe("kept"));
    const lives = [...reader.take(), ...late.take()].flatMap((packet) =>
      packet.type === "PUBLISH" ? [packet.properties.messageExpiryInterval] : [],
    );
    assert.deepEqual(
      lives,
      Array.from({ length: 10 }, () => 0xffff_ffff),
    );
    assert.deepEqual(parts.failures, []);
  });
});
