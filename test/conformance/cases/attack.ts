import assert from "node:assert/strict";
import type { Case } from "../case.ts";

/** Bytes that made other brokers fail; ours says what MQTT says and serves on. */
export const attack: readonly Case[] = [
  {
    it: "bears a PUBREL nobody waits for and a DISCONNECT whose properties are not there",
    v5: ["4.3.3-11", "4.13.1-1"],
    run: async (stage) => {
      const client = await stage.open();
      client.send("10 10 00044d515454 05 02 003c 03 210014 0000 62 02 d301 e0 02 0020");
      assert.equal((await client.expect("CONNACK")).reasonCode, 0);
      const { packetId, reasonCode } = await client.expect("PUBCOMP");
      assert.deepEqual([packetId, reasonCode], [0xd301, 0x92]);
      await client.expectRefusal(0x81);
      await (await stage.connect()).expectQuiet();
    },
  },
  {
    it: "refuses a first packet that says it is very large before any of it comes",
    v3: ["3.1.4-1"],
    v5: ["3.1.4-1"],
    run: async (stage) => {
      const client = await stage.open();
      client.send("10 ff ff ff 7f");
      await endWithoutAccepting(client);
    },
  },
  {
    it: "refuses a first packet with a length of five bytes",
    v3: ["3.1.4-1"],
    v5: ["1.5.5-1"],
    run: async (stage) => {
      const client = await stage.open();
      client.send("10 80 80 80 80 01");
      await endWithoutAccepting(client);
    },
  },
  {
    it: "takes the names of JavaScript's objects for names like any other",
    v3: [],
    v5: [],
    run: async (stage) => {
      for (const name of ["__proto__", "constructor", "hasOwnProperty", "toString"]) {
        const options = {
          clientId: name,
          cleanStart: false,
          properties: { sessionExpiryInterval: 60 },
        };
        const client = await stage.connect(options);
        assert.equal(client.connack.sessionPresent, false);
        await client.subscribe(`${stage.topic(name)}/${name}`, { qos: 1 });
        await client.subscribe(name, { qos: 1 });
        await client.publish(name, name, { qos: 1, retain: true });
        assert.equal((await client.receive()).topic, name);
        await client.publish(`${stage.topic(name)}/${name}`, "x", { qos: 1 });
        assert.equal((await client.receive()).text, "x");
        await client.publish(name, "", { retain: true });
        await client.receive();
        const after = await stage.connect({ ...options, cleanStart: true });
        await after.disconnect();
      }
    },
  },
  {
    it: "refuses a filter and a topic of very many levels and serves on",
    v3: [],
    v5: ["3.8.4-7"],
    run: async (stage) => {
      const client = await stage.connect();
      const code = await client.subscribe("/".repeat(1_000));
      assert.equal(code, stage.version === 5 ? 0x8f : 0x80);
      client.sendPublish("/".repeat(1_000), "x");
      await client.expectQuiet();
    },
  },
  {
    it: "takes the same SUBSCRIBE, UNSUBSCRIBE and takeover again and again",
    v3: ["3.1.4-2"],
    v5: ["3.1.4-3"],
    run: async (stage) => {
      const clientId = stage.clientId();
      const options = { clientId, cleanStart: false, properties: { sessionExpiryInterval: 60 } };
      for (let i = 0; i < 20; i++) {
        const client = await stage.connect(options);
        client.send(
          "82 ~ 0001 {} 'a/+' 01 'a/#' 02 'a/+' 00",
          "a2 ~ 0002 {} 'a/+' 'b'",
          "82 ~ 0003 {} 'a/+' 01",
        );
        for (const type of ["SUBACK", "UNSUBACK", "SUBACK"] as const) await client.take(type);
      }
      const last = await stage.connect(options);
      await last.publish("a/b", "x", { qos: 2 });
      assert.equal((await last.receive()).qos, 2);
      await last.expectQuiet();
    },
  },
  {
    it: "drops what was half sent when the connection ends",
    v3: [],
    v5: [],
    run: async (stage) => {
      const reader = await stage.connect();
      const topic = stage.topic("half");
      await reader.subscribe(topic);
      for (const via of ["mqtts", "wss"] as const) {
        const client = await stage.connect({ via });
        client.send(`30 80 20 '${topic}' "abc"`);
        client.drop();
      }
      const client = await stage.connect();
      client.send(`30 80 20 '${topic}' "abc"`);
      client.wire.socket.end();
      await client.expectEnd();
      await reader.expectQuiet();
    },
  },
  {
    it: "does not let packets be smuggled in the payload of another",
    v3: [],
    v5: [],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("a");
      await client.subscribe(topic);
      client.send(`30 ~ '${topic}' {} 82 06 0001 0001 61 00 c0 00 e0 00`);
      assert.equal((await client.receive()).payload.length, 12);
      await client.expectQuiet();
    },
  },
];

/** Whether it says why or not, no CONNACK accepts, and the connection ends. */
async function endWithoutAccepting(client: {
  take(type: "CONNACK"): Promise<{ reasonCode: number }>;
  expectEnd(): Promise<void>;
}): Promise<void> {
  const connack = await client.take("CONNACK").catch(() => undefined);
  assert.notEqual(connack?.reasonCode, 0);
  await client.expectEnd();
}
