import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import type { ConnectedClient, Stage } from "../stage.ts";

/** A Session that outlives its connection, in either edition. */
const kept = { cleanStart: false, properties: { sessionExpiryInterval: 60 } } as const;

interface Reader {
  readonly reader: ConnectedClient;
  readonly writer: ConnectedClient;
  readonly topic: string;
  /** The reader's Session again, on a new connection. */
  readonly again: (more?: { receiveMaximum?: number }) => Promise<ConnectedClient>;
}

async function readerAndWriter(stage: Stage, qos: 0 | 1 | 2 = 2): Promise<Reader> {
  const clientId = stage.clientId();
  const topic = stage.topic("a");
  const again = ({ receiveMaximum }: { receiveMaximum?: number } = {}) =>
    stage.connect({
      ...kept,
      clientId,
      properties: {
        ...kept.properties,
        ...(receiveMaximum === undefined ? {} : { receiveMaximum }),
      },
    });
  const reader = await again();
  await reader.subscribe(topic, { qos });
  return { reader, writer: await stage.connect(), topic, again };
}

/** What the server does to deliver: its side of QoS 1 and 2, sending again, order and flow control. */
export const delivery: readonly Case[] = [
  {
    it: "sends new messages with DUP 0 and unused identifiers",
    v3: ["4.3.2-1", "4.3.3-1", "2.3.1-1", "2.3.1-4", "3.3.1-3"],
    v5: ["4.3.2-1", "4.3.2-2", "4.3.3-1", "4.3.3-2", "2.2.1-4", "3.3.1-3"],
    run: async (stage) => {
      const { reader, writer, topic } = await readerAndWriter(stage);
      const seen = new Set<number>();
      for (const qos of [1, 2, 1, 2] as const) {
        await writer.publish(topic, "x", { qos });
        const message = await reader.take("PUBLISH");
        assert.deepEqual([message.dup, message.qos], [false, qos]);
        assert.ok(message.packetId);
        seen.add(message.packetId);
      }
      assert.equal(seen.size, 4);
    },
  },
  {
    it: "answers PUBREC with PUBREL and ends with PUBCOMP",
    v3: ["4.3.3-1", "2.3.1-6"],
    v5: ["4.3.3-4", "2.2.1-5", "3.6.2-1"],
    run: async (stage) => {
      const { reader, writer, topic } = await readerAndWriter(stage);
      await writer.publish(topic, "x", { qos: 2 });
      const { packetId = 0 } = await reader.expect("PUBLISH");
      reader.sendAcknowledgement("PUBREC", packetId);
      const pubrel = await reader.expect("PUBREL");
      assert.deepEqual([pubrel.packetId, pubrel.reasonCode], [packetId, 0]);
      reader.sendAcknowledgement("PUBCOMP", packetId);
      await reader.expectQuiet();
    },
  },
  {
    it: "answers PUBREC again with PUBREL, and one for an unknown identifier with 0x92",
    v5: ["4.3.3-4", "3.6.2-1"],
    run: async (stage) => {
      const { reader, writer, topic } = await readerAndWriter(stage);
      await writer.publish(topic, "x", { qos: 2 });
      const { packetId = 0 } = await reader.expect("PUBLISH");
      for (let i = 0; i < 2; i++) {
        reader.sendAcknowledgement("PUBREC", packetId);
        assert.equal((await reader.expect("PUBREL")).packetId, packetId);
      }
      reader.sendAcknowledgement("PUBREC", 0x777);
      const unknown = await reader.expect("PUBREL");
      assert.deepEqual([unknown.packetId, unknown.reasonCode], [0x777, 0x92]);
    },
  },
  {
    it: "bears an acknowledgement for an identifier that is not in use",
    v3: [],
    v5: [],
    run: async (stage) => {
      const client = await stage.connect();
      client.send("40 ~ 0777", "70 ~ 0777");
      await client.expectQuiet();
    },
  },
  {
    it: "does not send again on the same connection",
    v3: ["4.3.2-1"],
    v5: ["4.4.0-1", "4.3.2-3"],
    run: async (stage) => {
      const { reader, writer, topic } = await readerAndWriter(stage);
      await writer.publish(topic, "x", { qos: 1 });
      await reader.expect("PUBLISH");
      await writer.publish(topic, "y", { qos: 2 });
      const { packetId = 0 } = await reader.expect("PUBLISH");
      reader.sendAcknowledgement("PUBREC", packetId);
      await reader.expect("PUBREL");
      for (let i = 0; i < 3; i++) await reader.expectQuiet();
    },
  },
  {
    it: "sends unacknowledged messages again, in order, with DUP and their identifiers",
    v3: ["4.4.0-1", "3.3.1-1", "4.6.0-1", "4.3.2-1", "4.3.3-1", "3.1.2-4"],
    v5: ["4.4.0-1", "3.3.1-1", "4.6.0-1", "4.3.2-3", "4.3.3-3", "3.1.2-5"],
    run: async (stage) => {
      const { reader, writer, topic, again } = await readerAndWriter(stage);
      const sent = [];
      for (const qos of [1, 2, 1, 2, 1] as const) {
        await writer.publish(topic, `${sent.length}`, { qos });
        sent.push(await reader.take("PUBLISH"));
      }
      reader.drop();
      const after = await again();
      assert.equal(after.connack.sessionPresent, true);
      for (const { packetId, payload, qos } of sent) {
        const message = await after.expect("PUBLISH");
        assert.deepEqual([message.packetId, message.qos, message.dup], [packetId, qos, true]);
        assert.deepEqual(Buffer.from(message.payload), Buffer.from(payload));
      }
      await after.expectQuiet();
    },
  },
  {
    it: "sends PUBREL again and never the PUBLISH once that was released",
    v3: ["4.4.0-1", "4.3.3-1"],
    v5: ["4.4.0-1", "4.3.3-5", "4.3.3-6"],
    run: async (stage) => {
      const { reader, writer, topic, again } = await readerAndWriter(stage);
      await writer.publish(topic, "x", { qos: 2 });
      const { packetId = 0 } = await reader.expect("PUBLISH");
      reader.sendAcknowledgement("PUBREC", packetId);
      await reader.expect("PUBREL");
      reader.drop();
      const after = await again();
      assert.equal((await after.expect("PUBREL")).packetId, packetId);
      after.sendAcknowledgement("PUBCOMP", packetId);
      await after.expectQuiet();
      after.drop();
      await (await again()).expectQuiet();
    },
  },
  {
    it: "sends acknowledged messages never again",
    v3: ["4.3.2-1", "4.3.3-1"],
    v5: ["4.3.2-3", "4.3.3-3"],
    run: async (stage) => {
      const { reader, writer, topic, again } = await readerAndWriter(stage);
      for (const qos of [1, 2] as const) {
        await writer.publish(topic, "x", { qos });
        await reader.receive();
      }
      await reader.settle();
      reader.drop();
      await (await again()).expectQuiet();
    },
  },
  {
    it: "keeps QoS 1 and 2 messages for a Session that is away, in order",
    v3: ["3.1.2-5", "4.5.0-1", "4.6.0-6"],
    v5: ["3.1.2-23", "4.5.0-1", "4.6.0-5"],
    run: async (stage) => {
      const { reader, writer, topic, again } = await readerAndWriter(stage);
      await reader.disconnect();
      for (let i = 0; i < 20; i++)
        await writer.publish(topic, `${i}`, { qos: i % 2 === 0 ? 1 : 2 });
      const after = await again();
      for (let i = 0; i < 20; i++) {
        const message = await after.receive();
        assert.deepEqual([message.text, message.dup], [`${i}`, false]);
      }
      await after.expectQuiet();
    },
  },
  {
    it: "sends what was in flight before what came while the Session was away",
    v3: ["4.6.0-1", "4.6.0-6"],
    v5: ["4.6.0-1", "4.6.0-5"],
    run: async (stage) => {
      const { reader, writer, topic, again } = await readerAndWriter(stage, 1);
      for (let i = 0; i < 3; i++) await writer.publish(topic, `${i}`, { qos: 1 });
      for (let i = 0; i < 3; i++) await reader.expect("PUBLISH");
      await reader.disconnect();
      for (let i = 3; i < 6; i++) await writer.publish(topic, `${i}`, { qos: 1 });
      const after = await again();
      for (let i = 0; i < 6; i++) {
        const message = await after.receive();
        assert.deepEqual([message.text, message.dup], [`${i}`, i < 3]);
      }
      await after.expectQuiet();
    },
  },
  {
    it: "does not send a message again that was refused",
    v5: ["4.4.0-2"],
    run: async (stage) => {
      const { reader, writer, topic, again } = await readerAndWriter(stage);
      await writer.publish(topic, "x", { qos: 1 });
      reader.sendAcknowledgement("PUBACK", (await reader.expect("PUBLISH")).packetId ?? 0, 0x80);
      await writer.publish(topic, "y", { qos: 2 });
      reader.sendAcknowledgement("PUBREC", (await reader.expect("PUBLISH")).packetId ?? 0, 0x97);
      await reader.expectQuiet(); // a refusing PUBREC gets no PUBREL
      reader.drop();
      await (await again()).expectQuiet();
    },
  },
  {
    it: "keeps the order of each publisher, topic and QoS",
    v3: ["4.6.0-5", "4.6.0-6"],
    v5: ["4.6.0-5", "4.6.0-6"],
    run: async (stage) => {
      const reader = await stage.connect();
      const topic = stage.topic("a");
      await reader.subscribe(topic, { qos: 2 });
      const writers = [await stage.connect(), await stage.connect()];
      const each = 60;
      for (let i = 0; i < each; i++) {
        for (const [w, writer] of writers.entries()) {
          writer.sendPublish(topic, `${w} ${i % 3} ${i}`, { qos: (i % 3) as 0 | 1 | 2 });
        }
      }
      const last = new Map<string, number>();
      for (let n = 0; n < each * writers.length; n++) {
        const [w, qos, i] = (await reader.receive()).text.split(" ");
        const stream = `${w} ${qos}`;
        assert.ok(
          Number(i) > (last.get(stream) ?? -1),
          `${stream}: ${i} after ${last.get(stream)}`,
        );
        last.set(stream, Number(i));
      }
    },
  },
  {
    it: "keeps PUBREL in the order of PUBREC",
    v3: ["4.6.0-4"],
    v5: ["4.6.0-4"],
    run: async (stage) => {
      const { reader, writer, topic } = await readerAndWriter(stage);
      const ids: number[] = [];
      for (let i = 0; i < 3; i++) {
        await writer.publish(topic, `${i}`, { qos: 2 });
        ids.push((await reader.expect("PUBLISH")).packetId ?? 0);
      }
      const order = [ids[2], ids[0], ids[1]].map((id) => id ?? 0);
      for (const id of order) reader.sendAcknowledgement("PUBREC", id);
      for (const id of order) assert.equal((await reader.expect("PUBREL")).packetId, id);
    },
  },
  {
    it: "keeps within the client's Receive Maximum and sends everything else",
    v5: ["3.3.4-9", "3.3.4-10", "4.9.0-1", "4.9.0-2", "4.9.0-3"],
    run: async (stage) => {
      const reader = await stage.connect({ properties: { receiveMaximum: 2 } });
      const topic = stage.topic("a");
      await reader.subscribe(topic, { qos: 2 });
      const writer = await stage.connect();
      for (let i = 0; i < 5; i++) await writer.publish(topic, `${i}`, { qos: i % 2 === 0 ? 1 : 2 });
      const first = await reader.expect("PUBLISH");
      const second = await reader.expect("PUBLISH");
      await reader.expectQuiet();
      assert.equal(await reader.subscribe(stage.topic("b")), 2);
      await reader.unsubscribe(stage.topic("b"));
      await reader.publish(stage.topic("c"), "x", { qos: 2 });
      await reader.expectQuiet();
      // PUBREC alone gives nothing back.
      reader.sendAcknowledgement("PUBREC", second.packetId ?? 0);
      await reader.expect("PUBREL");
      await reader.expectQuiet();
      reader.sendAcknowledgement("PUBCOMP", second.packetId ?? 0);
      const third = await reader.expect("PUBLISH");
      await reader.expectQuiet();
      await reader.acknowledge(first);
      await reader.acknowledge(third);
      for (const text of ["3", "4"]) assert.equal((await reader.receive()).text, text);
      await reader.expectQuiet();
    },
  },
  {
    it: "gains one from a refusing PUBREC and nothing from a second acknowledgement",
    v5: ["4.9.0-1", "4.9.0-2"],
    run: async (stage) => {
      const reader = await stage.connect({ properties: { receiveMaximum: 1 } });
      const topic = stage.topic("a");
      await reader.subscribe(topic, { qos: 2 });
      const writer = await stage.connect();
      for (let i = 0; i < 4; i++) await writer.publish(topic, `${i}`, { qos: 2 });
      const { packetId = 0 } = await reader.expect("PUBLISH");
      reader.sendAcknowledgement("PUBREC", packetId, 0x80);
      const second = await reader.expect("PUBLISH");
      reader.send("40 ~ 0777", "40 ~ 0778"); // nobody asked: the quota does not grow
      await reader.expectQuiet();
      await reader.acknowledge(second);
      await reader.expect("PUBLISH");
      await reader.expectQuiet();
    },
  },
  {
    it: "keeps within a smaller Receive Maximum when it sends again",
    v5: ["3.3.4-9", "4.9.0-1", "4.4.0-1"],
    run: async (stage) => {
      const { reader, writer, topic, again } = await readerAndWriter(stage);
      for (let i = 0; i < 4; i++) {
        await writer.publish(topic, `${i}`, { qos: 1 });
        await reader.expect("PUBLISH");
      }
      reader.drop();
      const after = await again({ receiveMaximum: 2 });
      const first = await after.expect("PUBLISH");
      const second = await after.expect("PUBLISH");
      await after.expectQuiet();
      for (const message of [first, second]) await after.acknowledge(message);
      for (const text of ["2", "3"]) {
        const message = await after.receive();
        assert.deepEqual([message.text, message.dup], [text, true]);
      }
      await after.expectQuiet();
    },
  },
  {
    it: "sends QoS 0 messages although the quota is used up",
    v5: ["4.9.0-3"],
    run: async (stage) => {
      const reader = await stage.connect({ properties: { receiveMaximum: 1 } });
      const topic = stage.topic("a");
      await reader.subscribe(topic, { qos: 1 });
      const writer = await stage.connect();
      for (const qos of [1, 1, 0] as const) await writer.publish(topic, `at ${qos}`, { qos });
      const first = await reader.expect("PUBLISH");
      await reader.acknowledge(first);
      const rest = [(await reader.receive()).text, (await reader.receive()).text];
      assert.deepEqual(rest.sort(), ["at 0", "at 1"]);
    },
  },
  {
    it: "drops a message too large for its reader as if it were delivered",
    v5: ["3.1.2-24", "3.1.2-25"],
    run: async (stage) => {
      const reader = await stage.connect({
        properties: { maximumPacketSize: 100, receiveMaximum: 1 },
      });
      const other = await stage.connect();
      const topic = stage.topic("a");
      await reader.subscribe(topic, { qos: 2 });
      await other.subscribe(topic, { qos: 2 });
      const writer = await stage.connect();
      for (const qos of [0, 1, 2] as const) {
        await writer.publish(topic, Buffer.alloc(200, 0x61), { qos });
        assert.equal((await other.receive()).payload.length, 200);
      }
      // One that fits exactly, one byte less room than that, and the quota is still whole.
      const overhead = 2 + 2 + topic.length + 2 + 1;
      await writer.publish(topic, Buffer.alloc(101 - overhead, 0x62), { qos: 1 });
      await writer.publish(topic, Buffer.alloc(100 - overhead, 0x63), { qos: 1 });
      assert.equal((await reader.receive()).text, "c".repeat(100 - overhead));
      await reader.expectQuiet();
    },
  },
  {
    it: "counts a Topic Alias and Subscription Identifiers when it compares with the Maximum Packet Size",
    v5: ["3.1.2-24"],
    run: async (stage) => {
      const maximumPacketSize = 60;
      const topic = stage.topic("a");
      const room = maximumPacketSize - (2 + 2 + topic.length + 2 + 1);
      for (let spare = 0; spare < 12; spare++) {
        const reader = await stage.connect({
          properties: { maximumPacketSize, topicAliasMaximum: 5 },
        });
        await reader.subscribe(topic, { qos: 1, properties: { subscriptionIdentifier: [300] } });
        reader.sendPublish(topic, Buffer.alloc(room - spare), { qos: 1 });
        reader.sendPublish(topic, Buffer.alloc(room - spare), { qos: 0 });
        reader.send("c0 00");
        for (
          let packet = await reader.nextBytes();
          packet[0] !== 0xd0;
          packet = await reader.nextBytes()
        ) {
          assert.ok(packet.length <= maximumPacketSize, `${packet.length} bytes`);
        }
      }
    },
  },
  {
    it: "drops a waiting message that is too large for the connection the Session comes back on",
    v5: ["3.1.2-25"],
    run: async (stage) => {
      const { reader, writer, topic } = await readerAndWriter(stage);
      const clientId = stage.clientId();
      reader.drop();
      const first = await stage.connect({ ...kept, clientId });
      await first.subscribe(topic, { qos: 1 });
      await first.disconnect();
      await writer.publish(topic, Buffer.alloc(500), { qos: 1 });
      await writer.publish(topic, "small", { qos: 1 });
      const after = await stage.connect({
        clientId,
        cleanStart: false,
        properties: { ...kept.properties, maximumPacketSize: 100 },
      });
      assert.equal((await after.receive()).text, "small");
      await after.expectQuiet();
    },
  },
  {
    it: "sends no Topic Alias to a client that allows none",
    v5: ["3.1.2-27", "3.1.2-26"],
    run: async (stage) => {
      for (const properties of [{}, { topicAliasMaximum: 0 }]) {
        const client = await stage.connect({ properties });
        const topic = stage.topic("a");
        await client.subscribe(topic);
        for (let i = 0; i < 3; i++) {
          client.sendPublish(topic, "x");
          const message = await client.receive();
          assert.deepEqual([message.topic, message.properties.topicAlias], [topic, undefined]);
        }
      }
    },
  },
  {
    it: "keeps within the client's Topic Alias Maximum and always means the right topic",
    v5: ["3.1.2-26", "3.3.2-11", "3.3.2-8"],
    run: async (stage) => {
      const client = await stage.connect({ properties: { topicAliasMaximum: 2 } });
      await client.subscribe(stage.topic("#"), { qos: 0 });
      const aliases = new Map<number, string>();
      for (const name of ["a", "b", "c", "a", "c", "b", "a", "a"]) {
        const topic = stage.topic(name);
        client.sendPublish(topic, name);
        const message = await client.receive();
        const alias = message.properties.topicAlias;
        if (alias !== undefined) {
          assert.ok(alias >= 1 && alias <= 2, `alias ${alias}`);
          if (message.topic !== "") aliases.set(alias, message.topic);
        }
        assert.equal(message.topic || aliases.get(alias ?? 0), topic);
      }
    },
  },
  {
    it: "uses a Topic Alias for a topic that comes again",
    v5: [],
    run: async (stage) => {
      const client = await stage.connect({ properties: { topicAliasMaximum: 5 } });
      const topic = stage.topic("often");
      await client.subscribe(topic, { qos: 0 });
      let empty = 0;
      for (let i = 0; i < 10; i++) {
        client.sendPublish(topic, "x");
        if ((await client.receive()).topic === "") empty += 1;
      }
      assert.ok(empty > 0, "no PUBLISH used an alias");
    },
  },
  {
    it: "sends every packet it promised before the end of a QoS 2 exchange started by both sides",
    v3: ["4.3.3-1", "4.3.3-2"],
    v5: ["4.3.3-4", "4.3.3-11"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("self");
      await client.subscribe(topic, { qos: 2 });
      client.sendPublish(topic, "x", { qos: 2, packetId: 1 });
      await client.take("PUBREC");
      const message = await client.take("PUBLISH");
      client.sendAcknowledgement("PUBREL", 1);
      client.sendAcknowledgement("PUBREC", message.packetId ?? 0);
      await client.take("PUBCOMP");
      await client.take("PUBREL");
      client.sendAcknowledgement("PUBCOMP", message.packetId ?? 0);
      await client.expectQuiet();
    },
  },
];
