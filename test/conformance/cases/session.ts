import assert from "node:assert/strict";
import type { Case } from "../case.ts";

const minute = { sessionExpiryInterval: 60 } as const;

/** Sessions: begun, resumed, taken over and ended. */
export const session: readonly Case[] = [
  {
    it: "says Session Present 0 where there is no Session",
    v3: ["3.2.2-3", "3.1.2-4", "3.1.4-3"],
    v5: ["3.2.2-3", "3.1.2-6", "3.1.4-4"],
    run: async (stage) => {
      const client = await stage.connect({ cleanStart: false });
      assert.equal(client.connack.sessionPresent, false);
      await client.expectQuiet();
    },
  },
  {
    it: "resumes a Session with its subscriptions",
    v3: ["3.2.2-2", "3.1.2-4", "3.1.3-2", "4.1.0-1"],
    v5: ["3.2.2-3", "3.1.2-5", "3.1.2-23", "3.1.3-2"],
    run: async (stage) => {
      const options = { clientId: stage.clientId(), cleanStart: false, properties: minute };
      const before = await stage.connect(options);
      const topic = stage.topic("a");
      await before.subscribe(topic, { qos: 1 });
      await before.disconnect();
      const after = await stage.connect(options);
      assert.equal(after.connack.sessionPresent, true);
      await after.publish(topic, "x", { qos: 1 });
      assert.equal((await after.receive()).text, "x");
    },
  },
  {
    it: "resumes a Session with its Subscription Identifiers and options",
    v5: ["3.1.2-5", "3.3.4-3"],
    run: async (stage) => {
      const options = { clientId: stage.clientId(), cleanStart: false, properties: minute };
      const before = await stage.connect(options);
      const topic = stage.topic("a");
      await before.subscribe(topic, {
        qos: 1,
        retainAsPublished: true,
        properties: { subscriptionIdentifier: [5] },
      });
      before.drop();
      const after = await stage.connect(options);
      await after.publish(topic, "x", { qos: 2, retain: true });
      const message = await after.receive();
      assert.deepEqual([message.qos, message.retain], [1, true]);
      assert.deepEqual(message.properties.subscriptionIdentifier, [5]);
    },
  },
  {
    it: "discards a Session where the client wants to begin anew",
    v3: ["3.1.2-6", "3.2.2-1", "3.1.4-3"],
    v5: ["3.1.2-4", "3.2.2-2", "3.1.4-4"],
    run: async (stage) => {
      const clientId = stage.clientId();
      const before = await stage.connect({ clientId, cleanStart: false, properties: minute });
      const topic = stage.topic("a");
      await before.subscribe(topic, { qos: 1 });
      await before.disconnect();
      const writer = await stage.connect();
      await writer.publish(topic, "waiting", { qos: 1 });
      const after = await stage.connect({ clientId, cleanStart: true, properties: minute });
      assert.equal(after.connack.sessionPresent, false);
      await writer.publish(topic, "live", { qos: 1 });
      await after.expectQuiet();
    },
  },
  {
    it: "ends a Session that was to end with its connection",
    v3: ["3.1.2-6"],
    v5: ["4.1.0-2"],
    run: async (stage) => {
      const clientId = stage.clientId();
      const topic = stage.topic("a");
      const before = await stage.connect({ clientId });
      await before.subscribe(topic, { qos: 1 });
      before.drop();
      // The end of the first connection is seen before or by the second: both have to end its Session.
      const after = await stage.connect({ clientId, cleanStart: false, properties: minute });
      assert.equal(after.connack.sessionPresent, false);
      await after.publish(topic, "x", { qos: 1 });
      await after.expectQuiet();
    },
  },
  {
    it: "ends a Session whose expiry is set to 0 at DISCONNECT",
    v5: ["4.1.0-2"],
    run: async (stage) => {
      const options = { clientId: stage.clientId(), cleanStart: false, properties: minute };
      const before = await stage.connect(options);
      await before.disconnect(0, { sessionExpiryInterval: 0 });
      assert.equal((await stage.connect(options)).connack.sessionPresent, false);
    },
  },
  {
    it: "keeps a Session whose expiry is set anew at DISCONNECT",
    v5: ["3.1.2-23"],
    run: async (stage) => {
      const options = { clientId: stage.clientId(), cleanStart: false, properties: minute };
      const before = await stage.connect(options);
      await before.disconnect(0, { sessionExpiryInterval: 120 });
      assert.equal((await stage.connect(options)).connack.sessionPresent, true);
    },
  },
  {
    it: "keeps the Session of a connection that broke the protocol",
    v3: ["3.1.2-4"],
    v5: ["3.1.2-23", "4.13.2-1"],
    run: async (stage) => {
      const options = { clientId: stage.clientId(), cleanStart: false, properties: minute };
      const before = await stage.connect(options);
      before.send("00 00");
      await before.expectRefusal(0x81);
      assert.equal((await stage.connect(options)).connack.sessionPresent, true);
    },
  },
  {
    it: "takes a DISCONNECT that says once more that the Session ends",
    v5: ["4.1.0-2"],
    run: async (stage) => {
      const reader = await stage.connect();
      const topic = stage.topic("will");
      await reader.subscribe(topic);
      const client = await stage.connect({ will: { topic } });
      await client.disconnect(0, { sessionExpiryInterval: 0 });
      await reader.expectQuiet();
    },
  },
  {
    it: "hands a Session over from one edition to the other",
    v5: ["3.1.2-5", "4.4.0-1"],
    run: async (stage) => {
      const options = { clientId: stage.clientId(), cleanStart: false, properties: minute };
      const topic = stage.topic("a");
      const before = await stage.connect(options);
      await before.subscribe(topic, { qos: 1, properties: { subscriptionIdentifier: [3] } });
      const writer = await stage.connect();
      const properties = { userProperty: [["a", "b"]] as const, messageExpiryInterval: 60 };
      await writer.publish(topic, "one", { qos: 1, properties });
      await before.expect("PUBLISH");
      await before.disconnect();
      await writer.publish(topic, "two", { qos: 1, properties });
      const between = await stage.connect({ ...options, version: 4 });
      assert.equal(between.connack.sessionPresent, true);
      const [one, two] = [await between.expect("PUBLISH"), await between.expect("PUBLISH")];
      assert.deepEqual([one.dup, two.dup], [true, false]);
      assert.deepEqual(
        [`${Buffer.from(one.payload)}`, `${Buffer.from(two.payload)}`],
        ["one", "two"],
      );
      between.drop();
      const after = await stage.connect(options);
      for (const text of ["one", "two"]) {
        const message = await after.receive();
        assert.deepEqual([message.text, message.dup], [text, true]);
        assert.deepEqual(message.properties.userProperty, properties.userProperty);
        assert.deepEqual(message.properties.subscriptionIdentifier, [3]);
      }
    },
  },
  {
    it: "ends the older connection of a client id",
    v3: ["3.1.4-2"],
    v5: ["3.1.4-3", "3.14.4-1", "3.14.4-2"],
    run: async (stage) => {
      const clientId = stage.clientId();
      const older = await stage.connect({ clientId });
      const newer = await stage.connect({ clientId });
      await older.expectRefusal(0x8e);
      await newer.expectQuiet();
    },
  },
  {
    it: "hands the Session of the older connection over",
    v3: ["3.1.4-2", "3.1.2-4", "4.1.0-2"],
    v5: ["3.1.4-3", "3.1.2-5", "4.1.0-1"],
    run: async (stage) => {
      const options = { clientId: stage.clientId(), cleanStart: false, properties: minute };
      const older = await stage.connect(options);
      const topic = stage.topic("a");
      await older.subscribe(topic, { qos: 1 });
      const newer = await stage.connect(options);
      assert.equal(newer.connack.sessionPresent, true);
      await older.expectRefusal(0x8e);
      await newer.publish(topic, "x", { qos: 1 });
      assert.equal((await newer.receive()).text, "x");
    },
  },
  {
    it: "keeps the Sessions of two subjects with one client id apart",
    v3: ["3.1.3-2"],
    v5: ["3.1.3-2"],
    run: async (stage) => {
      const options = { clientId: stage.clientId(), cleanStart: false, properties: minute };
      const mine = await stage.connect(options);
      const topic = stage.topic("a");
      await mine.subscribe(topic, { qos: 1 });
      const theirs = await stage.connect({ ...options, as: "limited" });
      assert.equal(theirs.connack.sessionPresent, false);
      await mine.publish(topic, "x", { qos: 1 });
      assert.equal((await mine.receive()).text, "x");
      await theirs.expectQuiet();
    },
  },
  {
    it: "keeps a Session while its connection is open, whatever its expiry",
    v3: ["4.1.0-2"],
    v5: ["4.1.0-1"],
    run: async (stage) => {
      const client = await stage.connect({ properties: { sessionExpiryInterval: 0 } });
      const topic = stage.topic("a");
      await client.subscribe(topic);
      for (let i = 0; i < 3; i++) {
        client.sendPublish(topic, `${i}`);
        assert.equal((await client.receive()).text, `${i}`);
      }
    },
  },
  {
    it: "ends the connection after DISCONNECT",
    v3: [],
    v5: ["3.14.4-2"],
    run: async (stage) => {
      const client = await stage.connect();
      client.send("e0 00");
      await client.expectEnd();
    },
  },
  {
    it: "processes nothing that comes after DISCONNECT",
    v3: [],
    v5: ["3.14.4-1"],
    run: async (stage) => {
      const reader = await stage.connect();
      const topic = stage.topic("after");
      await reader.subscribe(topic);
      const client = await stage.connect();
      client.send("e0 00", `30 ~ '${topic}' {} "x"`);
      await client.expectEnd();
      await reader.expectQuiet();
    },
  },
  {
    it: "takes a DISCONNECT with a Reason Code, a Reason String and User Properties",
    v5: ["3.14.2-1"],
    run: async (stage) => {
      const client = await stage.connect();
      client.send("e0 ~ 80 {1f 'because' 26 'a' 'b'}");
      await client.expectEnd();
    },
  },
];
