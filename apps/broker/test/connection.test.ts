import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Packet, PropertyValues, PublishPacket, SubscribePacket } from "@wardmq/mqtt";
import { BrokerParts, type Link } from "./broker-parts.ts";

const flags = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;

function subscribe(filters: readonly string[], qos: 0 | 1 | 2 = 1, packetId = 1): SubscribePacket {
  const subscriptions = filters.map((filter) => ({ filter, qos, ...flags }));
  return { type: "SUBSCRIBE", packetId, subscriptions, properties: {} };
}

function publish(topic: string, payload: string, rest: Partial<PublishPacket> = {}): PublishPacket {
  const base = { qos: 0, retain: false, dup: false, packetId: undefined, properties: {} } as const;
  return { type: "PUBLISH", topic, payload: Buffer.from(payload), ...base, ...rest };
}

function connectPacket(clientId: string, properties: PropertyValues = {}): Packet {
  return {
    type: "CONNECT",
    version: 5,
    cleanStart: true,
    keepAlive: 60,
    clientId,
    will: undefined,
    username: undefined,
    password: undefined,
    properties,
  };
}

const namesOf = (packets: readonly Packet[]) => packets.map(({ type }) => type);

/** Every connection ends; nothing may be left of them. */
function assertNothingIsHeld(parts: BrokerParts): void {
  assert.equal(parts.context.connections.size, 0);
  assert.equal(parts.sessions.size, 0);
  assert.equal(parts.context.preAuthBytes, 0);
  const { queued, output, partial, state } = parts.budget;
  assert.deepEqual(
    { queued, output, partial, state },
    { queued: 0, output: 0, partial: 0, state: 0 },
  );
  assert.deepEqual(parts.failures, []);
}

describe("what an unfinished CONNECT holds", () => {
  const bytes = (link: Link, parts: readonly Buffer[]) => {
    for (const part of parts) link.send(part);
  };
  const split = (packet: Buffer) => [packet.subarray(0, 9), packet.subarray(9)];

  test("is given back when the rest comes, is refused, is malformed, or never comes", () => {
    const parts = new BrokerParts();
    const link = () => parts.link(parts.service("a"));
    const encode = (packet: Packet) => {
      const other = link();
      other.version = 5;
      const sent: Buffer[] = [];
      other.connection.receive = (chunk) => void sent.push(Buffer.from(chunk));
      other.send(packet);
      other.drop();
      return Buffer.concat(sent);
    };
    const good = encode(connectPacket("a"));
    const refused = encode(connectPacket("a", { authenticationMethod: "x" }));
    const malformed = Buffer.concat([good]);
    malformed[malformed.length - 1] = 0x80;
    for (const whole of [good, refused, malformed]) {
      const one = link();
      bytes(one, split(whole));
      assert.equal(parts.context.preAuthBytes, 0);
      one.drop();
    }
    const half = link();
    half.send(good.subarray(0, 9));
    assert.ok(parts.context.preAuthBytes > 0);
    half.drop();
    const late = link();
    late.send(good.subarray(0, 9));
    parts.advance(parts.limits.connectTimeoutMs + 100);
    assert.equal(late.isClosed, true);
    assertNothingIsHeld(parts);
  });

  test("ends the connections that would hold more than preAuthBytesTotal", () => {
    const parts = new BrokerParts({ limits: { preAuthBytesTotal: 5_000 } });
    const links = [1, 2, 3].map(() => {
      const link = parts.link(parts.service("a"));
      link.send(Buffer.from([0x10, 0x7f]));
      return link;
    });
    assert.deepEqual(
      links.map(({ isClosed }) => isClosed),
      [false, false, true],
    );
    assert.equal(parts.events.at(-1)?.check, "limits.preAuthBytesTotal");
    for (const link of links) link.drop();
    assertNothingIsHeld(parts);
  });
});

describe("topic aliases towards a client", () => {
  test("are never given to two topics, also when a packet leaves no room for one", () => {
    const parts = new BrokerParts();
    const receiver = parts.link(parts.service("receiver"));
    receiver.connect({ properties: { topicAliasMaximum: 8, maximumPacketSize: 100 } });
    receiver.send(subscribe(["#"], 0));
    const sender = parts.link(parts.service("sender"));
    sender.connect();
    receiver.take();
    const full = "x".repeat(100 - 2 - 3 - 1); // with the name "a" exactly 100 bytes, with an alias 102
    const sent: [string, string][] = [
      ["a", "1"],
      ["b", "2"],
      ["a", full],
      ["c", "3"],
      ["b", "4"],
      ["a", "5"],
      ["d", full],
      ["e", "6"],
      ["d", "7"],
      ["e", "8"],
    ];
    for (const [topic, payload] of sent) sender.send(publish(topic, payload));
    const aliases = new Map<number, string>();
    const got = receiver.take().map((packet) => {
      assert.ok(packet.type === "PUBLISH");
      const { topicAlias } = packet.properties;
      if (topicAlias !== undefined && packet.topic !== "") aliases.set(topicAlias, packet.topic);
      const topic = packet.topic === "" ? aliases.get(topicAlias ?? 0) : packet.topic;
      return [topic, Buffer.from(packet.payload).toString()];
    });
    assert.deepEqual(got, sent);
  });

  test("stay within the client's Topic Alias Maximum", () => {
    const parts = new BrokerParts();
    const receiver = parts.link(parts.service("receiver"));
    receiver.connect({ properties: { topicAliasMaximum: 2 } });
    receiver.send(subscribe(["#"], 0));
    receiver.take();
    const sender = parts.link(parts.service("sender"));
    sender.connect();
    for (const topic of ["a", "b", "c", "a", "c"]) sender.send(publish(topic, "x"));
    const got = receiver
      .take()
      .map((packet) => packet.type === "PUBLISH" && [packet.topic, packet.properties.topicAlias]);
    assert.deepEqual(got, [
      ["a", 1],
      ["b", 2],
      ["c", undefined],
      ["", 1],
      ["c", undefined],
    ]);
  });
});

describe("retained messages and their limits", () => {
  test("a SUBACK that does not fit ends the connection and queues nothing for its session", () => {
    const parts = new BrokerParts();
    const sender = parts.link(parts.service("sender"));
    sender.connect();
    for (const topic of ["r/1", "r/2"]) {
      sender.send(publish(topic, "x", { qos: 1, packetId: 1, retain: true }));
    }
    sender.drop();
    const receiver = parts.link(parts.service("receiver"));
    receiver.connect({ properties: { maximumPacketSize: 64 } });
    const filters = Array.from({ length: 80 }, (_, i) => (i === 0 ? "r/#" : `f/${i}`));
    receiver.send(subscribe(filters));
    assert.equal(receiver.isClosed, true);
    assertNothingIsHeld(parts);
  });

  test("a will is delivered and not kept where the store is full", () => {
    const parts = new BrokerParts({ limits: { retainedMessages: 1 } });
    const sender = parts.link(parts.service("sender"));
    sender.connect();
    sender.send(publish("kept", "x", { retain: true }));
    const receiver = parts.link(parts.service("receiver"));
    receiver.connect();
    receiver.send(subscribe(["will/#"], 0));
    receiver.take();
    for (const [i, topic] of ["will/1", "kept"].entries()) {
      const dying = parts.link(parts.service("dying"));
      dying.connect({
        clientId: `dying-${i}`,
        will: { topic, payload: Buffer.from("w"), qos: 0, retain: true, properties: {} },
      });
      dying.drop();
    }
    assert.deepEqual(
      receiver.take().map((packet) => packet.type === "PUBLISH" && packet.topic),
      ["will/1"],
    );
    assert.equal(parts.retained.messages, 1);
    assert.equal(Buffer.from(parts.retained.get("kept")?.bytes ?? []).toString(), "w");
    assert.deepEqual(
      parts.events
        .filter(({ type }) => type === "limit-reached")
        .map(({ limit, topic }) => [limit, topic]),
      [["retainedMessages", "will/1"]],
    );
  });

  test("a publish beyond the limit is refused, a kept topic can be replaced and removed", () => {
    const parts = new BrokerParts({ limits: { retainedMessages: 1 } });
    const sender = parts.link(parts.service("sender"));
    sender.connect();
    const codes = [
      ["a", "1"],
      ["b", "2"],
      ["a", "3"],
      ["a", ""],
      ["b", "4"],
    ].map(([topic, payload]) => {
      sender.send(publish(topic ?? "", payload ?? "", { qos: 1, packetId: 1, retain: true }));
      const [answer] = sender.take();
      return answer?.type === "PUBACK" && answer.reasonCode;
    });
    assert.deepEqual(codes, [0x10, 0x97, 0x10, 0x10, 0x10]);
    assert.equal(parts.retained.messages, 1);
  });
});

describe("a peer that sends and does not read", () => {
  test("is read no more once its answers wait, and again when it has read them", () => {
    const parts = new BrokerParts();
    const link = parts.link(parts.service("a"));
    link.connect();
    link.isBlocked = true;
    const pings = Buffer.alloc(4_096, Buffer.from([0xc0, 0]));
    for (let i = 0; i < 40 && !link.isPaused; i += 1) link.send(pings);
    assert.equal(link.isPaused, true);
    assert.ok(link.connection.output.blockedBytes < 65_536);
    for (let i = 0; i < 10 && link.isPaused; i += 1) {
      link.unblock();
    }
    assert.equal(link.isPaused, false);
    link.drop();
    assertNothingIsHeld(parts);
  });

  test("is ended by its keep alive when it never reads", () => {
    const parts = new BrokerParts();
    const link = parts.link(parts.service("a"));
    link.connect({ keepAlive: 10 });
    link.isBlocked = true;
    const pings = Buffer.alloc(4_096, Buffer.from([0xc0, 0]));
    for (let i = 0; i < 40 && !link.isPaused; i += 1) link.send(pings);
    parts.advance(14_000);
    assert.equal(link.isClosed, false);
    parts.advance(2_000);
    assert.equal(link.isClosed, true);
    assertNothingIsHeld(parts);
  });

  test("makes QoS 0 messages be dropped at its bound, with an event, and nobody else's", () => {
    const parts = new BrokerParts({ limits: { queuedBytes: 200_000 } });
    const slow = parts.link(parts.service("slow"));
    const fast = parts.link(parts.service("fast"));
    const sender = parts.link(parts.service("sender"));
    for (const link of [slow, fast, sender]) link.connect();
    for (const link of [slow, fast]) link.send(subscribe(["t"], 0));
    slow.isBlocked = true;
    for (let i = 0; i < 100; i += 1) sender.send(publish("t", "x".repeat(10_000)));
    assert.ok(slow.connection.output.blockedBytes < 300_000);
    assert.equal(namesOf(fast.take()).filter((name) => name === "PUBLISH").length, 100);
    assert.ok(
      parts.events.some(
        ({ type, limit, subject }) =>
          type === "messages-dropped" && limit === "queuedBytes" && subject === "service:slow",
      ),
    );
    for (const link of [slow, fast, sender]) link.drop();
    assertNothingIsHeld(parts);
  });
});

describe("packets in the wrong state or direction", () => {
  const anyServerPacket: readonly string[] = ["20020000", "b0020001", "900300010000", "d000"];

  test("end the connection before CONNECT, without an answer and without a session", () => {
    const first = [
      "300300016178",
      "40020001",
      "620200 01",
      "8206000100017400",
      "a2050001000174",
      "c000",
      "e000",
      "f000",
      ...anyServerPacket,
    ];
    for (const hex of first) {
      const parts = new BrokerParts();
      const link = parts.link(parts.service("a"));
      link.send(Buffer.from(hex.replaceAll(" ", ""), "hex"));
      assert.equal(link.isClosed, true, hex);
      assert.deepEqual(link.take(), [], hex);
      assertNothingIsHeld(parts);
    }
  });

  test("end the connection after CONNECT, with DISCONNECT on 5.0 only", () => {
    for (const version of [4, 5] as const) {
      for (const hex of [...anyServerPacket, "f000", "00 00", "10 00"]) {
        const parts = new BrokerParts();
        const link = parts.link(parts.service("a"));
        link.connect({ version, clientId: "a" });
        link.send(Buffer.from(hex.replaceAll(" ", ""), "hex"));
        assert.equal(link.isClosed, true, hex);
        assert.deepEqual(namesOf(link.take()), version === 5 ? ["DISCONNECT"] : [], hex);
        assertNothingIsHeld(parts);
      }
    }
  });

  test("survive the packet that crashed another broker: PUBREL 0x92 behind a CONNECT", () => {
    const parts = new BrokerParts();
    const link = parts.link(parts.service("a"));
    link.send(Buffer.from("101000044d5154540502003c0321001400006202d301e0020020", "hex"));
    assert.equal(link.isClosed, true);
    assert.deepEqual(namesOf(link.take()).slice(0, 1), ["CONNACK"]);
    assertNothingIsHeld(parts);
  });
});

describe("what a Shared Subscription owes when a session ends", () => {
  const policy = (publishers: readonly string[]) =>
    JSON.stringify({
      topics: { schema: "off" },
      roles: { reader: { subscribe: ["t"] }, writer: { publish: ["t"] } },
      bindings: [
        { role: "reader", to: "service:*" },
        ...publishers.map((to) => ({ role: "writer", to })),
      ],
    });

  /** A member leaves with a message waiting, another is there; then the policy changes and the first session ends. */
  function inherited(publishersLater: readonly string[]): number {
    const parts = new BrokerParts({ policy: policy(["service:writer"]) });
    const connected = (name: string) => {
      const link = parts.link(parts.service(name));
      link.connect({ clientId: name, properties: { sessionExpiryInterval: 100 } });
      return link;
    };
    const gone = connected("gone");
    gone.send(subscribe(["$share/g/t"]));
    gone.drop();
    const writer = connected("writer");
    writer.send(publish("t", "x", { qos: 1, packetId: 1 }));
    const heir = connected("heir");
    heir.send(subscribe(["$share/g/t"]));
    heir.take();
    parts.usePolicy(policy(publishersLater));
    parts.link(parts.service("gone")).connect({ clientId: "gone", cleanStart: true });
    parts.turn();
    return heir.take().filter(({ type }) => type === "PUBLISH").length;
  }

  test("goes to no member once its publisher has no right to it", () => {
    assert.equal(inherited(["service:somebody-else"]), 0);
  });

  test("goes to another member while its publisher has", () => {
    assert.equal(inherited(["service:writer"]), 1);
  });
});
