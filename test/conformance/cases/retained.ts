import assert from "node:assert/strict";
import type { Case } from "../case.ts";

/** Retained messages: kept, replaced, removed, and sent as the subscription asks. */
export const retained: readonly Case[] = [
  {
    it: "keeps a retained message with its QoS for later subscribers",
    v3: ["3.3.1-5", "3.3.1-6", "3.3.1-8", "3.1.2-7"],
    v5: ["3.3.1-5", "3.3.1-9"],
    run: async (stage) => {
      const topic = stage.topic("a");
      for (const qos of [0, 1, 2] as const) {
        const client = await stage.connect();
        await client.publish(topic, `at ${qos}`, { qos, retain: true });
        await client.disconnect();
        const reader = await stage.connect();
        await reader.subscribe(topic);
        const message = await reader.receive();
        assert.deepEqual([message.text, message.qos, message.retain], [`at ${qos}`, qos, true]);
        await reader.expectQuiet();
      }
    },
  },
  {
    it: "keeps the last retained message only",
    v3: ["3.3.1-5", "3.3.1-7"],
    v5: ["3.3.1-5"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.publish(topic, "old", { qos: 1, retain: true });
      await client.publish(topic, "new", { qos: 0, retain: true });
      await client.subscribe(topic);
      assert.equal((await client.receive()).text, "new");
      await client.expectQuiet();
    },
  },
  {
    it: "sends the retained message of every topic a filter matches",
    v3: ["3.3.1-6"],
    v5: ["3.3.1-9"],
    run: async (stage) => {
      const client = await stage.connect();
      const topics = ["a", "a/b", "a/b/c", "d"].map((name) => stage.topic(name));
      for (const topic of topics) await client.publish(topic, "x", { retain: true });
      const reader = await stage.connect();
      await reader.subscribe(stage.topic("a/#"));
      const got = [];
      for (let i = 0; i < 3; i++) got.push((await reader.receive()).topic);
      assert.deepEqual(got.sort(), topics.slice(0, 3));
      await reader.expectQuiet();
    },
  },
  {
    it: "delivers an empty retained message and removes what was kept",
    v3: ["3.3.1-10", "3.3.1-11"],
    v5: ["3.3.1-6", "3.3.1-7"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.publish(topic, "kept", { qos: 1, retain: true });
      const live = await stage.connect();
      await live.subscribe(topic);
      assert.equal((await live.receive()).text, "kept");
      await client.publish(topic, "", { qos: 1, retain: true });
      assert.equal((await live.receive()).text, "");
      const late = await stage.connect();
      await late.subscribe(topic);
      await late.expectQuiet();
    },
  },
  {
    it: "leaves what is kept alone where a message is not retained",
    v3: ["3.3.1-12"],
    v5: ["3.3.1-8"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.publish(stage.topic("b"), "never", { qos: 1 });
      await client.publish(topic, "kept", { qos: 1, retain: true });
      await client.publish(topic, "passing", { qos: 1 });
      await client.publish(topic, "", { qos: 1 });
      await client.subscribe(stage.topic("+"));
      assert.equal((await client.receive()).text, "kept");
      await client.expectQuiet();
    },
  },
  {
    it: "sends a retained message as an ordinary one to who is there already",
    v3: ["3.3.1-9"],
    v5: ["3.3.1-12"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.subscribe(topic);
      client.sendPublish(topic, "x", { retain: true });
      assert.equal((await client.receive()).retain, false);
    },
  },
  {
    it: "keeps RETAIN as published where the subscription asks for it",
    v5: ["3.3.1-13", "3.3.1-12"],
    run: async (stage) => {
      const reader = await stage.connect();
      const other = await stage.connect();
      const topic = stage.topic("a");
      await reader.subscribe(topic, { retainAsPublished: true });
      await other.subscribe(topic, { retainAsPublished: false });
      const client = await stage.connect();
      for (const retain of [true, false]) {
        await client.publish(topic, "x", { qos: 1, retain });
        assert.equal((await reader.receive()).retain, retain);
        assert.equal((await other.receive()).retain, false);
      }
    },
  },
  {
    it: "sends retained messages with RETAIN 1 whatever Retain As Published says",
    v5: ["3.3.1-9"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.publish(topic, "x", { retain: true });
      for (const retainAsPublished of [false, true]) {
        await client.subscribe(topic, { retainAsPublished });
        assert.equal((await client.receive()).retain, true);
      }
    },
  },
  {
    it: "sends retained messages at every SUBSCRIBE with Retain Handling 0",
    v3: ["3.8.4-3"],
    v5: ["3.3.1-9", "3.8.4-4"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.publish(topic, "x", { qos: 1, retain: true });
      for (let i = 0; i < 3; i++) {
        await client.subscribe(topic, { retainHandling: 0 });
        assert.equal((await client.receive()).text, "x");
      }
      await client.expectQuiet();
    },
  },
  {
    it: "sends retained messages to a new subscription only with Retain Handling 1",
    v5: ["3.3.1-10"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.publish(topic, "x", { qos: 1, retain: true });
      await client.subscribe(topic, { retainHandling: 1 });
      assert.equal((await client.receive()).text, "x");
      await client.subscribe(topic, { retainHandling: 1 });
      await client.subscribe(topic, { retainHandling: 1, qos: 1 });
      await client.expectQuiet();
      await client.unsubscribe(topic);
      await client.subscribe(topic, { retainHandling: 1 });
      assert.equal((await client.receive()).text, "x");
    },
  },
  {
    it: "sends no retained messages with Retain Handling 1 where a Session had the subscription",
    v5: ["3.3.1-10"],
    run: async (stage) => {
      const topic = stage.topic("a");
      const kept = { clientId: stage.clientId(), properties: { sessionExpiryInterval: 60 } };
      const before = await stage.connect(kept);
      await before.publish(topic, "x", { retain: true });
      await before.subscribe(topic, { retainHandling: 2 });
      await before.disconnect();
      const after = await stage.connect({ ...kept, cleanStart: false });
      await after.subscribe(topic, { retainHandling: 1 });
      await after.expectQuiet();
    },
  },
  {
    it: "sends no retained messages with Retain Handling 2",
    v5: ["3.3.1-11"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.publish(topic, "x", { qos: 1, retain: true });
      await client.subscribe(topic, { retainHandling: 2 });
      await client.expectQuiet();
      await client.publish(topic, "live", { qos: 1 });
      assert.equal((await client.receive()).text, "live");
    },
  },
  {
    it: "sends a retained message at the lower of its QoS and the granted one",
    v3: ["3.8.4-6"],
    v5: ["3.8.4-8"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.publish(topic, "x", { qos: 2, retain: true });
      for (const qos of [0, 1, 2] as const) {
        await client.subscribe(topic, { qos });
        assert.equal((await client.receive()).qos, qos);
      }
    },
  },
  {
    it: "keeps retained messages when the Session of their publisher ends",
    v3: ["3.1.2-7"],
    v5: [],
    run: async (stage) => {
      const clientId = stage.clientId();
      const client = await stage.connect({ clientId });
      const topic = stage.topic("a");
      await client.publish(topic, "x", { qos: 1, retain: true });
      client.drop();
      const after = await stage.connect({ clientId });
      await after.subscribe(topic);
      assert.equal((await after.receive()).text, "x");
    },
  },
  {
    it: "keeps the properties of a retained message and sends the identifier of the subscription with it",
    v5: ["3.3.2-17", "3.3.2-18", "3.3.2-20", "3.3.4-3"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      const userProperty = [
        ["z", "1"],
        ["a", "2"],
      ] as const;
      await client.publish(topic, "x", {
        retain: true,
        properties: { userProperty, contentType: "text/plain" },
      });
      await client.subscribe(topic, { properties: { subscriptionIdentifier: [42] } });
      const { properties } = await client.receive();
      assert.deepEqual(properties.userProperty, userProperty);
      assert.equal(properties.contentType, "text/plain");
      assert.deepEqual(properties.subscriptionIdentifier, [42]);
    },
  },
  {
    it: "sends no retained messages to a Shared Subscription",
    v5: [],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.publish(topic, "x", { qos: 1, retain: true });
      await client.subscribe(`$share/g/${topic}`);
      await client.expectQuiet();
    },
  },
  {
    it: "does not send a retained message its reader may not receive",
    v3: [],
    v5: [],
    run: async (stage) => {
      const client = await stage.connect();
      await client.publish("forbidden/kept", "x", { qos: 1, retain: true });
      const reader = await stage.connect({ as: "limited" });
      assert.equal(await reader.subscribe("forbidden/kept"), stage.version === 5 ? 0x87 : 0x80);
      await reader.expectQuiet();
    },
  },
];
