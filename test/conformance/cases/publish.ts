import assert from "node:assert/strict";
import type { Case } from "../case.ts";

/** What a client sends as PUBLISH, and what comes of it. */
export const publish: readonly Case[] = [
  {
    it: "answers QoS 0 with nothing, QoS 1 with PUBACK, QoS 2 with PUBREC",
    v3: ["3.3.4-1", "2.3.1-6", "4.3.2-2", "4.3.3-2"],
    v5: ["3.3.4-1", "2.2.1-5", "4.3.2-4", "4.3.3-8", "3.4.2-1", "3.5.2-1"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      client.sendPublish(topic, "0");
      await client.expectQuiet();
      client.sendPublish(topic, "1", { qos: 1, packetId: 0x1234 });
      const puback = await client.expect("PUBACK");
      assert.equal(puback.packetId, 0x1234);
      assert.ok([0x00, 0x10].includes(puback.reasonCode));
      client.sendPublish(topic, "2", { qos: 2, packetId: 0xfffe });
      const pubrec = await client.expect("PUBREC");
      assert.equal(pubrec.packetId, 0xfffe);
      assert.ok([0x00, 0x10].includes(pubrec.reasonCode));
      await client.expectQuiet();
    },
  },
  {
    it: "answers PUBREL with PUBCOMP under its identifier",
    v3: ["4.3.3-2", "2.3.1-6"],
    v5: ["4.3.3-11", "2.2.1-5", "3.7.2-1"],
    run: async (stage) => {
      const client = await stage.connect();
      client.sendPublish(stage.topic("a"), "x", { qos: 2, packetId: 77 });
      await client.expect("PUBREC");
      client.send("62 ~ 004d");
      const pubcomp = await client.expect("PUBCOMP");
      assert.deepEqual([pubcomp.packetId, pubcomp.reasonCode], [77, 0]);
    },
  },
  {
    it: "answers PUBREL for an identifier it does not know",
    v3: ["4.3.3-2"],
    v5: ["4.3.3-11", "3.7.2-1"],
    run: async (stage) => {
      const client = await stage.connect();
      client.send("62 ~ 0309");
      const { packetId, reasonCode } = await client.expect("PUBCOMP");
      assert.equal(packetId, 0x309);
      assert.equal(reasonCode, stage.version === 5 ? 0x92 : 0);
    },
  },
  {
    it: "passes a QoS 2 message on once however often it comes before PUBREL",
    v3: ["4.3.3-2", "3.3.1-3"],
    v5: ["4.3.3-10", "3.3.1-3"],
    run: async (stage) => {
      const reader = await stage.connect();
      const topic = stage.topic("once");
      await reader.subscribe(topic, { qos: 0 });
      const client = await stage.connect();
      client.sendPublish(topic, "first", { qos: 2, packetId: 5 });
      await client.expect("PUBREC");
      for (let i = 0; i < 3; i++) {
        client.sendPublish(topic, "first", { qos: 2, packetId: 5, dup: true });
        assert.equal((await client.expect("PUBREC")).packetId, 5);
      }
      client.sendAcknowledgement("PUBREL", 5);
      await client.expect("PUBCOMP");
      const message = await reader.receive();
      assert.deepEqual([message.text, message.dup], ["first", false]);
      await reader.expectQuiet();
    },
  },
  {
    it: "takes a QoS 2 identifier for a new message after PUBCOMP",
    v3: ["4.3.3-2"],
    v5: ["4.3.3-12"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("again");
      await client.subscribe(topic, { qos: 0 });
      for (const text of ["one", "two"]) {
        await client.publish(topic, text, { qos: 2, packetId: 9 });
        assert.equal((await client.receive()).text, text);
      }
    },
  },
  {
    it: "takes a QoS 1 identifier for a new message after PUBACK, whatever its DUP",
    v3: ["4.3.2-2", "3.3.1-3"],
    v5: ["4.3.2-5", "3.3.1-3"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("again");
      await client.subscribe(topic, { qos: 1 });
      for (const [text, dup] of [
        ["one", false],
        ["two", true],
        ["three", true],
      ] as const) {
        await client.publish(topic, text, { qos: 1, packetId: 9, dup });
        const message = await client.receive();
        assert.deepEqual([message.text, message.dup], [text, false]);
      }
    },
  },
  {
    it: "keeps an unreleased QoS 2 identifier over a reconnect",
    v3: ["4.3.3-2", "4.1.0-1", "3.1.2-4"],
    v5: ["4.3.3-10", "3.1.2-5"],
    run: async (stage) => {
      const reader = await stage.connect();
      const topic = stage.topic("once");
      await reader.subscribe(topic, { qos: 0 });
      const clientId = stage.clientId();
      const kept = { clientId, cleanStart: false, properties: { sessionExpiryInterval: 60 } };
      const before = await stage.connect(kept);
      before.sendPublish(topic, "once", { qos: 2, packetId: 3 });
      await before.expect("PUBREC");
      before.drop();
      const after = await stage.connect(kept);
      after.sendPublish(topic, "once", { qos: 2, packetId: 3, dup: true });
      await after.expect("PUBREC");
      after.sendAcknowledgement("PUBREL", 3);
      await after.expect("PUBCOMP");
      assert.equal((await reader.receive()).text, "once");
      await reader.expectQuiet();
    },
  },
  {
    it: "acknowledges in the order in which it received",
    v3: ["4.6.0-2", "4.6.0-3", "4.6.0-4"],
    v5: ["4.6.0-2", "4.6.0-3", "4.6.0-4"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      const ids = [7, 3, 5, 1];
      for (const packetId of ids) client.sendPublish(topic, "x", { qos: 1, packetId });
      for (const packetId of ids) assert.equal((await client.take("PUBACK")).packetId, packetId);
      for (const packetId of ids) client.sendPublish(topic, "x", { qos: 2, packetId });
      for (const packetId of ids) assert.equal((await client.take("PUBREC")).packetId, packetId);
      for (const packetId of ids) client.sendAcknowledgement("PUBREL", packetId);
      for (const packetId of ids) assert.equal((await client.take("PUBCOMP")).packetId, packetId);
    },
  },
  {
    it: "uses identifiers of its own for what it sends",
    v3: ["2.3.1-4"],
    v5: ["2.2.1-4"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("both");
      await client.subscribe(topic, { qos: 1 });
      // The same identifier may be in use in both directions at once; ours is free again with each PUBACK.
      for (let i = 0; i < 3; i++) {
        client.sendPublish(topic, "x", { qos: 1, packetId: 1 });
        await client.take("PUBACK");
      }
      const seen = new Set<number | undefined>();
      for (let i = 0; i < 3; i++) seen.add((await client.take("PUBLISH")).packetId);
      assert.equal(seen.size, 3);
      assert.ok(!seen.has(0) && !seen.has(undefined));
    },
  },
  {
    it: "refuses more unreleased QoS 2 messages than its Receive Maximum",
    v5: ["3.3.4-7", "4.9.0-2"],
    run: async (stage) => {
      const client = await stage.connect();
      const maximum = client.connack.properties.receiveMaximum ?? 0;
      for (let packetId = 1; packetId <= maximum; packetId++) {
        client.sendPublish(stage.topic("a"), "x", { qos: 2, packetId });
      }
      await client.settle();
      for (let i = 0; i < maximum; i++) await client.take("PUBREC");
      client.sendPublish(stage.topic("a"), "x", { qos: 2, packetId: maximum + 1 });
      await client.expectRefusal(0x93);
    },
  },
  {
    it: "answers a publish that is not allowed and goes on",
    v5: ["3.4.2-1", "3.5.2-1", "4.3.3-9"],
    run: async (stage) => {
      const client = await stage.connect({ as: "limited" });
      assert.equal(await client.publish("forbidden", "x", { qos: 1 }), 0x87);
      assert.equal(await client.publish("forbidden", "x", { qos: 2, packetId: 8 }), 0x87);
      assert.ok((await client.publish("allowed/a", "x", { qos: 2, packetId: 8 })) < 0x80);
      await client.expectQuiet();
    },
  },
  {
    it: "takes a QoS 2 identifier for a new message after a PUBREC that refused",
    v5: ["4.3.3-9"],
    run: async (stage) => {
      const reader = await stage.connect();
      await reader.subscribe("allowed/nine", { qos: 0 });
      const client = await stage.connect({ as: "limited" });
      assert.equal(await client.publish("forbidden", "no", { qos: 2, packetId: 8 }), 0x87);
      await client.publish("allowed/nine", "yes", { qos: 2, packetId: 8 });
      assert.equal((await reader.receive()).text, "yes");
    },
  },
  {
    it: "ends the connection of a publisher above QoS 0 that is not allowed",
    v3: ["3.3.5-2"],
    run: async (stage) => {
      for (const qos of [1, 2] as const) {
        const client = await stage.connect({ as: "limited" });
        client.sendPublish("forbidden", "x", { qos });
        await client.expectEnd();
      }
    },
  },
  {
    it: "drops a QoS 0 publish that is not allowed and goes on",
    v3: ["3.3.5-2"],
    v5: [],
    run: async (stage) => {
      const reader = await stage.connect();
      await reader.subscribe("forbidden/zero");
      const client = await stage.connect({ as: "limited" });
      client.sendPublish("forbidden/zero", "x");
      await client.expectQuiet();
      await reader.expectQuiet();
    },
  },
  {
    it: "lets nobody publish below $",
    v3: ["4.7.2-1"],
    v5: ["4.7.2-1"],
    run: async (stage) => {
      const reader = await stage.connect();
      const word = stage.topic("x").replace("/", "-");
      await reader.subscribe(`+/${word}`);
      await reader.subscribe(`$SYS/${word}`);
      const client = await stage.connect();
      client.sendPublish(`$SYS/${word}`, "x");
      await client.expectQuiet();
      if (stage.version === 5) {
        assert.equal(await client.publish(`$SYS/${word}`, "x", { qos: 1 }), 0x87);
        assert.equal(await client.publish(`$other/${word}`, "x", { qos: 2 }), 0x87);
      }
      await reader.expectQuiet();
    },
  },
  {
    it: "passes every property of a message on as it came",
    v5: ["3.3.2-4", "3.3.2-15", "3.3.2-16", "3.3.2-17", "3.3.2-18", "3.3.2-20"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.subscribe(topic, { qos: 1 });
      const userProperty = [
        ["b", "2"],
        ["a", "1"],
        ["b", ""],
        ["", "é"],
        ["a", "1"],
      ] as const;
      const properties = {
        payloadFormatIndicator: 1,
        contentType: "text/plain; charset=utf-8",
        responseTopic: stage.topic("response"),
        correlationData: Buffer.from([0, 255, 1, 254]),
        userProperty,
      };
      for (const qos of [0, 1] as const) {
        client.sendPublish(topic, "é", { qos, properties });
        const { properties: got } = await client.receive();
        assert.equal(got.payloadFormatIndicator, 1);
        assert.equal(got.contentType, properties.contentType);
        assert.equal(got.responseTopic, properties.responseTopic);
        assert.deepEqual(Buffer.from(got.correlationData ?? []), properties.correlationData);
        assert.deepEqual(got.userProperty, userProperty);
      }
    },
  },
  {
    it: "passes a Payload Format Indicator of 0 on",
    v5: ["3.3.2-4"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.subscribe(topic);
      client.sendPublish(topic, Buffer.from([0xff]), { properties: { payloadFormatIndicator: 0 } });
      assert.equal((await client.receive()).properties.payloadFormatIndicator, 0);
    },
  },
  {
    it: "refuses by PUBACK and PUBREC a payload that is not the UTF-8 it promises",
    v5: ["3.4.2-1", "3.5.2-1"],
    run: async (stage) => {
      const client = await stage.connect();
      const send = (first: string, id: string) =>
        client.send(`${first} ~ '${stage.topic("a")}' ${id} {01 01} ff`);
      send("32", "0001");
      const answer = await client.next();
      // Section 3.3.2.3.2 leaves the choice between the acknowledgement and DISCONNECT.
      assert.ok(answer.type === "PUBACK" || answer.type === "DISCONNECT");
      assert.equal(answer.reasonCode, 0x99);
    },
  },
  {
    it: "delivers to an older client without the properties it does not know",
    v5: ["3.3.2-17"],
    run: async (stage) => {
      const reader = await stage.connect({ version: 4 });
      const topic = stage.topic("a");
      await reader.subscribe(topic, { qos: 1 });
      const client = await stage.connect();
      const properties = { userProperty: [["a", "b"]] as const, contentType: "text" };
      await client.publish(topic, "body", { qos: 1, properties });
      assert.equal((await reader.receive()).text, "body");
    },
  },
  {
    it: "resolves a Topic Alias and lets it be set anew",
    v5: ["3.3.2-12"],
    run: async (stage) => {
      const client = await stage.connect();
      const maximum = client.connack.properties.topicAliasMaximum ?? 0;
      await client.subscribe(stage.topic("#"), { qos: 1 });
      const hop = async (topic: string, topicAlias: number) => {
        client.sendPublish(topic, "x", { properties: { topicAlias } });
        const message = await client.receive();
        assert.equal(message.properties.topicAlias, undefined);
        return message.topic;
      };
      assert.equal(await hop(stage.topic("a"), 1), stage.topic("a"));
      assert.equal(await hop("", 1), stage.topic("a"));
      assert.equal(await hop(stage.topic("b"), maximum), stage.topic("b"));
      assert.equal(await hop("", maximum), stage.topic("b"));
      assert.equal(await hop(stage.topic("c"), 1), stage.topic("c"));
      assert.equal(await hop("", 1), stage.topic("c"));
      assert.equal(await hop("", maximum), stage.topic("b"));
    },
  },
  {
    it: "takes every alias up to its maximum",
    v5: ["3.3.2-12", "3.2.2-17"],
    run: async (stage) => {
      const client = await stage.connect();
      const maximum = client.connack.properties.topicAliasMaximum ?? 0;
      for (let topicAlias = 1; topicAlias <= maximum; topicAlias++) {
        client.sendPublish(stage.topic(`${topicAlias}`), "x", { properties: { topicAlias } });
      }
      await client.expectQuiet();
    },
  },
  {
    it: "forgets Topic Aliases with the connection",
    v5: ["3.3.2-7"],
    run: async (stage) => {
      const kept = { clientId: stage.clientId(), properties: { sessionExpiryInterval: 60 } };
      const before = await stage.connect(kept);
      before.sendPublish(stage.topic("a"), "x", { properties: { topicAlias: 1 } });
      await before.expectQuiet();
      await before.disconnect();
      const after = await stage.connect({ ...kept, cleanStart: false });
      after.sendPublish("", "x", { properties: { topicAlias: 1 } });
      await after.expectRefusal(0x82);
    },
  },
  {
    it: "keeps the aliases of two clients apart",
    v5: ["3.3.2-7"],
    run: async (stage) => {
      const one = await stage.connect();
      one.sendPublish(stage.topic("a"), "x", { properties: { topicAlias: 1 } });
      await one.expectQuiet();
      const other = await stage.connect();
      other.sendPublish("", "x", { properties: { topicAlias: 1 } });
      await other.expectRefusal(0x82);
    },
  },
  {
    it: "takes the alias out of the properties and leaves the others, wherever it stands",
    v5: ["3.3.2-17", "3.3.2-20"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.subscribe(topic, { qos: 1 });
      const late = { clientId: stage.clientId(), properties: { sessionExpiryInterval: 60 } };
      const away = await stage.connect(late);
      await away.subscribe(topic, { qos: 1 });
      await away.disconnect();
      const alias = "23 0001";
      const expiry = "02 00000e10";
      const others = "26 'k' 'v' 03 'text'";
      const orders = [
        `${alias} ${expiry} ${others}`,
        `${expiry} ${alias} ${others}`,
        `${expiry} ${others} ${alias}`,
        `${others} ${alias} ${expiry}`,
        `26 'k' 'v' ${alias} 03 'text' ${expiry}`,
      ];
      for (const [i, order] of orders.entries()) {
        client.send(`32 ~ '${topic}' 000${i + 1} {${order}} "body ${i}"`);
      }
      const readers = [client, await stage.connect({ ...late, cleanStart: false })];
      for (const reader of readers) {
        for (const i of orders.keys()) {
          const { text, properties } = await reader.receive();
          assert.equal(text, `body ${i}`);
          assert.deepEqual(properties.userProperty, [["k", "v"]]);
          assert.equal(properties.contentType, "text");
          assert.equal(properties.topicAlias, undefined);
          const left = properties.messageExpiryInterval ?? 0;
          assert.ok(left > 3_590 && left <= 3_600, `${left}`);
        }
      }
    },
  },
  {
    it: "lets no alias carry a message past the policy",
    v5: [],
    run: async (stage) => {
      const client = await stage.connect({ as: "limited" });
      const set = { properties: { topicAlias: 2 }, qos: 1 } as const;
      assert.equal(await client.publish("forbidden", "x", set), 0x87);
      assert.equal(await client.publish("", "x", set), 0x87);
      assert.ok((await client.publish("allowed/a", "x", set)) < 0x80);
      assert.ok((await client.publish("", "x", set)) < 0x80);
    },
  },
  {
    it: "takes a payload of no bytes and of many",
    v3: [],
    v5: [],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.subscribe(topic);
      for (const size of [0, 1, 127, 128, 16_383, 16_384, 200_000]) {
        client.sendPublish(topic, Buffer.alloc(size, 0x61));
        assert.equal((await client.receive()).payload.length, size);
      }
    },
  },
];
