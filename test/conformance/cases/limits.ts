import assert from "node:assert/strict";
import type { Case } from "../case.ts";

/** What a server may say no to, with the answers MQTT has for it; the broker of these cases allows little. */
export const limits: readonly Case[] = [
  {
    it: "refuses every Topic Alias where it allows none",
    v5: ["3.2.2-18", "3.3.2-9"],
    run: async (stage) => {
      const client = await stage.connect();
      assert.ok(!client.connack.properties.topicAliasMaximum);
      client.sendPublish(stage.topic("a"), "x", { properties: { topicAlias: 1 } });
      await client.expectRefusal(0x94);
    },
  },
  {
    it: "tells its Maximum Packet Size and Receive Maximum, and means them",
    v5: ["3.2.2-15", "3.3.4-7"],
    run: async (stage) => {
      const client = await stage.connect();
      assert.equal(client.connack.properties.maximumPacketSize, 1_000);
      assert.equal(client.connack.properties.receiveMaximum, 3);
      const topic = stage.topic("a");
      const overhead = 3 + 2 + topic.length + 1;
      await client.publish(topic, Buffer.alloc(1_000 - overhead));
      client.sendPublish(topic, Buffer.alloc(1_001 - overhead));
      await client.expectRefusal(0x95);
    },
  },
  {
    it: "ends a connection that sends more than the largest packet",
    v3: ["4.8.0-1"],
    run: async (stage) => {
      const client = await stage.connect();
      client.sendPublish(stage.topic("a"), Buffer.alloc(1_000));
      await client.expectEnd();
    },
  },
  {
    it: "refuses a message it has no room to retain; 3.1.1 has no way to say so but the end",
    v3: ["4.8.0-2"],
    v5: ["3.4.2-1", "3.5.2-1"],
    run: async (stage) => {
      const client = await stage.connect();
      const keep = (name: string, qos: 1 | 2) =>
        client.publish(`kept/${name}`, "x", { qos, retain: true });
      for (const name of ["one", "two"]) assert.ok((await keep(name, 1)) < 0x80);
      if (stage.version === 5) {
        assert.equal(await keep("three", 1), 0x97);
        assert.equal(await keep("three", 2), 0x97);
        assert.ok((await keep("two", 2)) < 0x80);
        return;
      }
      client.sendPublish("kept/three", "x", { qos: 1, retain: true });
      await client.expectEnd();
    },
  },
  {
    it: "refuses subscriptions beyond its limit one by one",
    v3: ["3.8.4-5"],
    v5: ["3.8.4-7", "3.9.3-2"],
    run: async (stage) => {
      const client = await stage.connect();
      const filters = ["a", "b", "c", "d"].map((name) => `'${stage.topic(name)}' 00`);
      client.send(`82 ~ 0001 {} ${filters.join(" ")}`);
      const no = stage.version === 5 ? 0x97 : 0x80;
      assert.deepEqual((await client.expect("SUBACK")).reasonCodes, [0, 0, no, no]);
      assert.equal(await client.subscribe(stage.topic("a"), { qos: 1 }), 1); // replaces, adds none
    },
  },
  {
    it: "refuses a topic and a filter longer than its limit",
    v3: ["4.7.3-3"],
    v5: ["4.7.3-3"],
    run: async (stage) => {
      const client = await stage.connect();
      const long = "l".repeat(41);
      const code = await client.subscribe(long);
      assert.equal(code, stage.version === 5 ? 0x8f : 0x80);
      if (stage.version === 5) assert.equal(await client.publish(long, "x", { qos: 1 }), 0x90);
      else {
        client.sendPublish(long, "x", { qos: 1 });
        await client.expectEnd();
      }
    },
  },
  {
    it: "refuses more User Properties than its limit",
    v5: [],
    run: async (stage) => {
      const client = await stage.connect();
      const userProperty = [
        ["a", "1"],
        ["a", "2"],
        ["a", "3"],
      ] as const;
      client.sendPublish(stage.topic("a"), "x", { properties: { userProperty } });
      await client.expectRefusal(0x97);
    },
  },
];
