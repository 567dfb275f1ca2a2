import assert from "node:assert/strict";
import { after } from "node:test";
import { received } from "../authorization/scene.ts";
import { bytes } from "../support/bytes.ts";
import { startDeployment } from "../support/deployment.ts";
import type { Clients, ConnectedClient } from "./clients.ts";
import { limitTest } from "./limit-test.ts";
import { goneOf, until } from "./waiting.ts";

const [retaining, small, storing, brief] = await Promise.all([
  startDeployment({
    devices: 0,
    settings: { "limits.retainedMessages": 3, "limits.retainedBytes": 40_000 },
  }),
  startDeployment({ devices: 0, settings: { "limits.memoryBytes": 1_048_576 } }),
  startDeployment({ devices: 0, settings: { "limits.storedBytes": 1_048_576 } }),
  startDeployment({ devices: 0, settings: { "limits.retainedSeconds": 1 } }),
]);
after(() => Promise.all([retaining, small, storing, brief].map((one) => one.stop())));

const retain = (client: ConnectedClient, topic: string, payload: string) =>
  client.publish(topic, payload, { qos: 1, retain: true });

/** A retained message that is refused: 0x97, or on 3.1.1 the end. */
async function retainRefused(clients: Clients, topic: string, payload: string): Promise<void> {
  const client = await clients.connect();
  if (clients.version === 5) {
    assert.equal(await retain(client, topic, payload), 0x97);
    assert.equal(await client.publish(topic, payload, { qos: 2, retain: true }), 0x97);
    return;
  }
  client.sendPublish(topic, payload, { qos: 1, retain: true });
  await client.expectEnd();
}

async function forget(clients: Clients, ...names: readonly string[]): Promise<void> {
  const client = await clients.connect();
  for (const name of names) await retain(client, clients.topic(name), "");
}

limitTest(
  "retainedSeconds",
  "ends the life of a retained message that asks for more, or says nothing",
  brief,
  async (clients) => {
    const client = await clients.connect();
    const long = clients.version === 5 ? { messageExpiryInterval: 4_000_000_000 } : {};
    for (const [name, properties] of [
      ["plain", {}],
      ["long", long],
    ] as const) {
      const code = await client.publish(clients.topic(name), "x", {
        qos: 1,
        retain: true,
        properties,
      });
      assert.ok(code < 0x80);
    }
    await until("their end", async () => {
      const reader = await clients.connect();
      await reader.subscribe(clients.topic("+"));
      const { messages } = await received(reader);
      await reader.disconnect();
      return messages.length === 0 || undefined;
    });
  },
  { atOnce: true },
);

limitTest(
  "retainedMessages",
  "refuses a topic beyond, replaces and forgets the ones there are",
  retaining,
  async (clients) => {
    const client = await clients.connect();
    for (const name of ["a", "b", "c"]) {
      assert.ok((await retain(client, clients.topic(name), "x")) < 0x80);
    }
    await retainRefused(clients, clients.topic("d"), "x");
    await clients.events.first({
      type: "limit-reached",
      limit: "retainedMessages",
      topic: clients.topic("d"),
    });
    assert.ok((await retain(client, clients.topic("a"), "y")) < 0x80);
    await forget(clients, "b");
    assert.ok((await retain(client, clients.topic("d"), "x")) < 0x80);
    await forget(clients, "a", "c", "d");
  },
);

limitTest(
  "retainedBytes",
  "refuses what would exceed them, a larger one in the place of another too",
  retaining,
  async (clients) => {
    const client = await clients.connect();
    assert.ok((await retain(client, clients.topic("a"), "x".repeat(20_000))) < 0x80);
    await retainRefused(clients, clients.topic("b"), "x".repeat(20_000));
    await clients.events.first({
      type: "limit-reached",
      limit: "retainedBytes",
      topic: clients.topic("b"),
    });
    assert.ok((await retain(client, clients.topic("b"), "x".repeat(10_000))) < 0x80);
    await retainRefused(clients, clients.topic("b"), "x".repeat(20_000));
    await forget(clients, "a");
    assert.ok((await retain(client, clients.topic("b"), "x".repeat(20_000))) < 0x80);
    await forget(clients, "b");
  },
);

limitTest(
  "storedBytes",
  "refuses what would be stored beyond, lets pass what is not, and recovers when it was delivered",
  storing,
  async (clients) => {
    const kept = {
      cleanStart: false,
      ...(clients.version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {}),
    };
    const reader = await clients.connect(kept);
    await reader.subscribe(clients.topic("kept"), { qos: 1 });
    await reader.disconnect();
    const witness = await clients.connect();
    await witness.subscribe(clients.topic("live"), { qos: 1 });
    const writer = await clients.connect();
    const payload = "x".repeat(100_000);
    for (let i = 0; i < 10; i += 1)
      await writer.publish(clients.topic("kept"), payload, { qos: 1 });
    if (clients.version === 5) {
      assert.equal(await writer.publish(clients.topic("kept"), payload, { qos: 1 }), 0);
      assert.equal(await writer.publish(clients.topic("kept"), payload, { qos: 1 }), 0x97);
      assert.equal(await writer.publish(clients.topic("kept"), payload, { qos: 2 }), 0x97);
    } else {
      const one = await clients.connect();
      await one.publish(clients.topic("kept"), payload, { qos: 1 });
      one.sendPublish(clients.topic("kept"), payload, { qos: 1 });
      await one.expectEnd();
    }
    await clients.events.first({ type: "limit-reached", limit: "storedBytes" });
    assert.equal(await writer.publish(clients.topic("live"), "passes", { qos: 1 }), 0);
    assert.equal((await witness.receive()).text, "passes");
    await (await clients.connect({ clientId: reader.clientId })).disconnect(); // ends the session
    const again = await clients.connect(kept);
    await again.subscribe(clients.topic("kept"), { qos: 1 });
    assert.equal(await writer.publish(clients.topic("kept"), "kept", { qos: 1 }), 0);
    assert.equal((await again.receive()).text, "kept");
    await again.disconnect();
    await (await clients.connect({ clientId: again.clientId })).disconnect();
  },
);

limitTest(
  "memoryBytes",
  "refuses what would be kept beyond, lets messages pass and recovers",
  small,
  async (clients) => {
    const kept = {
      cleanStart: false,
      ...(clients.version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {}),
    };
    const reader = await clients.connect(kept);
    await reader.subscribe(clients.topic("held"), { qos: 1 });
    await reader.disconnect();
    const [writer, other, witness] = [
      await clients.connect(),
      await clients.connect(),
      await clients.connect(),
    ];
    await witness.subscribe(clients.topic("live"), { qos: 0 });
    const [address, another] = [clients.from(100), clients.from(101)];
    const keeper = await clients.connect({ from: another });
    for (let i = 0; i < 12; i += 1)
      await writer.publish(clients.topic("held"), Buffer.alloc(100_000), { qos: 1 });
    const limit = "memoryBytes";
    await clients.events.first({ type: "messages-dropped", limit });
    const refused = clients.version === 5 ? 0x97 : 3;
    const code = await clients.connectRefused();
    assert.equal(code, refused);
    await clients.events.first({ type: "connect-refused", limit, address });
    assert.equal(await other.subscribe(clients.topic("more")), clients.version === 5 ? 0x97 : 0x80);
    await clients.events.first({ type: "limit-reached", limit, address });
    // Publishers are read more slowly, never not at all.
    for (let i = 0; i < 3; i += 1) await other.publish(clients.topic("live"), String(i));
    for (let i = 0; i < 3; i += 1) assert.equal((await witness.receive()).text, String(i));
    if (clients.version === 5) {
      assert.equal(await retain(keeper, clients.topic("kept"), "x"), 0x97);
    } else {
      keeper.sendPublish(clients.topic("kept"), "x", { qos: 1, retain: true });
      await keeper.expectEnd();
    }
    await clients.events.first({ type: "limit-reached", limit, address: another });
    // Who comes back for what waits is let in, and makes room.
    const again = await clients.connect({ clientId: reader.clientId, ...kept });
    for (let i = 0; i < 8; i += 1) await again.receive();
    await again.disconnect();
    const fresh = await until("room again", () => clients.connect().catch(() => undefined));
    await fresh.disconnect();
    await (await clients.connect({ clientId: reader.clientId })).disconnect();
  },
);

limitTest(
  "memoryBytes",
  "ends a large packet that arrives in parts when there is no room for the rest",
  small,
  async (clients) => {
    const [first, second] = [await clients.connect(), await clients.connect()];
    const begin = bytes("30 c0 84 3d"); // of 1,000,000 bytes
    for (const client of [first, second]) client.send(begin, Buffer.alloc(600_000));
    await Promise.race([first, second].map(({ wire }) => goneOf(wire.socket)));
    const address = clients.from(100);
    await clients.events.first({ type: "limit-reached", limit: "memoryBytes", address });
    for (const client of [first, second]) client.drop();
    await until("room again", () => clients.connect().catch(() => undefined));
  },
);
