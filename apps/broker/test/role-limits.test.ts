import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodePacket, type PublishPacket } from "@wardmq/mqtt";
import { BrokerParts, type Link } from "./broker-parts.ts";

/** `limited` has these limits by one of its two roles; `other` has the other role alone. */
function policy(limits: string): string {
  return `
roles:
  speaker:
    publish: ["{org}/aggregate/#"]
    subscribe: ["{org}/aggregate/#"]
    limits: { messagesPerSecond: 100000, inflight: 20, connections: 100 }
  narrow: { limits: ${limits} }
bindings:
  - { role: speaker, to: "service:*" }
  - { role: narrow, to: "service:limited" }
topics: { schema: off }
`;
}

function connected(parts: BrokerParts, name: string, clientId = name): Link {
  const link = parts.link(parts.service(name));
  const [connack] = link.connect({ clientId });
  assert.ok(connack?.type === "CONNACK" && connack.reasonCode === 0);
  return link;
}

function publish(packetId?: number, qos: 0 | 1 | 2 = 0): PublishPacket {
  const topic = "hospital/aggregate/load";
  const fixed = { type: "PUBLISH", dup: false, retain: false, properties: {} } as const;
  return { ...fixed, topic, payload: Buffer.from("0123456789"), qos, packetId };
}

const fifty = Buffer.concat(Array.from({ length: 50 }, () => encodePacket(publish(), 5)));

describe("the limits of a role", () => {
  for (const limits of ["{ messagesPerSecond: 10 }", "{ bytesPerSecond: 1000 }"]) {
    test(`slow down who has the role, and nobody else: ${limits}`, () => {
      const parts = new BrokerParts({ policy: policy(limits) });
      const [limited, other] = [connected(parts, "limited"), connected(parts, "other")];
      for (const link of [limited, other]) link.send(fifty);
      assert.deepEqual([limited.isPaused, other.isPaused], [true, false]);
    });

    test(`count for open connections when the policy changes: ${limits}`, () => {
      const parts = new BrokerParts({ policy: policy("{ inflight: 20 }") });
      const [limited, other] = [connected(parts, "limited"), connected(parts, "other")];
      limited.send(fifty);
      assert.equal(limited.isPaused, false);
      parts.usePolicy(policy(limits));
      for (const link of [limited, other]) link.send(fifty);
      assert.deepEqual([limited.isPaused, other.isPaused], [true, false]);
    });
  }

  test("never widen what wardmq.yaml allows", () => {
    const perKind = { device: 1, service: 10, person: 1 };
    const parts = new BrokerParts({
      policy: policy("{ messagesPerSecond: 1000000, inflight: 65534, connections: 1000000 }"),
      limits: { messagesPerSecond: perKind, inflight: 7, connectionsPerSubject: perKind },
    });
    const link = parts.link(parts.service("limited"));
    const [connack] = link.connect({ clientId: "0" });
    assert.equal(connack?.type === "CONNACK" && connack.properties.receiveMaximum, 7);
    link.send(fifty);
    assert.equal(link.isPaused, true);
    for (let i = 1; i < 10; i += 1) connected(parts, "limited", `${i}`);
    const [refused] = parts.link(parts.service("limited")).connect({ clientId: "10" });
    assert.equal(refused?.type === "CONNACK" && refused.reasonCode, 0x97);
    assert.equal(parts.events.at(-1)?.limit, "connectionsPerSubject.service");
  });

  test("refuse the connection beyond them, but not one that takes over, nor that of another", () => {
    const parts = new BrokerParts({ policy: policy("{ connections: 2 }") });
    for (const clientId of ["1", "2"]) connected(parts, "limited", clientId);
    const [refused] = parts.link(parts.service("limited")).connect({ clientId: "3" });
    assert.equal(refused?.type === "CONNACK" && refused.reasonCode, 0x97);
    const { type, check, limit } = parts.events.at(-1) ?? {};
    assert.deepEqual(
      { type, check, limit },
      { type: "connect-refused", check: "role-limits", limit: "roles.limits.connections" },
    );
    connected(parts, "limited", "2");
    for (const clientId of ["4", "5", "6"]) connected(parts, "other", clientId);
  });

  test("are the Receive Maximum the client is told, and hold it to that", () => {
    const parts = new BrokerParts({ policy: policy("{ inflight: 2 }") });
    for (const [name, inflight] of [
      ["limited", 2],
      ["other", 20],
    ] as const) {
      const link = parts.link(parts.service(name));
      const [connack] = link.connect({ clientId: name });
      assert.equal(connack?.type === "CONNACK" && connack.properties.receiveMaximum, inflight);
      for (let id = 1; id <= inflight; id += 1) link.send(publish(id, 2));
      assert.equal(link.take().length, inflight);
      link.send(publish(inflight + 1, 2));
      const [answer] = link.take();
      assert.equal(answer?.type === "DISCONNECT" && answer.reasonCode, 0x93);
    }
  });

  test("bound what is sent to a client before it acknowledges", () => {
    const parts = new BrokerParts({ policy: policy("{ inflight: 2 }") });
    const links = ["limited", "other"].map((name) => connected(parts, name));
    const flags = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const subscriptions = [{ filter: "hospital/aggregate/#", ...flags }];
    for (const link of links) {
      link.send({ type: "SUBSCRIBE", packetId: 1, subscriptions, properties: {} });
      link.take();
    }
    const sender = connected(parts, "sender");
    for (let id = 1; id <= 5; id += 1) sender.send(publish(id, 1));
    assert.deepEqual(
      links.map((link) => link.take().length),
      [2, 5],
    );
  });
});
