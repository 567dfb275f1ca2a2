import assert from "node:assert/strict";
import { setTimeout as letPass } from "node:timers/promises";
import type { Case } from "../case.ts";

/**
 * What time does. The broker of these cases allows a keep alive of one second, so that a test need not last for ten;
 * the time that passes here is what is tested, never a way to wait for something.
 */
export const time: readonly Case[] = [
  {
    it: "ends the connection of a client silent for one and a half Keep Alive, and publishes its will",
    v3: ["3.1.2-24", "3.1.2-8"],
    v5: ["3.1.2-22", "3.2.2-22", "3.1.2-8"],
    run: async (stage) => {
      const topic = stage.topic("will");
      const reader = await stage.connect();
      await reader.subscribe(topic);
      const client = await stage.connect({ keepAlive: 1, will: { topic, payload: "silent" } });
      await client.expectRefusal(0x8d);
      assert.equal((await reader.receive()).text, "silent");
    },
  },
  {
    it: "keeps the connection of a client that sends in time",
    v3: ["3.1.2-24"],
    v5: ["3.1.2-22"],
    run: async (stage) => {
      const client = await stage.connect({ keepAlive: 2 });
      for (let i = 0; i < 5; i++) {
        await letPass(800);
        await client.expectQuiet();
      }
    },
  },
  {
    it: "sends what is left of the Message Expiry Interval",
    v5: ["3.3.2-6"],
    run: async (stage) => {
      const options = {
        clientId: stage.clientId(),
        cleanStart: false,
        properties: { sessionExpiryInterval: 60 },
      };
      const reader = await stage.connect(options);
      const topic = stage.topic("a");
      await reader.subscribe(topic, { qos: 1 });
      await reader.disconnect();
      const writer = await stage.connect();
      await writer.publish(topic, "x", { qos: 1, properties: { messageExpiryInterval: 30 } });
      await letPass(2_100);
      const left =
        (await (await stage.connect(options)).receive()).properties.messageExpiryInterval ?? 99;
      assert.ok(left <= 28 && left > 0, `${left} s are left of 30`);
    },
  },
  {
    it: "sends the Message Expiry Interval whole where a message did not wait",
    v5: ["3.3.2-6"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.subscribe(topic, { qos: 1 });
      await client.publish(topic, "x", { qos: 1, properties: { messageExpiryInterval: 30 } });
      const left = (await client.receive()).properties.messageExpiryInterval ?? 0;
      assert.ok(left > 20 && left <= 30, `${left} s are left of 30`);
    },
  },
  {
    it: "deletes a message that expired before its delivery began",
    v5: ["3.3.2-5"],
    run: async (stage) => {
      const options = {
        clientId: stage.clientId(),
        cleanStart: false,
        properties: { sessionExpiryInterval: 60 },
      };
      const reader = await stage.connect(options);
      const topic = stage.topic("a");
      await reader.subscribe(topic, { qos: 2 });
      await reader.disconnect();
      const writer = await stage.connect();
      for (const qos of [1, 2] as const) {
        await writer.publish(topic, "short", { qos, properties: { messageExpiryInterval: 1 } });
      }
      await writer.publish(topic, "long", { qos: 1, properties: { messageExpiryInterval: 60 } });
      await letPass(2_100);
      const after = await stage.connect(options);
      assert.equal((await after.receive()).text, "long");
      await after.expectQuiet();
    },
  },
  {
    it: "deletes a retained message that expired and sends what is left of one that did not",
    v5: ["3.3.2-5", "3.3.2-6"],
    run: async (stage) => {
      const client = await stage.connect();
      await client.publish(stage.topic("short"), "x", {
        retain: true,
        properties: { messageExpiryInterval: 1 },
      });
      await client.publish(stage.topic("long"), "x", {
        retain: true,
        properties: { messageExpiryInterval: 60 },
      });
      await letPass(2_100);
      await client.subscribe(stage.topic("+"));
      const message = await client.receive();
      assert.equal(message.topic, stage.topic("long"));
      assert.ok((message.properties.messageExpiryInterval ?? 99) <= 58);
      await client.expectQuiet();
    },
  },
  {
    it: "deletes an expired message for a client of 3.1.1 too",
    v5: ["3.3.2-5"],
    run: async (stage) => {
      const options = { clientId: stage.clientId(), cleanStart: false, version: 4 } as const;
      const reader = await stage.connect(options);
      const topic = stage.topic("a");
      await reader.subscribe(topic, { qos: 1 });
      await reader.disconnect();
      const writer = await stage.connect();
      await writer.publish(topic, "short", { qos: 1, properties: { messageExpiryInterval: 1 } });
      await writer.publish(topic, "for ever", { qos: 1 });
      await letPass(2_100);
      assert.equal((await (await stage.connect(options)).receive()).text, "for ever");
    },
  },
  {
    it: "does not let a QoS 2 message expire once it was sent",
    v5: ["4.3.3-7", "4.3.3-13"],
    run: async (stage) => {
      const options = {
        clientId: stage.clientId(),
        cleanStart: false,
        properties: { sessionExpiryInterval: 60 },
      };
      const reader = await stage.connect(options);
      const topic = stage.topic("a");
      await reader.subscribe(topic, { qos: 2 });
      const writer = await stage.connect();
      await writer.publish(topic, "x", { qos: 2, properties: { messageExpiryInterval: 1 } });
      const { packetId } = await reader.expect("PUBLISH");
      reader.drop();
      await letPass(2_100);
      const after = await stage.connect(options);
      const message = await after.expect("PUBLISH");
      assert.deepEqual([message.packetId, message.dup], [packetId, true]);
      await after.acknowledge(message);
      await after.expectQuiet();
    },
  },
  {
    it: "continues a publisher's QoS 2 exchange although its message expired",
    v5: ["4.3.3-13"],
    run: async (stage) => {
      const client = await stage.connect();
      const properties = { messageExpiryInterval: 1 };
      client.sendPublish(stage.topic("a"), "x", { qos: 2, packetId: 4, properties });
      await client.expect("PUBREC");
      await letPass(1_300);
      client.sendAcknowledgement("PUBREL", 4);
      const pubcomp = await client.expect("PUBCOMP");
      assert.deepEqual([pubcomp.packetId, pubcomp.reasonCode], [4, 0]);
    },
  },
  {
    it: "discards a Session whose expiry has passed, and publishes its will then",
    v5: ["4.1.0-2", "3.1.2-8"],
    run: async (stage) => {
      const topic = stage.topic("will");
      const reader = await stage.connect();
      await reader.subscribe(topic);
      const clientId = stage.clientId();
      const properties = { sessionExpiryInterval: 2 };
      const client = await stage.connect({
        clientId,
        properties,
        will: { topic, payload: "ended", properties: { willDelayInterval: 600 } },
      });
      client.drop();
      await reader.expectQuiet();
      assert.equal((await reader.receive()).text, "ended");
      const after = await stage.connect({ clientId, cleanStart: false });
      assert.equal(after.connack.sessionPresent, false);
    },
  },
  {
    it: "publishes a delayed will when its time has come and the Session lives on",
    v5: ["3.1.2-8", "3.1.2-10"],
    run: async (stage) => {
      const topic = stage.topic("will");
      const reader = await stage.connect();
      await reader.subscribe(topic);
      const options = {
        clientId: stage.clientId(),
        cleanStart: false,
        properties: { sessionExpiryInterval: 60 },
      };
      const client = await stage.connect({
        ...options,
        will: { topic, payload: "late", properties: { willDelayInterval: 2 } },
      });
      client.drop();
      await reader.expectQuiet();
      assert.equal((await reader.receive()).text, "late");
      assert.equal((await stage.connect(options)).connack.sessionPresent, true);
      await reader.expectQuiet();
    },
  },
  {
    it: "cancels a delayed will when the client is back in time",
    v5: ["3.1.3-9", "3.1.2-10"],
    run: async (stage) => {
      const topic = stage.topic("will");
      const reader = await stage.connect();
      await reader.subscribe(topic);
      const options = {
        clientId: stage.clientId(),
        cleanStart: false,
        properties: { sessionExpiryInterval: 60 },
      };
      const client = await stage.connect({
        ...options,
        will: { topic, payload: "x", properties: { willDelayInterval: 2 } },
      });
      client.drop();
      await stage.connect(options);
      await letPass(3_300);
      await reader.expectQuiet();
    },
  },
  {
    it: "sends the will's expiry from when it is published",
    v5: ["3.3.2-6"],
    run: async (stage) => {
      const topic = stage.topic("will");
      const reader = await stage.connect();
      await reader.subscribe(topic);
      const client = await stage.connect({
        properties: { sessionExpiryInterval: 60 },
        will: {
          topic,
          payload: "x",
          properties: { willDelayInterval: 2, messageExpiryInterval: 30 },
        },
      });
      client.drop();
      const left = (await reader.receive()).properties.messageExpiryInterval ?? 0;
      assert.ok(left > 20 && left <= 30, `${left} s are left of 30`);
    },
  },
];

/** The broker of these cases allows a keep alive of one second and no other. */
export const keepAlive: readonly Case[] = [
  {
    it: "holds a client without keep alive to the longest that is allowed",
    v3: [],
    v5: ["3.1.2-22"],
    run: async (stage) => {
      const client = await stage.connect({ keepAlive: 0 });
      if (stage.version === 5) assert.equal(client.connack.properties.serverKeepAlive, 1);
      await client.expectRefusal(0x8d);
    },
  },
];
