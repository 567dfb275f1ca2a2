import assert from "node:assert/strict";
import { after } from "node:test";
import { startDeployment } from "../support/deployment.ts";
import type { Clients, ConnectedClient } from "./clients.ts";
import { limitTest, onlyV5 } from "./limit-test.ts";

const [counted, sized] = await Promise.all([
  startDeployment({ devices: 0, settings: { "limits.queuedMessages": 3 } }),
  startDeployment({
    devices: 0,
    settings: { "limits.queuedBytes": 40_000, "limits.queuedBytesTotal": 60_000 },
  }),
]);
after(() => Promise.all([counted.stop(), sized.stop()]));

const kept = (clients: Clients) => ({
  cleanStart: false,
  ...(clients.version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {}),
});

/** A session that has subscribed and whose client is away. */
async function away(clients: Clients, filter: string): Promise<string> {
  const client = await clients.connect(kept(clients));
  await client.subscribe(filter, { qos: 1 });
  await client.disconnect();
  return client.clientId;
}

/** Comes back, takes everything that waited, and leaves for good. */
async function collect(clients: Clients, clientId: string, count: number): Promise<string[]> {
  const client = await clients.connect({ clientId, ...kept(clients) });
  assert.equal(client.connack.sessionPresent, true);
  const texts: string[] = [];
  for (let i = 0; i < count; i += 1) texts.push((await client.receive()).text.slice(0, 1));
  await client.expectQuiet();
  await client.disconnect();
  await (await clients.connect({ clientId })).disconnect();
  return texts;
}

async function publishAll(
  writer: ConnectedClient,
  topic: string,
  names: string,
  bytes = 1,
): Promise<void> {
  for (const name of names) await writer.publish(topic, name.repeat(bytes), { qos: 1 });
}

limitTest(
  "queuedMessages",
  "keeps the latest ones for a client that is away and drops the oldest, with an event",
  counted,
  async (clients) => {
    const topic = clients.topic("a");
    const clientId = await away(clients, topic);
    const writer = await clients.connect();
    await publishAll(writer, topic, "12345");
    const event = { type: "messages-dropped", limit: "queuedMessages" } as const;
    assert.equal((await clients.events.first(event)).subject, "service:tester");
    assert.deepEqual(await collect(clients, clientId, 3), ["3", "4", "5"]);
  },
);

limitTest(
  "queuedMessages",
  "drops by the class of a topic, each class its oldest first, and an alarm only for another alarm",
  counted,
  async (clients) => {
    const device = `${clients.topic("site/ward")}/device/00000000-0000-4000-8000-000000000001`;
    const clientId = await away(clients, `${device}/#`);
    const writer = await clients.connect();
    const publish = (channel: string, names: string) =>
      publishAll(writer, `${device}/${channel}`, names);
    await publish("alarm", "1");
    await publish("telemetry", "2");
    await publish("command", "3");
    await publish("telemetry", "4"); // for 2
    await publish("alarm", "5"); // for 4
    await publish("telemetry", "6"); // for itself: nothing is less important
    await publish("command", "7"); // for 3
    await publish("alarm", "8"); // for 7
    await publish("alarm", "9"); // for 1
    await clients.events.first({ type: "messages-dropped", limit: "queuedMessages" });
    assert.deepEqual(await collect(clients, clientId, 3), ["5", "8", "9"]);
  },
);

limitTest(
  "queuedMessages",
  "counts what waits behind the receive maximum of a client that is there",
  counted,
  async (clients) => {
    const topic = clients.topic("a");
    const reader = await clients.connect({ properties: { receiveMaximum: 1 } });
    await reader.subscribe(topic, { qos: 1 });
    const writer = await clients.connect();
    await publishAll(writer, topic, "123456");
    await clients.events.first({ type: "messages-dropped", limit: "queuedMessages" });
    const texts = [];
    for (let i = 0; i < 4; i += 1) texts.push((await reader.receive()).text);
    assert.deepEqual(texts, ["1", "4", "5", "6"]);
    await reader.expectQuiet();
  },
  { ways: onlyV5 },
);

limitTest(
  "queuedBytes",
  "keeps the latest that fit for a client that is away and drops the oldest, with an event",
  sized,
  async (clients) => {
    const topic = clients.topic("a");
    const clientId = await away(clients, topic);
    const writer = await clients.connect();
    await publishAll(writer, topic, "123", 15_000);
    await clients.events.first({ type: "messages-dropped", limit: "queuedBytes" });
    await writer.publish(topic, "4", { qos: 1 }); // a small one still fits
    assert.deepEqual(await collect(clients, clientId, 3), ["2", "3", "4"]);
  },
);

limitTest(
  "queuedBytes",
  "counts what was sent to a client that keeps its session and acknowledges nothing",
  sized,
  async (clients) => {
    const topic = clients.topic("a");
    const reader = await clients.connect(kept(clients));
    await reader.subscribe(topic, { qos: 1 });
    const writer = await clients.connect();
    await publishAll(writer, topic, "123", 15_000);
    await clients.events.first({ type: "messages-dropped", limit: "queuedBytes" });
    const first = await reader.expect("PUBLISH");
    await reader.expect("PUBLISH");
    await reader.expectQuiet();
    await reader.acknowledge(first);
    await reader.settle();
    await publishAll(writer, topic, "4", 15_000);
    assert.equal((await reader.receive()).text[0], "4");
    await reader.disconnect();
    await (await clients.connect({ clientId: reader.clientId })).disconnect();
  },
);

limitTest(
  "queuedBytesTotal",
  "drops what would be too much for all sessions together, with an event",
  sized,
  async (clients) => {
    const first = await away(clients, clients.topic("a"));
    const second = await away(clients, clients.topic("b"));
    const writer = await clients.connect();
    await publishAll(writer, clients.topic("a"), "12", 15_000);
    await publishAll(writer, clients.topic("b"), "345", 12_000);
    await clients.events.first({ type: "messages-dropped", limit: "queuedBytesTotal" });
    assert.deepEqual(await collect(clients, first, 2), ["1", "2"]);
    assert.deepEqual(await collect(clients, second, 2), ["4", "5"]);
  },
);
