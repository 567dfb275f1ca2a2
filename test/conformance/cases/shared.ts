import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import type { ConnectedClient, Stage } from "../stage.ts";

interface Group {
  readonly members: ConnectedClient[];
  readonly writer: ConnectedClient;
  readonly topic: string;
  readonly filter: string;
}

async function group(
  stage: Stage,
  qos: readonly (0 | 1 | 2)[],
  sessionExpiryInterval = 0,
): Promise<Group> {
  const topic = stage.topic("a");
  const filter = `$share/group/${topic}`;
  const members = [];
  for (const each of qos) {
    const member = await stage.connect({ properties: { sessionExpiryInterval } });
    await member.subscribe(filter, { qos: each });
    members.push(member);
  }
  return { members, writer: await stage.connect(), topic, filter };
}

/** Finds the member that got the one message; nobody else got it. */
async function receiver({ members }: Group): Promise<ConnectedClient> {
  const got = [];
  for (const member of members) {
    member.send("c0 00");
    if ((await member.next()).type === "PUBLISH") {
      got.push(member);
      await member.take("PINGRESP");
    }
  }
  assert.equal(got.length, 1, `${got.length} members got the message`);
  return got[0] as ConnectedClient;
}

/** Shared Subscriptions, 5.0 section 4.8.2. */
export const shared: readonly Case[] = [
  {
    it: "gives each message to one member, and each member gets some",
    v5: ["4.8.2-1", "4.8.2-2"],
    run: async (stage) => {
      const { members, writer, topic } = await group(stage, [1, 1, 1]);
      for (let i = 0; i < 30; i++) await writer.publish(topic, `${i}`, { qos: 1 });
      const got: string[] = [];
      for (const member of members) {
        await member.settle();
        let count = 0;
        for (;;) {
          member.send("c0 00");
          const packet = await member.next();
          if (packet.type !== "PUBLISH") break;
          await member.acknowledge(packet);
          await member.take("PINGRESP");
          got.push(Buffer.from(packet.payload).toString());
          count += 1;
        }
        assert.ok(count > 0, "a member got nothing");
      }
      assert.deepEqual(
        got.map(Number).sort((a, b) => a - b),
        Array.from({ length: 30 }, (_, i) => i),
      );
    },
  },
  {
    it: "gives a copy to each group and to each subscription that is not shared",
    v5: ["4.8.2-1"],
    run: async (stage) => {
      const topic = stage.topic("a");
      const writer = await stage.connect();
      const readers = [];
      for (const filter of [`$share/one/${topic}`, `$share/two/${topic}`, topic]) {
        const reader = await stage.connect();
        await reader.subscribe(filter);
        readers.push(reader);
      }
      await writer.publish(topic, "x", { qos: 1 });
      for (const reader of readers) {
        assert.equal((await reader.receive()).text, "x");
        await reader.expectQuiet();
      }
    },
  },
  {
    it: "matches the filter behind the share name only",
    v5: ["4.8.2-2"],
    run: async (stage) => {
      const client = await stage.connect();
      await client.subscribe(`$share/g//${stage.topic("leading")}`);
      await client.subscribe(`$share/g/${stage.topic("+/b/#")}`);
      for (const topic of [
        `/${stage.topic("leading")}`,
        stage.topic("a/b"),
        stage.topic("a/b/c"),
      ]) {
        await client.publish(topic, "x", { qos: 1 });
        assert.equal((await client.receive()).topic, topic);
      }
      await client.publish(stage.topic("leading"), "x", { qos: 1 });
      await client.expectQuiet();
    },
  },
  {
    it: "respects the QoS granted to the member that gets the message",
    v5: ["4.8.2-3"],
    run: async (stage) => {
      const all = await group(stage, [0, 1, 2]);
      const { members, writer, topic } = all;
      for (let i = 0; i < 9; i++) {
        await writer.publish(topic, "x", { qos: 2 });
        for (const [granted, member] of members.entries()) {
          member.send("c0 00");
          const packet = await member.next();
          if (packet.type !== "PUBLISH") continue;
          assert.equal(packet.qos, granted);
          await member.take("PINGRESP");
          await member.acknowledge(packet);
        }
      }
    },
  },
  {
    it: "leaves a group at UNSUBSCRIBE of the whole filter, though subscribed twice",
    v5: ["3.10.4-1"],
    run: async (stage) => {
      const { members, writer, topic, filter } = await group(stage, [1, 1]);
      const [first, second] = members as [ConnectedClient, ConnectedClient];
      await first.subscribe(filter, { qos: 0 });
      assert.equal(await first.unsubscribe(topic), 0x11);
      assert.equal(await first.unsubscribe(filter), 0x00);
      for (let i = 0; i < 4; i++) {
        await writer.publish(topic, `${i}`, { qos: 1 });
        assert.equal((await second.receive()).text, `${i}`);
      }
      await first.expectQuiet();
    },
  },
  {
    it: "gives a message that its receiver refused to nobody else",
    v5: ["4.8.2-6"],
    run: async (stage) => {
      for (const [qos, type] of [
        [1, "PUBACK"],
        [2, "PUBREC"],
      ] as const) {
        const topic = stage.topic(`refused-${qos}`);
        const members: ConnectedClient[] = [];
        for (let i = 0; i < 2; i++) {
          const member = await stage.connect();
          await member.subscribe(`$share/g/${topic}`, { qos });
          members.push(member);
        }
        const writer = await stage.connect();
        await writer.publish(topic, "x", { qos });
        for (const member of members) {
          member.send("c0 00");
          const packet = await member.next();
          if (packet.type !== "PUBLISH") continue;
          await member.take("PINGRESP");
          member.sendAcknowledgement(type, packet.packetId ?? 0, 0x83);
          await member.expectQuiet();
        }
        for (const member of members) await member.expectQuiet();
      }
    },
  },
  {
    it: "completes a QoS 2 delivery with the member that was away",
    v5: ["4.8.2-4"],
    run: async (stage) => {
      const topic = stage.topic("a");
      const options = {
        clientId: stage.clientId(),
        cleanStart: false,
        properties: { sessionExpiryInterval: 60 },
      };
      const member = await stage.connect(options);
      await member.subscribe(`$share/g/${topic}`, { qos: 2 });
      const writer = await stage.connect();
      await writer.publish(topic, "x", { qos: 2 });
      const { packetId } = await member.expect("PUBLISH");
      const other = await stage.connect();
      await other.subscribe(`$share/g/${topic}`, { qos: 2 });
      member.drop();
      await other.expectQuiet();
      const again = await stage.connect(options);
      const message = await again.expect("PUBLISH");
      assert.deepEqual([message.packetId, message.dup], [packetId, true]);
      await again.acknowledge(message);
      await other.expectQuiet();
    },
  },
  {
    it: "gives a QoS 2 delivery that had begun to nobody else when the Session ends",
    v5: ["4.8.2-5"],
    run: async (stage) => {
      const all = await group(stage, [2, 2], 60);
      await all.writer.publish(all.topic, "x", { qos: 2 });
      const chosen = await receiver(all);
      await chosen.disconnect(0, { sessionExpiryInterval: 0 });
      for (const member of all.members) if (member !== chosen) await member.expectQuiet();
    },
  },
  {
    it: "gives a QoS 1 delivery that was not acknowledged to another member when the Session ends",
    v5: [],
    run: async (stage) => {
      const all = await group(stage, [1, 1], 60);
      await all.writer.publish(all.topic, "x", { qos: 1 });
      const chosen = await receiver(all);
      await chosen.disconnect(0, { sessionExpiryInterval: 0 });
      // Section 4.8.2 says that it should.
      for (const member of all.members)
        if (member !== chosen) assert.equal((await member.receive()).text, "x");
    },
  },
  {
    it: "does not let a shared filter past the policy",
    v5: ["3.8.4-7"],
    run: async (stage) => {
      const client = await stage.connect({ as: "limited" });
      assert.equal(await client.subscribe("$share/g/forbidden"), 0x87);
      assert.equal(await client.subscribe("$share/allowed/#"), 0x87);
      assert.equal(await client.subscribe("$share/g/allowed/a"), 2);
    },
  },
  {
    // 3.1.1 section 4.7.2 leaves names that begin with $ to the server; ours mean the same in both editions.
    it: "lets clients of both editions share one subscription",
    v3: ["4.5.0-1"],
    v5: ["4.8.2-1"],
    run: async (stage) => {
      const topic = stage.topic("a");
      const members = [await stage.connect({ version: 4 }), await stage.connect({ version: 5 })];
      for (const member of members) await member.subscribe(`$share/g/${topic}`, { qos: 1 });
      const writer = await stage.connect();
      for (let i = 0; i < 6; i++) await writer.publish(topic, `${i}`, { qos: 1 });
      const got: string[] = [];
      for (const member of members) {
        for (let i = 0; i < 3; i++) got.push((await member.receive()).text);
        await member.expectQuiet();
      }
      assert.deepEqual(got.sort(), ["0", "1", "2", "3", "4", "5"]);
    },
  },
];
