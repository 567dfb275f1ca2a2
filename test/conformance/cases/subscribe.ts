import assert from "node:assert/strict";
import type { Case } from "../case.ts";

/** SUBSCRIBE and UNSUBSCRIBE, what they answer, and what matches. */
export const subscribe: readonly Case[] = [
  {
    it: "answers SUBSCRIBE with the granted QoS under its identifier",
    v3: ["3.8.4-1", "3.8.4-2", "3.8.4-5", "3.9.3-2", "2.3.1-7"],
    v5: ["3.8.4-1", "3.8.4-2", "3.8.4-6", "3.8.4-7", "3.9.3-2", "2.2.1-6"],
    run: async (stage) => {
      const client = await stage.connect();
      const end = stage.version === 5 ? "00" : "";
      for (const qos of ["00", "01", "02"]) {
        client.send(`82 ~ 1234 {} '${stage.topic("a")}' ${qos}`);
        const suback = (await client.nextBytes()).toString("hex");
        assert.equal(suback, `90${stage.version === 5 ? "04" : "03"}1234${end}${qos}`);
      }
    },
  },
  {
    it: "answers a SUBSCRIBE of many filters with one SUBACK in their order",
    v3: ["3.8.4-4", "3.8.4-5", "3.9.3-1"],
    v5: ["3.8.4-5", "3.8.4-6", "3.9.3-1"],
    run: async (stage) => {
      const client = await stage.connect();
      const [a, b, c] = [stage.topic("a"), stage.topic("b/+"), stage.topic("c/#")];
      client.send(`82 ~ 0007 {} '${a}' 02 '${b}' 00 '${c}' 01`);
      assert.deepEqual((await client.expect("SUBACK")).reasonCodes, [2, 0, 1]);
      for (const name of ["a", "b/x", "c/y/z"])
        await client.publish(stage.topic(name), name, { qos: 2 });
      for (const qos of [2, 0, 1]) assert.equal((await client.receive()).qos, qos);
      await client.expectQuiet();
    },
  },
  {
    it: "answers each filter by itself where one is not allowed",
    v3: ["3.8.4-4", "3.8.4-5", "3.9.3-1", "3.9.3-2"],
    v5: ["3.8.4-5", "3.8.4-6", "3.8.4-7", "3.9.3-1", "3.9.3-2"],
    run: async (stage) => {
      const client = await stage.connect({ as: "limited" });
      client.send("82 ~ 0007 {} 'allowed/a' 02 'forbidden' 01 '#' 00 'allowed/+' 01");
      const denied = stage.version === 5 ? 0x87 : 0x80;
      assert.deepEqual((await client.expect("SUBACK")).reasonCodes, [2, denied, denied, 1]);
      await client.expectQuiet();
    },
  },
  {
    it: "gives a Reason String with a refusal only to who wants problem information",
    v5: ["3.1.2-29"],
    run: async (stage) => {
      const silent = await stage.connect({
        as: "limited",
        properties: { requestProblemInformation: 0 },
      });
      silent.send(
        "82 ~ 0001 {} 'forbidden' 00",
        "32 ~ 'forbidden' 0002 {}",
        "34 ~ 'forbidden' 0003 {}",
        "62 ~ 0004",
      );
      for (const type of ["SUBACK", "PUBACK", "PUBREC", "PUBCOMP"] as const) {
        const { properties } = await silent.take(type);
        assert.deepEqual(
          [properties.reasonString, properties.userProperty],
          [undefined, undefined],
        );
      }
      const curious = await stage.connect({ as: "limited" });
      curious.send("32 ~ 'forbidden' 0002 {}");
      assert.equal((await curious.take("PUBACK")).reasonCode, 0x87);
    },
  },
  {
    it: "leaves Reason Strings out of acknowledgements that would get too large",
    v5: ["3.4.2-2", "3.5.2-2", "3.6.2-2", "3.7.2-2", "3.9.2-1", "3.11.2-1", "3.1.2-24"],
    run: async (stage) => {
      const open = await stage.connect({ as: "limited" });
      open.send("32 ~ 'forbidden' 0001 {}");
      const explained = (await open.nextBytes()).length;
      const maximumPacketSize = explained - 1;
      const client = await stage.connect({ as: "limited", properties: { maximumPacketSize } });
      client.send(
        "82 ~ 0001 {} 'forbidden' 00",
        "32 ~ 'forbidden' 0002 {}",
        "34 ~ 'forbidden' 0003 {}",
      );
      client.send("62 ~ 0004", "a2 ~ 0005 {} 'forbidden'", "50 ~ 0006");
      for (let i = 0; i < 6; i++) {
        const packet = await client.nextBytes();
        assert.ok(packet.length < explained, `${packet.length} bytes: ${packet.toString("hex")}`);
      }
      await client.expectQuiet();
    },
  },
  {
    it: "sends no SUBACK or UNSUBACK above the Maximum Packet Size",
    v5: ["3.1.2-24"],
    run: async (stage) => {
      const client = await stage.connect({ properties: { maximumPacketSize: 30 } });
      const filters = Array.from({ length: 40 }, (_, i) => `'${stage.topic(`${i}`)}'`);
      client.send(`82 ~ 0001 {} ${filters.map((filter) => `${filter} 00`).join(" ")}`);
      client.send(`a2 ~ 0002 {} ${filters.join(" ")}`, "c0 00");
      // What cannot be sent is left out, or the connection ends; nothing larger is sent in either case.
      for (;;) {
        const packet = await client.nextBytes().catch(() => undefined);
        assert.ok((packet?.length ?? 0) <= 30, `${packet?.length} bytes`);
        if (packet === undefined || packet[0] === 0xd0) break;
      }
    },
  },
  {
    it: "replaces the subscription of the same filter",
    v3: ["3.8.4-3"],
    v5: ["3.8.4-3"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.subscribe(topic, { qos: 2 });
      assert.equal(await client.subscribe(topic, { qos: 0 }), 0);
      await client.publish(topic, "x", { qos: 2 });
      assert.equal((await client.receive()).qos, 0);
      await client.expectQuiet();
    },
  },
  {
    it: "replaces the Subscription Identifier with the subscription",
    v5: ["3.8.4-3"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      for (const identifier of [1, 268_435_455, undefined]) {
        const properties = identifier === undefined ? {} : { subscriptionIdentifier: [identifier] };
        await client.subscribe(topic, { properties });
        await client.publish(topic, "x", { qos: 1 });
        const got = (await client.receive()).properties.subscriptionIdentifier;
        assert.deepEqual(got, identifier === undefined ? undefined : [identifier]);
      }
    },
  },
  {
    it: "loses nothing while a subscription is replaced",
    v3: ["3.8.4-3"],
    v5: ["3.8.4-4"],
    run: async (stage) => {
      const reader = await stage.connect();
      const writer = await stage.connect();
      const topic = stage.topic("a");
      await reader.subscribe(topic, { qos: 1 });
      for (let i = 0; i < 50; i++) writer.sendPublish(topic, `${i}`, { qos: 1 });
      for (let i = 0; i < 5; i++) await reader.subscribe(topic, { qos: 1 });
      for (let i = 0; i < 50; i++) assert.equal((await reader.receive()).text, `${i}`);
      await reader.expectQuiet();
    },
  },
  {
    it: "delivers at the lower of the published and the granted QoS",
    v3: ["3.8.4-6"],
    v5: ["3.8.4-8"],
    run: async (stage) => {
      const client = await stage.connect();
      for (const granted of [0, 1, 2] as const) {
        const topic = stage.topic(`granted-${granted}`);
        await client.subscribe(topic, { qos: granted });
        for (const qos of [0, 1, 2] as const) {
          await client.publish(topic, "x", { qos });
          assert.equal((await client.receive()).qos, Math.min(granted, qos));
        }
      }
    },
  },
  {
    it: "delivers once, at the highest QoS, where subscriptions overlap",
    v3: ["3.3.5-1"],
    v5: ["3.3.4-2"],
    run: async (stage) => {
      const client = await stage.connect();
      await client.subscribe(stage.topic("a/+"), { qos: 0 });
      await client.subscribe(stage.topic("#"), { qos: 2 });
      await client.subscribe(stage.topic("a/b"), { qos: 1 });
      await client.publish(stage.topic("a/b"), "x", { qos: 2 });
      assert.equal((await client.receive()).qos, 2);
      await client.expectQuiet();
      await client.unsubscribe(stage.topic("#"));
      await client.publish(stage.topic("a/b"), "x", { qos: 2 });
      assert.equal((await client.receive()).qos, 1);
      await client.expectQuiet();
    },
  },
  {
    it: "sends the identifiers of all subscriptions that match",
    v5: ["3.3.4-3", "3.3.4-4"],
    run: async (stage) => {
      const client = await stage.connect();
      const add = (filter: string, identifier: number) =>
        client.subscribe(filter, { properties: { subscriptionIdentifier: [identifier] } });
      await add(stage.topic("a/+"), 7);
      await add(stage.topic("#"), 300);
      await add(stage.topic("b"), 9);
      await client.subscribe(stage.topic("a/b"));
      await client.publish(stage.topic("a/b"), "x", { qos: 1 });
      const got = (await client.receive()).properties.subscriptionIdentifier ?? [];
      assert.deepEqual(
        [...got].sort((x, y) => x - y),
        [7, 300],
      );
      await client.expectQuiet();
    },
  },
  {
    it: "sends each copy with the identifier of its own subscription where one is shared",
    v5: ["3.3.4-5", "3.3.4-3"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.subscribe(topic, { properties: { subscriptionIdentifier: [1] } });
      await client.subscribe(`$share/g/${topic}`, { properties: { subscriptionIdentifier: [2] } });
      await client.publish(topic, "x", { qos: 1 });
      const got = [];
      for (let i = 0; i < 2; i++)
        got.push((await client.receive()).properties.subscriptionIdentifier);
      assert.deepEqual(got.flat().sort(), [1, 2]);
    },
  },
  {
    it: "keeps a message from its own publisher where No Local is set",
    v5: ["3.8.3-3"],
    run: async (stage) => {
      const client = await stage.connect();
      const other = await stage.connect();
      const topic = stage.topic("a");
      await client.subscribe(topic, { noLocal: true });
      await other.subscribe(topic, { noLocal: true });
      await client.publish(topic, "own", { qos: 1 });
      assert.equal((await other.receive()).text, "own");
      await client.expectQuiet();
      await other.publish(topic, "foreign", { qos: 1 });
      assert.equal((await client.receive()).text, "foreign");
      await other.expectQuiet();
    },
  },
  {
    it: "delivers a client's own message by the subscription without No Local only",
    v5: ["3.8.3-3", "3.3.4-4"],
    run: async (stage) => {
      const client = await stage.connect();
      await client.subscribe(stage.topic("a"), {
        noLocal: true,
        qos: 2,
        properties: { subscriptionIdentifier: [1] },
      });
      await client.subscribe(stage.topic("+"), {
        qos: 1,
        properties: { subscriptionIdentifier: [2] },
      });
      await client.publish(stage.topic("a"), "x", { qos: 2 });
      const message = await client.receive();
      assert.deepEqual([message.qos, message.properties.subscriptionIdentifier], [1, [2]]);
      await client.expectQuiet();
    },
  },
  {
    it: "answers UNSUBSCRIBE under its identifier, even when nothing is deleted",
    v3: ["3.10.4-4", "3.10.4-5", "2.3.1-7"],
    v5: ["3.10.4-4", "3.10.4-5", "3.11.3-2", "2.2.1-6"],
    run: async (stage) => {
      const client = await stage.connect();
      await client.subscribe(stage.topic("a"));
      for (const code of ["00", "11"]) {
        client.send(`a2 ~ 4321 {} '${stage.topic("a")}'`);
        const unsuback = (await client.nextBytes()).toString("hex");
        assert.equal(unsuback, stage.version === 5 ? `b004432100${code}` : "b0024321");
      }
    },
  },
  {
    it: "answers an UNSUBSCRIBE of many filters with one UNSUBACK in their order",
    v3: ["3.10.4-6", "3.10.4-5"],
    v5: ["3.10.4-6", "3.11.3-1", "3.11.3-2"],
    run: async (stage) => {
      const client = await stage.connect();
      const [a, b, c] = [stage.topic("a"), stage.topic("b"), stage.topic("c")];
      await client.subscribe(a);
      await client.subscribe(c);
      client.send(`a2 ~ 0009 {} '${a}' '${b}' '${c}'`);
      const unsuback = await client.expect("UNSUBACK");
      assert.deepEqual(unsuback.reasonCodes, stage.version === 5 ? [0x00, 0x11, 0x00] : []);
      for (const topic of [a, b, c]) await client.publish(topic, "x", { qos: 1 });
      await client.expectQuiet();
    },
  },
  {
    it: "deletes only the subscription whose filter is the same character by character",
    v3: ["3.10.4-1", "3.10.4-2"],
    v5: ["3.10.4-1", "3.10.4-2"],
    run: async (stage) => {
      const client = await stage.connect();
      await client.subscribe(stage.topic("a/+"));
      for (const near of ["a/b", "a/#", "A/+", "a/+/", "+/+", "#"])
        await client.unsubscribe(stage.topic(near));
      await client.publish(stage.topic("a/b"), "still", { qos: 1 });
      assert.equal((await client.receive()).text, "still");
      await client.unsubscribe(stage.topic("a/+"));
      await client.publish(stage.topic("a/b"), "gone", { qos: 1 });
      await client.expectQuiet();
    },
  },
  {
    it: "finishes deliveries that had begun before UNSUBSCRIBE",
    v3: ["3.10.4-3"],
    v5: ["3.10.4-3"],
    run: async (stage) => {
      const reader = await stage.connect();
      const writer = await stage.connect();
      const topic = stage.topic("a");
      await reader.subscribe(topic, { qos: 2 });
      await writer.publish(topic, "one", { qos: 1 });
      await writer.publish(topic, "two", { qos: 2 });
      const one = await reader.take("PUBLISH");
      const two = await reader.take("PUBLISH");
      await reader.unsubscribe(topic);
      await reader.acknowledge(one);
      await reader.acknowledge(two);
      await reader.expectQuiet();
    },
  },
  {
    it: "matches filters and topics level by level",
    v3: ["3.3.2-3", "4.7.1-2", "4.7.1-3", "4.7.3-4", "4.5.0-1"],
    v5: ["3.3.2-3", "4.7.1-1", "4.7.1-2", "4.7.3-4", "4.5.0-1"],
    run: async (stage) => {
      const client = await stage.connect();
      const matches: readonly (readonly [filter: string, topic: string, matched: boolean])[] = [
        ["a/#", "a", true],
        ["a/#", "a/", true],
        ["a/#", "a/b/c", true],
        ["a/#", "ab", false],
        ["a/+", "a/b", true],
        ["a/+", "a/", true],
        ["a/+", "a", false],
        ["a/+", "a/b/c", false],
        ["+/b", "a/b", true],
        ["+/b", "/b", true],
        ["+/+", "/b", true],
        ["+", "/b", false],
        ["+/b/#", "a/b", true],
        ["a//b", "a//b", true],
        ["a//b", "a/b", false],
        ["a/+/b", "a//b", true],
        ["a b", "a b", true],
        ["Case", "case", false],
        ["é", "e\u0301", false],
        ["/", "/", true],
      ];
      for (const [i, [filter, topic, matched]] of matches.entries()) {
        const under = stage.topic(`${i}/`);
        await client.subscribe(`${under}${filter}`);
        await client.publish(`${under}${topic}`, `${i}`, { qos: 1 });
        if (matched) assert.equal((await client.receive()).topic, `${under}${topic}`);
        await client.expectQuiet().catch((cause) => {
          throw new Error(`${filter} and ${topic}`, { cause });
        });
      }
    },
  },
  {
    it: "gives a message to every Session with a subscription that matches",
    v3: ["4.5.0-1"],
    v5: ["4.5.0-1"],
    run: async (stage) => {
      const topic = stage.topic("a/b");
      const readers = await Promise.all(
        ["a/b", "a/+", "#"].map(async (filter) => {
          const reader = await stage.connect();
          await reader.subscribe(stage.topic(filter), { qos: 1 });
          return reader;
        }),
      );
      const writer = await stage.connect();
      await writer.publish(topic, "all", { qos: 1 });
      for (const reader of readers) assert.equal((await reader.receive()).text, "all");
    },
  },
  {
    it: "does not match a topic below $ by a wildcard in the first level",
    v3: ["4.7.2-1"],
    v5: ["4.7.2-1"],
    run: async (stage) => {
      const client = await stage.connect();
      await client.subscribe("#");
      await client.subscribe("+/#");
      const word = stage.topic("below").replace("/", "-");
      client.sendPublish(`$SYS/${word}`, "no");
      client.sendPublish(word, "yes");
      assert.equal((await client.receive()).topic, word);
      await client.unsubscribe("#");
      await client.unsubscribe("+/#");
    },
  },
];
