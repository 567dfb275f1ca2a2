import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import type { ConnectedClient, Stage } from "../stage.ts";

/** A reader of the will's topic, and the topic. */
async function watch(stage: Stage): Promise<{ reader: ConnectedClient; topic: string }> {
  const topic = stage.topic("will");
  const reader = await stage.connect();
  await reader.subscribe(topic, { qos: 2 });
  return { reader, topic };
}

/** Wills: sent, kept back, cancelled. */
export const will: readonly Case[] = [
  {
    it: "publishes the will when the connection breaks",
    v3: ["3.1.2-8", "3.1.2-10", "3.1.2-9"],
    v5: ["3.1.2-7", "3.1.2-8", "3.1.2-10", "3.1.2-9"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      for (const qos of [0, 1, 2] as const) {
        const client = await stage.connect({ will: { topic, payload: `at ${qos}`, qos } });
        client.drop();
        const message = await reader.receive();
        assert.deepEqual([message.text, message.qos, message.retain], [`at ${qos}`, qos, false]);
      }
      await reader.expectQuiet();
    },
  },
  {
    it: "publishes the will when the client breaks the protocol",
    v3: ["3.1.2-8"],
    v5: ["3.1.2-8"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      const client = await stage.connect({ will: { topic, payload: "x" } });
      client.send("00 00");
      await client.expectRefusal(0x81);
      assert.equal((await reader.receive()).text, "x");
    },
  },
  {
    it: "publishes the will when the connection is taken over",
    v3: ["3.1.2-8", "3.1.4-2"],
    v5: ["3.1.2-8", "3.1.4-3"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      const clientId = stage.clientId();
      const client = await stage.connect({ clientId, will: { topic, payload: "x" } });
      await stage.connect({ clientId });
      await client.expectRefusal(0x8e);
      assert.equal((await reader.receive()).text, "x");
    },
  },
  {
    it: "discards the will at DISCONNECT",
    v3: ["3.14.4-3", "3.1.2-10"],
    v5: ["3.14.4-3", "3.1.2-10"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      const client = await stage.connect({ will: { topic, payload: "x" } });
      await client.disconnect();
      await reader.expectQuiet();
      // Nor does the next connection of the client bring it.
      const next = await stage.connect();
      next.drop();
      await reader.expectQuiet();
    },
  },
  {
    it: "publishes the will at a DISCONNECT that asks for it",
    v5: ["3.1.2-8", "3.14.4-3"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      for (const code of [0x04, 0x80, 0x82]) {
        const client = await stage.connect({ will: { topic, payload: `${code}` } });
        await client.disconnect(code);
        assert.equal((await reader.receive()).text, `${code}`);
      }
    },
  },
  {
    it: "publishes the will where a DISCONNECT is a Protocol Error",
    v5: ["3.1.2-8"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      const client = await stage.connect({ will: { topic, payload: "x" } });
      client.send("e0 ~ 00 {11 00000001}");
      await client.expectRefusal(0x82);
      assert.equal((await reader.receive()).text, "x");
    },
  },
  {
    it: "publishes nothing where there is no will",
    v3: ["3.1.2-12"],
    v5: ["3.1.2-8"],
    run: async (stage) => {
      const { reader } = await watch(stage);
      (await stage.connect()).drop();
      await reader.expectQuiet();
    },
  },
  {
    it: "retains the will where it asks for it and not where it does not",
    v3: ["3.1.2-16", "3.1.2-17"],
    v5: ["3.1.2-14", "3.1.2-15"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      for (const retain of [false, true]) {
        const client = await stage.connect({ will: { topic, payload: `${retain}`, retain } });
        client.drop();
        assert.equal((await reader.receive()).text, `${retain}`);
        const late = await stage.connect();
        await late.subscribe(topic);
        if (retain) assert.equal((await late.receive()).retain, true);
        await late.expectQuiet();
      }
    },
  },
  {
    it: "removes what is retained by a will without payload",
    v3: ["3.1.2-17", "3.3.1-10"],
    v5: ["3.1.2-15", "3.3.1-6"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      await reader.publish(topic, "kept", { qos: 1, retain: true });
      await reader.receive();
      const client = await stage.connect({ will: { topic, payload: "", retain: true } });
      client.drop();
      assert.equal((await reader.receive()).text, "");
      const late = await stage.connect();
      await late.subscribe(topic);
      await late.expectQuiet();
    },
  },
  {
    it: "keeps RETAIN of the will where the subscription asks for it",
    v5: ["3.3.1-13", "3.1.2-15"],
    run: async (stage) => {
      const topic = stage.topic("will");
      const reader = await stage.connect();
      await reader.subscribe(topic, { retainAsPublished: true });
      for (const retain of [true, false]) {
        (await stage.connect({ will: { topic, payload: "x", retain } })).drop();
        assert.equal((await reader.receive()).retain, retain);
      }
    },
  },
  {
    it: "delays the will after a DISCONNECT that asks for it too",
    v5: ["3.1.2-8"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      const clientId = stage.clientId();
      const client = await stage.connect({
        clientId,
        properties: { sessionExpiryInterval: 600 },
        will: { topic, payload: "x", properties: { willDelayInterval: 600 } },
      });
      await client.disconnect(0x04);
      await reader.expectQuiet();
      await stage.connect({ clientId, cleanStart: true });
      assert.equal((await reader.receive()).text, "x");
    },
  },
  {
    it: "publishes the will once",
    v3: ["3.1.2-10"],
    v5: ["3.1.2-10"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      const options = { clientId: stage.clientId(), cleanStart: false } as const;
      const properties = { sessionExpiryInterval: 60 };
      const client = await stage.connect({ ...options, properties, will: { topic, payload: "x" } });
      client.drop();
      assert.equal((await reader.receive()).text, "x");
      const again = await stage.connect({ ...options, properties });
      again.drop();
      await stage.connect({ ...options, properties });
      await reader.expectQuiet();
    },
  },
  {
    it: "sends the will's properties with it, User Properties in order",
    v5: ["3.1.3-10", "3.1.2-9"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      const properties = {
        payloadFormatIndicator: 1,
        contentType: "text/plain",
        responseTopic: stage.topic("response"),
        correlationData: Buffer.from([1, 2, 3]),
        userProperty: [
          ["b", "1"],
          ["a", "2"],
          ["b", "1"],
        ] as const,
      };
      const client = await stage.connect({ will: { topic, payload: "x", properties } });
      client.drop();
      const { properties: got } = await reader.receive();
      assert.deepEqual(got.userProperty, properties.userProperty);
      assert.equal(got.contentType, properties.contentType);
      assert.equal(got.responseTopic, properties.responseTopic);
      assert.equal(got.payloadFormatIndicator, 1);
      assert.deepEqual(Buffer.from(got.correlationData ?? []), properties.correlationData);
      assert.equal(got.willDelayInterval, undefined);
    },
  },
  {
    it: "publishes a will with a delay at once when the Session ends with the connection",
    v5: ["3.1.2-8", "3.1.3-9"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      const client = await stage.connect({
        will: { topic, payload: "x", properties: { willDelayInterval: 600 } },
      });
      client.drop();
      assert.equal((await reader.receive()).text, "x");
    },
  },
  {
    it: "publishes a delayed will at once when a new connection begins the Session anew",
    v5: ["3.1.2-8", "3.1.2-4"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      const clientId = stage.clientId();
      const client = await stage.connect({
        clientId,
        properties: { sessionExpiryInterval: 600 },
        will: { topic, payload: "x", properties: { willDelayInterval: 600 } },
      });
      client.drop();
      await reader.expectQuiet();
      await stage.connect({ clientId, cleanStart: true });
      assert.equal((await reader.receive()).text, "x");
    },
  },
  {
    it: "publishes a delayed will at once when the Session is ended by DISCONNECT",
    v5: ["3.1.2-8"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      const client = await stage.connect({
        properties: { sessionExpiryInterval: 600 },
        will: { topic, payload: "x", properties: { willDelayInterval: 600 } },
      });
      await client.disconnect(0x04, { sessionExpiryInterval: 0 });
      assert.equal((await reader.receive()).text, "x");
    },
  },
  {
    it: "cancels a delayed will when a takeover resumes the Session, and sends one without delay",
    v5: ["3.1.3-9", "3.1.4-3"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      for (const willDelayInterval of [600, 0]) {
        const options = {
          clientId: stage.clientId(),
          cleanStart: false,
          properties: { sessionExpiryInterval: 600 },
        };
        const payload = `${willDelayInterval}`;
        await stage.connect({
          ...options,
          will: { topic, payload, properties: { willDelayInterval } },
        });
        await stage.connect(options);
        if (willDelayInterval === 0) assert.equal((await reader.receive()).text, payload);
        await reader.expectQuiet();
      }
    },
  },
  {
    it: "sends a will that is there already before an answer to the next CONNECT of the client",
    v5: ["3.1.2-8"],
    run: async (stage) => {
      const { reader, topic } = await watch(stage);
      const clientId = stage.clientId();
      await stage.connect({ clientId, will: { topic, payload: "first" } });
      await stage.connect({ clientId, will: { topic, payload: "second" } });
      assert.equal((await reader.receive()).text, "first");
      await reader.expectQuiet();
    },
  },
];
