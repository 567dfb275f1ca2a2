import assert from "node:assert/strict";
import { after } from "node:test";
import { bytes } from "../support/bytes.ts";
import { startDeployment } from "../support/deployment.ts";
import type { UserProperty } from "./clients.ts";
import { limitTest, onlyV3, onlyV5 } from "./limit-test.ts";

const deployment = await startDeployment({
  devices: 0,
  settings: {
    "limits.packetBytes": 2_000,
    "limits.clientIdBytes": 30,
    "limits.topicBytes": 40,
    "limits.topicLevels": 4,
    "limits.subscriptions": 3,
    "limits.inflight": 3,
    "limits.userProperties": 2,
    "limits.topicAliases": 2,
  },
});
after(() => deployment.stop());

/** A QoS 1 PUBLISH with this many bytes in all. */
function publishOf(length: number, topic: string, version: 4 | 5): Buffer {
  const make = (payload: number) => bytes(`32 ~ '${topic}' 0001 {} 61x${payload}`, version);
  return make(length - make(length - 100).length + length - 100);
}

limitTest(
  "packetBytes",
  "ends who announces more, at once; takes as much",
  deployment,
  async (clients) => {
    const client = await clients.connect();
    const topic = clients.topic("a");
    if (clients.version === 5) assert.equal(client.connack.properties.maximumPacketSize, 2_000);
    client.send(publishOf(2_000, topic, clients.version));
    assert.ok((await client.expect("PUBACK")).reasonCode < 0x80);
    client.send(publishOf(2_001, topic, clients.version).subarray(0, 3));
    await client.expectRefusal(0x95);
    await clients.events.first({
      type: "protocol-error",
      limit: "packetBytes",
      address: clients.from(100),
    });
  },
);

limitTest(
  "clientIdBytes",
  "refuses a client identifier beyond, takes one within",
  deployment,
  async (clients) => {
    await clients.connect({ clientId: "c".repeat(30) });
    const clientId = "c".repeat(31);
    const code = await clients.connectRefused({ clientId });
    assert.equal(code, clients.version === 5 ? 0x85 : 2);
    await clients.events.first({ type: "connect-refused", limit: "clientIdBytes" });
  },
);

for (const [key, name] of [
  ["topicBytes", (length: number) => "t".repeat(length)],
  ["topicLevels", (length: number) => Array.from({ length }, () => "t").join("/")],
] as const) {
  const limit = key === "topicBytes" ? 40 : 4;

  limitTest(key, "refuses a Topic Name beyond, takes one within", deployment, async (clients) => {
    const client = await clients.connect();
    assert.ok((await client.publish(name(limit), "x", { qos: 1 })) < 0x80);
    const beyond = name(limit + 1);
    if (clients.version === 5) {
      assert.equal(await client.publish(beyond, "x", { qos: 1 }), 0x90);
      assert.equal(await client.publish(beyond, "x", { qos: 2 }), 0x90);
      await client.publish(beyond, "x"); // QoS 0 is dropped
    } else {
      client.sendPublish(beyond, "x", { qos: 1 });
      await client.expectEnd();
    }
    await clients.events.first({ type: "limit-reached", limit: key, address: clients.from(100) });
  });

  limitTest(key, "refuses a Topic Filter beyond, takes one within", deployment, async (clients) => {
    const client = await clients.connect();
    const refused = clients.version === 5 ? 0x8f : 0x80;
    assert.equal(await client.subscribe(name(limit)), 2);
    assert.equal(await client.subscribe(`$share/g/${name(limit)}`, { qos: 1 }), 1);
    assert.equal(await client.subscribe(name(limit + 1)), refused);
    assert.equal(await client.subscribe(`$share/g/${name(limit + 1)}`, { qos: 1 }), refused);
    await clients.events.first({ type: "limit-reached", limit: key, address: clients.from(100) });
  });

  limitTest(
    key,
    "refuses a will's topic beyond, takes one within",
    deployment,
    async (clients) => {
      await clients.connect({ will: { topic: name(limit) } });
      const code = await clients.connectRefused({ will: { topic: name(limit + 1) } });
      assert.equal(code, clients.version === 5 ? 0x90 : 3);
      await clients.events.first({ type: "connect-refused", limit: key });
    },
    { ways: onlyV5 },
  );
}

limitTest(
  "subscriptions",
  "refuses one beyond, not one again nor one for another",
  deployment,
  async (clients) => {
    const client = await clients.connect();
    const refused = clients.version === 5 ? 0x97 : 0x80;
    for (const name of ["a", "b", "c"])
      assert.equal(await client.subscribe(clients.topic(name)), 2);
    assert.equal(await client.subscribe(clients.topic("d")), refused);
    assert.equal(await client.subscribe(clients.topic("a"), { qos: 1 }), 1);
    await client.unsubscribe(clients.topic("b"));
    assert.equal(await client.subscribe(clients.topic("d")), 2);
    const address = clients.from(100);
    await clients.events.first({ type: "limit-reached", limit: "subscriptions", address });
  },
);

limitTest(
  "inflight",
  "sends no more than is acknowledged, and the rest in order",
  deployment,
  async (clients) => {
    const reader = await clients.connect();
    const writer = await clients.connect();
    const topic = clients.topic("a");
    await reader.subscribe(topic, { qos: 1 });
    for (let i = 1; i <= 8; i += 1) await writer.publish(topic, String(i), { qos: 1 });
    const three = [
      await reader.expect("PUBLISH"),
      await reader.expect("PUBLISH"),
      await reader.expect("PUBLISH"),
    ];
    await reader.expectQuiet();
    const texts = three.map(({ payload }) => Buffer.from(payload).toString());
    for (const message of three) await reader.acknowledge(message);
    for (let i = 4; i <= 8; i += 1) texts.push((await reader.receive()).text);
    assert.equal(texts.join(""), "12345678");
  },
);

limitTest(
  "inflight",
  "ends who leaves more QoS 2 messages unreleased, 5.0 section 3.1.2.11.3",
  deployment,
  async (clients) => {
    const client = await clients.connect();
    assert.equal(client.connack.properties.receiveMaximum, 3);
    for (let i = 1; i <= 3; i += 1) {
      client.sendPublish(clients.topic("a"), "x", { qos: 2 });
      await client.expect("PUBREC");
    }
    client.sendAcknowledgement("PUBREL", 1);
    await client.expect("PUBCOMP");
    client.sendPublish(clients.topic("a"), "x", { qos: 2 });
    await client.expect("PUBREC");
    client.sendPublish(clients.topic("a"), "x", { qos: 2 });
    await client.expectRefusal(0x93);
    const address = clients.from(100);
    await clients.events.first({ type: "protocol-error", limit: "inflight", address });
  },
  { ways: onlyV5 },
);

limitTest(
  "inflight",
  "does not hold 3.1.1 clients to a number they are never told, when they send",
  deployment,
  async (clients) => {
    const client = await clients.connect();
    for (let i = 1; i <= 10; i += 1) client.sendPublish(clients.topic("a"), "x", { qos: 2 });
    for (let i = 1; i <= 10; i += 1) assert.equal((await client.expect("PUBREC")).packetId, i);
  },
  { ways: onlyV3 },
);

limitTest(
  "userProperties",
  "ends who sends more in one packet, takes as many",
  deployment,
  async (clients) => {
    const of = (count: number): UserProperty[] => Array.from({ length: count }, () => ["k", "v"]);
    const userProperty = of(2);
    const topic = clients.topic("a");
    const client = await clients.connect({ properties: { userProperty } });
    assert.ok((await client.publish(topic, "x", { qos: 1, properties: { userProperty } })) < 0x80);
    assert.equal(await client.subscribe(topic, { properties: { userProperty } }), 2);
    client.sendPublish(topic, "x", { properties: { userProperty: of(3) } });
    await client.expectRefusal(0x97);
    const address = clients.from(100);
    await clients.events.first({ type: "protocol-error", limit: "userProperties", address });
    const code = await clients.connectRefused({ properties: { userProperty: of(3) } });
    assert.equal(code, 0x97);
    await clients.events.first({ type: "connect-refused", limit: "userProperties" });
  },
  { ways: onlyV5 },
);

limitTest(
  "topicAliases",
  "ends who sets one beyond, takes as many and sets no more itself",
  deployment,
  async (clients) => {
    const reader = await clients.connect({ properties: { topicAliasMaximum: 10 } });
    const client = await clients.connect();
    assert.equal(client.connack.properties.topicAliasMaximum, 2);
    await reader.subscribe(clients.topic("#"), { qos: 0 });
    for (const topicAlias of [1, 2]) {
      await client.publish(clients.topic(`a${topicAlias}`), "x", { properties: { topicAlias } });
    }
    await client.publish(clients.topic("a3"), "x");
    const aliases = [];
    for (let i = 0; i < 3; i += 1)
      aliases.push((await reader.expect("PUBLISH")).properties.topicAlias);
    assert.deepEqual(aliases, [1, 2, undefined]);
    client.sendPublish(clients.topic("a3"), "x", { properties: { topicAlias: 3 } });
    await client.expectRefusal(0x94);
    const address = clients.from(100);
    await clients.events.first({ type: "protocol-error", limit: "topicAliases", address });
  },
  { ways: onlyV5 },
);
