import assert from "node:assert/strict";
import { bytes } from "../../support/bytes.ts";
import { RawClient } from "../../support/raw-client.ts";
import { opcodes } from "../../support/web-socket.ts";
import type { Case } from "../case.ts";

/** MQTT over WebSocket, section 6 of both editions. */
export const webSocket: readonly Case[] = [
  {
    it: "refuses a client that does not offer the subprotocol mqtt",
    v3: ["6.0.0-3"],
    v5: ["6.0.0-3"],
    run: async (stage) => {
      for (const protocols of [null, "", "mqttv3.1", "MQTT", "xmpp, amqp"]) {
        const wire = await stage.openWebSocket({ protocols });
        assert.ok(wire.response.status >= 400, `${protocols}: ${wire.response.status}`);
      }
    },
  },
  {
    it: "selects the subprotocol mqtt among those offered",
    v3: ["6.0.0-4"],
    v5: ["6.0.0-4"],
    run: async (stage) => {
      for (const protocols of ["mqtt", "mqttv3.1, mqtt", "mqtt, xmpp"]) {
        const { response } = await stage.openWebSocket({ protocols });
        assert.equal(response.status, 101);
        assert.equal(response.headers.get("sec-websocket-protocol"), "mqtt");
        assert.equal(response.headers.get("sec-websocket-extensions"), undefined);
      }
    },
  },
  {
    it: "ends a connection that brings a text frame",
    v3: ["6.0.0-1"],
    v5: ["6.0.0-1"],
    run: async (stage) => {
      const wire = await stage.openWebSocket();
      const client = new RawClient(wire, stage.version);
      await client.connect({ clientId: stage.clientId() });
      wire.sendFrame(opcodes.text, bytes("c0 00"));
      if (stage.version === 5 && (await leavesDisconnect(client))) return;
      await client.expectEnd();
    },
  },
  {
    it: "takes no CONNECT from a text frame",
    v3: ["6.0.0-1"],
    v5: ["6.0.0-1"],
    run: async (stage) => {
      const wire = await stage.openWebSocket();
      const client = new RawClient(wire, stage.version);
      wire.sendFrame(opcodes.text, bytes("10 ~ 'MQTT' V 02 003c {} 'c'", stage.version));
      await client.expectEnd();
    },
  },
  {
    it: "sends MQTT in binary frames",
    v3: ["6.0.0-1"],
    v5: ["6.0.0-1"],
    run: async (stage) => {
      const wire = await stage.openWebSocket();
      const client = new RawClient(wire, stage.version);
      await client.connect({ clientId: stage.clientId() });
      const topic = stage.topic("a");
      await client.subscribe(topic);
      for (const size of [10, 125, 126, 200, 70_000]) {
        await client.publish(topic, Buffer.alloc(size), { qos: 1 });
        assert.equal((await client.receive()).payload.length, size);
      }
      const data = wire.frames.filter(({ opcode }) => opcode < opcodes.close);
      assert.ok(data.length > 0);
      assert.ok(
        data.every(({ opcode, fin }) => opcode === opcodes.binary || (!fin && opcode === 0)),
      );
    },
  },
  {
    it: "takes a packet split over frames and packets that share one",
    v3: ["6.0.0-2"],
    v5: ["6.0.0-2"],
    run: async (stage) => {
      const wire = await stage.openWebSocket();
      const client = new RawClient(wire, stage.version);
      const first = bytes(`10 ~ 'MQTT' V 02 003c {} '${stage.clientId()}'`, stage.version);
      for (const byte of first) wire.send(Buffer.from([byte]));
      assert.equal((await client.expect("CONNACK")).reasonCode, 0);
      wire.send(bytes("c000 c000 c0"));
      wire.send(bytes("00 c0"));
      wire.send(Buffer.alloc(0));
      wire.send(bytes("00"));
      for (let i = 0; i < 4; i++) await client.expect("PINGRESP");
    },
  },
  {
    it: "takes a packet in the fragments of one message, a ping between them",
    v3: ["6.0.0-2"],
    v5: ["6.0.0-2"],
    run: async (stage) => {
      const wire = await stage.openWebSocket();
      const client = new RawClient(wire, stage.version);
      await client.connect({ clientId: stage.clientId() });
      wire.sendFrame(opcodes.binary, bytes("c0"), { fin: false });
      wire.sendFrame(opcodes.ping, Buffer.from("still there"));
      wire.sendFrame(opcodes.continuation, bytes("00"), { fin: true });
      await client.expect("PINGRESP");
      const pong = wire.frames.find(({ opcode }) => opcode === opcodes.pong);
      assert.equal(pong?.payload.toString(), "still there");
    },
  },
  {
    it: "ends a connection that sends a frame without mask",
    v3: [],
    v5: [],
    run: async (stage) => {
      const wire = await stage.openWebSocket();
      const client = new RawClient(wire, stage.version);
      await client.connect({ clientId: stage.clientId() });
      wire.sendFrame(opcodes.binary, bytes("c0 00"), { masked: false });
      if (stage.version === 5 && (await leavesDisconnect(client))) return;
      await client.expectEnd();
    },
  },
  {
    it: "refuses over WebSocket what it refuses over TLS",
    v3: ["4.8.0-1"],
    v5: ["4.13.1-1", "4.13.2-1"],
    run: async (stage) => {
      const client = await stage.connect({ via: "wss" });
      client.send("36 ~ 't' 0001 {}");
      await client.expectRefusal(0x81);
    },
  },
  {
    it: "publishes the will when a WebSocket closes without DISCONNECT",
    v3: ["3.1.2-8"],
    v5: ["3.1.2-8"],
    run: async (stage) => {
      const topic = stage.topic("will");
      const reader = await stage.connect();
      await reader.subscribe(topic);
      const wire = await stage.openWebSocket();
      const client = new RawClient(wire, stage.version);
      await client.connect({ clientId: stage.clientId(), will: { topic, payload: "x" } });
      wire.sendFrame(opcodes.close, Buffer.from([0x03, 0xe8]));
      assert.equal((await reader.receive()).text, "x");
      await client.expectEnd();
    },
  },
  {
    it: "delivers between WebSocket and TLS",
    v3: ["7.1.1-1"],
    v5: ["4.2-1"],
    run: async (stage) => {
      const topic = stage.topic("a");
      const reader = await stage.connect({ via: "wss" });
      await reader.subscribe(topic, { qos: 2 });
      const writer = await stage.connect();
      for (const qos of [0, 1, 2] as const) {
        await writer.publish(topic, `at ${qos}`, { qos });
        assert.equal((await reader.receive()).text, `at ${qos}`);
      }
    },
  },
  {
    it: "hands a Session over from TLS to WebSocket",
    v3: ["3.1.4-2"],
    v5: ["3.1.4-3"],
    run: async (stage) => {
      const options = {
        clientId: stage.clientId(),
        cleanStart: false,
        properties: { sessionExpiryInterval: 60 },
      };
      const older = await stage.connect(options);
      const newer = await stage.connect({ ...options, via: "wss" });
      assert.equal(newer.connack.sessionPresent, true);
      await older.expectRefusal(0x8e);
    },
  },
];

/** A server may say why by DISCONNECT before it closes. */
async function leavesDisconnect(client: RawClient): Promise<boolean> {
  const packet = await client.next().catch(() => undefined);
  if (packet === undefined) return false;
  assert.equal(packet.type, "DISCONNECT");
  await client.expectEnd();
  return true;
}
