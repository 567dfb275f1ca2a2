import assert from "node:assert/strict";
import { bytes } from "../../support/bytes.ts";
import { type Case, connectRefusals, refusals } from "../case.ts";

const malformed = connectRefusals([
  {
    it: "ends a connection that begins with another packet",
    send: "c0 00",
    v3: ["3.1.0-1"],
    v5: ["3.1.0-1", "3.2.0-1", "3.14.0-1"],
  },
  {
    it: "ends a connection that begins with PUBLISH and passes nothing on",
    send: "30 ~ 'early' {} \"x\"",
    v3: ["3.1.0-1"],
    v5: ["3.1.0-1"],
  },
  {
    it: "does not take another protocol name for MQTT",
    send: "10 ~ 'MQTX' V 02 003c {} 'c'",
    v3: ["3.1.2-1"],
    v5: ["3.1.2-1"],
  },
  {
    it: "does not take the protocol name in small letters",
    send: "10 ~ 'mqtt' V 02 003c {} 'c'",
    v3: ["3.1.2-1"],
    v5: ["3.1.2-1"],
  },
  {
    it: "tells a client of level 3 that it is not supported",
    send: "10 ~ 'MQTT' 03 02 003c 'c'",
    returnCode: 1,
    v3: ["3.1.2-2", "3.2.2-4", "3.2.2-5"],
  },
  {
    it: "tells a client of MQTT 3.1 that it is not supported",
    send: "10 ~ 'MQIsdp' 03 02 003c 'c'",
    returnCode: 1,
    v3: ["3.1.2-2"],
  },
  {
    it: "tells a client of level 6 that it is not supported",
    send: "10 ~ 'MQTT' 06 02 003c {} 'c'",
    code: 0x84,
    v5: ["3.1.2-2", "3.2.2-6", "3.2.2-7", "3.2.2-8", "4.13.2-1"],
  },
  {
    it: "refuses the reserved Connect Flag",
    send: "10 ~ 'MQTT' V 03 003c {} 'c'",
    code: 0x81,
    v3: ["3.1.2-3", "3.1.4-1"],
    v5: ["3.1.2-3", "3.1.4-1"],
  },
  {
    it: "refuses flags in the fixed header of CONNECT",
    send: "11 ~ 'MQTT' V 02 003c {} 'c'",
    code: 0x81,
    v3: ["2.2.2-1", "2.2.2-2", "3.1.4-1"],
    v5: ["2.1.3-1", "3.1.4-1"],
  },
  {
    it: "refuses a Will QoS without the Will Flag",
    send: "10 ~ 'MQTT' V 0a 003c {} 'c'",
    code: 0x81,
    v3: ["3.1.2-11", "3.1.2-13"],
    v5: ["3.1.2-11"],
  },
  {
    it: "refuses a Will Retain without the Will Flag",
    send: "10 ~ 'MQTT' V 22 003c {} 'c'",
    code: 0x81,
    v3: ["3.1.2-11", "3.1.2-15"],
    v5: ["3.1.2-13"],
  },
  {
    it: "refuses a Will Topic and Will Message without the Will Flag",
    send: "10 ~ 'MQTT' V 02 003c {} 'c' {} 'topic' 'message'",
    code: 0x81,
    v3: ["3.1.2-11", "3.1.3-1"],
    v5: ["3.1.3-1"],
  },
  {
    it: "refuses a Will QoS of 3",
    send: "10 ~ 'MQTT' V 1e 003c {} 'c' {} 'topic' 'message'",
    code: 0x81,
    v3: ["3.1.2-14"],
    v5: ["3.1.2-12"],
  },
  {
    it: "refuses the Will Flag without a will",
    send: "10 ~ 'MQTT' V 06 003c {} 'c'",
    code: 0x81,
    v3: ["3.1.2-9"],
    v5: ["3.1.2-9"],
  },
  {
    it: "refuses the Will Flag with a topic and no message",
    send: "10 ~ 'MQTT' V 06 003c {} 'c' {} 'topic'",
    code: 0x81,
    v3: ["3.1.2-9"],
    v5: ["3.1.2-9"],
  },
  {
    it: "refuses a Will Topic with a wildcard",
    send: "10 ~ 'MQTT' V 06 003c {} 'c' {} 'a/+' 'message'",
    code: 0x90,
    v3: ["4.7.1-1"],
    v5: ["4.7.0-1"],
  },
  {
    it: "refuses an empty Will Topic",
    send: "10 ~ 'MQTT' V 06 003c {} 'c' {} '' 'message'",
    code: 0x90,
    v3: ["4.7.3-1"],
    v5: ["4.7.3-1"],
  },
  {
    it: "refuses a Will Topic that is not UTF-8",
    send: "10 ~ 'MQTT' V 06 003c {} 'c' {} 0002 c328 'message'",
    code: 0x81,
    v3: ["3.1.3-10", "1.5.3-1"],
    v5: ["3.1.3-11", "1.5.4-1"],
  },
  {
    it: "refuses a user name without the User Name Flag",
    send: "10 ~ 'MQTT' V 02 003c {} 'c' 'name'",
    code: 0x81,
    v3: ["3.1.2-18"],
    v5: ["3.1.2-16"],
  },
  {
    it: "refuses the User Name Flag without a user name",
    send: "10 ~ 'MQTT' V 82 003c {} 'c'",
    code: 0x81,
    v3: ["3.1.2-19"],
    v5: ["3.1.2-17"],
  },
  {
    it: "refuses a password without the Password Flag",
    send: "10 ~ 'MQTT' V 82 003c {} 'c' 'name' 'secret'",
    code: 0x81,
    v3: ["3.1.2-20"],
    v5: ["3.1.2-18"],
  },
  {
    it: "refuses the Password Flag without a password",
    send: "10 ~ 'MQTT' V c2 003c {} 'c' 'name'",
    code: 0x81,
    v3: ["3.1.2-21"],
    v5: ["3.1.2-19"],
  },
  {
    it: "refuses the Password Flag without the User Name Flag",
    send: "10 ~ 'MQTT' V 42 003c {} 'c' 'secret'",
    v3: ["3.1.2-22"],
  },
  {
    it: "refuses a user name that is not UTF-8",
    send: "10 ~ 'MQTT' V 82 003c {} 'c' 0001 ff",
    code: 0x81,
    v3: ["3.1.3-11"],
    v5: ["3.1.3-12"],
  },
  {
    it: "refuses a user name with U+0000",
    send: "10 ~ 'MQTT' V 82 003c {} 'c' 0003 61 00 62",
    code: 0x81,
    v3: ["1.5.3-2", "3.1.3-11"],
    v5: ["1.5.4-2", "3.1.3-12"],
  },
  {
    it: "refuses a CONNECT without client id",
    send: "10 ~ 'MQTT' V 02 003c {}",
    code: 0x81,
    v3: ["3.1.3-3"],
    v5: ["3.1.3-3"],
  },
  {
    it: "refuses a client id that is not UTF-8",
    send: "10 ~ 'MQTT' V 02 003c {} 0002 c080",
    code: 0x81,
    v3: ["3.1.3-4", "1.5.3-1"],
    v5: ["3.1.3-4", "1.5.4-1"],
  },
  {
    it: "refuses a surrogate in the client id",
    send: "10 ~ 'MQTT' V 02 003c {} 0003 eda080",
    code: 0x81,
    v3: ["3.1.3-4", "1.5.3-1"],
    v5: ["3.1.3-4", "1.5.4-1"],
  },
  {
    it: "refuses U+0000 in the client id",
    send: "10 ~ 'MQTT' V 02 003c {} 0003 61 00 62",
    code: 0x81,
    v3: ["1.5.3-2"],
    v5: ["1.5.4-2"],
  },
  {
    it: "refuses bytes behind the last field",
    send: "10 ~ 'MQTT' V 02 003c {} 'c' 00",
    code: 0x81,
    v3: ["3.1.4-1"],
    v5: ["3.1.4-1"],
  },
  {
    it: "refuses a string that is longer than the packet",
    send: "10 ~ 'MQTT' V 02 003c {} 0009 61",
    code: 0x81,
    v3: ["3.1.4-1"],
    v5: ["3.1.4-1"],
  },
  {
    it: "refuses an empty client id that wants to keep a Session",
    send: "10 ~ 'MQTT' V 00 003c {} ''",
    returnCode: 2,
    v3: ["3.1.3-7", "3.1.3-8", "3.2.2-4", "3.2.2-5"],
  },
  {
    it: "refuses a Receive Maximum of 0",
    send: "10 ~ 'MQTT' V 02 003c {21 0000} 'c'",
    code: 0x82,
    v5: ["4.9.0-1"],
  },
  {
    it: "refuses a Maximum Packet Size of 0",
    send: "10 ~ 'MQTT' V 02 003c {27 00000000} 'c'",
    code: 0x82,
    v5: [],
  },
  {
    it: "refuses a Session Expiry Interval that is there twice",
    send: "10 ~ 'MQTT' V 02 003c {11 00000001 11 00000001} 'c'",
    code: 0x82,
    v5: ["4.13.1-1"],
  },
  {
    it: "refuses a Request Problem Information of 2",
    send: "10 ~ 'MQTT' V 02 003c {17 02} 'c'",
    code: 0x82,
    v5: [],
  },
  {
    it: "refuses a Request Response Information of 2",
    send: "10 ~ 'MQTT' V 02 003c {19 02} 'c'",
    code: 0x82,
    v5: [],
  },
  {
    it: "refuses a property of another packet",
    send: "10 ~ 'MQTT' V 02 003c {23 0001} 'c'",
    code: 0x81,
    v5: ["3.1.4-1"],
  },
  {
    it: "refuses a property that does not exist",
    send: "10 ~ 'MQTT' V 02 003c {7f 00} 'c'",
    code: 0x81,
    v5: ["3.1.4-1"],
  },
  {
    it: "refuses a Property Length in more bytes than it needs",
    send: "10 ~ 'MQTT' V 02 003c 8000 'c'",
    code: 0x81,
    v5: ["1.5.5-1"],
  },
  {
    it: "refuses a CONNECT without Property Length",
    send: "10 ~ 'MQTT' V 02 003c",
    code: 0x81,
    v5: ["2.2.2-1"],
  },
  {
    it: "refuses Authentication Data without Authentication Method",
    send: "10 ~ 'MQTT' V 02 003c {16 'data'} 'c'",
    code: 0x82,
    v5: [],
  },
  {
    it: "refuses an Authentication Method it does not have",
    send: "10 ~ 'MQTT' V 02 003c {15 'SCRAM-SHA-1' 16 'data'} 'c'",
    code: 0x8c,
    v5: ["4.12.0-1", "3.1.4-2", "3.2.2-8"],
  },
  {
    it: "refuses a will that is not the UTF-8 its indicator promises",
    send: "10 ~ 'MQTT' V 06 003c {} 'c' {01 01} 'topic' 0001 ff",
    code: 0x99,
    v5: [],
  },
  {
    it: "refuses a User Property that is not UTF-8",
    send: "10 ~ 'MQTT' V 02 003c {26 'name' 0001 ff} 'c'",
    code: 0x81,
    v5: ["1.5.7-1"],
  },
]);

const afterwards = refusals([
  {
    it: "refuses a second CONNECT",
    send: "10 ~ 'MQTT' V 02 003c {} 'c'",
    code: 0x82,
    v3: ["3.1.0-2"],
    v5: ["3.1.0-2", "3.2.0-2", "4.13.1-1"],
  },
]);

const behaviour: Case[] = [
  {
    it: "accepts a plain CONNECT",
    v3: ["3.1.4-4", "3.2.0-1", "3.2.2-1", "7.0.0-2", "7.1.1-1"],
    v5: ["3.1.4-5", "3.2.0-1", "3.2.2-1", "3.2.2-2", "2.2.2-1", "4.2-1"],
    run: async (stage) => {
      const client = await stage.open();
      client.send(`10 ~ 'MQTT' V 02 003c {} '${stage.clientId()}'`);
      const connack = await client.nextBytes();
      if (stage.version === 4) assert.deepEqual([...connack], [0x20, 2, 0, 0]);
      else assert.deepEqual([connack[0], connack[2], connack[3]], [0x20, 0, 0]);
      await client.expectQuiet();
    },
  },
  {
    it: "accepts client ids of 1 to 23 letters and digits",
    v3: ["3.1.3-5"],
    v5: ["3.1.3-5"],
    run: async (stage) => {
      for (const clientId of [
        "0",
        "Z",
        "0123456789abcdefghijklm",
        "nopqrstuvwxyzABCDEFGHIJ",
        "KLMNOPQRSTUVWXYZ",
      ]) {
        await stage.connect({ clientId });
      }
    },
  },
  {
    it: "accepts a user name and a password, which decide nothing: the certificate does",
    v3: ["3.1.2-19", "3.1.2-21", "3.1.3-1"],
    v5: ["3.1.2-17", "3.1.2-19", "3.1.3-1"],
    run: async (stage) => {
      await stage.connect({ username: "anybody", password: Buffer.from("anything") });
    },
  },
  {
    it: "accepts every field of the payload in its order",
    v3: ["3.1.3-1"],
    v5: ["3.1.3-1"],
    run: async (stage) => {
      const client = await stage.open();
      const topic = stage.topic("will");
      client.send(
        `10 ~ 'MQTT' V c6 003c {} '${stage.clientId()}' {} '${topic}' 'bye' 'name' 'secret'`,
      );
      assert.equal((await client.expect("CONNACK")).reasonCode, 0);
    },
  },
  {
    it: "processes packets that follow the CONNECT at once",
    v3: ["3.1.4-4"],
    v5: ["3.1.4-5", "3.2.0-1"],
    run: async (stage) => {
      const client = await stage.open();
      client.send(
        `10 ~ 'MQTT' V 02 003c {} '${stage.clientId()}'`,
        "c0 00",
        "82 ~ 0001 {} 'x/y' 00",
      );
      assert.equal((await client.expect("CONNACK")).reasonCode, 0);
      await client.expect("PINGRESP");
      await client.expect("SUBACK");
    },
  },
  {
    it: "takes a CONNECT that comes byte by byte",
    v3: ["7.1.1-1"],
    v5: ["4.2-1"],
    run: async (stage) => {
      const client = await stage.open();
      const packet = bytes(`10 ~ 'MQTT' V 02 003c {} '${stage.clientId()}'`, stage.version);
      for (const byte of packet) client.send(Buffer.from([byte]));
      assert.equal((await client.expect("CONNACK")).reasonCode, 0);
    },
  },
  {
    it: "refuses a device whose client id is not its uuid",
    v3: ["3.1.3-9", "3.2.2-4", "3.2.2-5"],
    v5: ["3.1.3-8", "3.1.4-2", "3.2.2-6", "3.2.2-7"],
    run: async (stage) => {
      const [device = ""] = stage.deployment.devices;
      const connack = await stage.connectRefused({ as: device, clientId: "another" });
      assert.equal(connack.reasonCode, stage.version === 5 ? 0x85 : 2);
      assert.equal(connack.sessionPresent, false);
    },
  },
  {
    it: "refuses an empty client id of a device",
    v3: ["3.1.3-9"],
    v5: ["3.1.3-8"],
    run: async (stage) => {
      const [device = ""] = stage.deployment.devices;
      const connack = await stage.connectRefused({ as: device, clientId: "" });
      assert.equal(connack.reasonCode, stage.version === 5 ? 0x85 : 2);
    },
  },
  {
    it: "accepts a device whose client id is its uuid",
    v3: ["3.1.3-2"],
    v5: ["3.1.3-2"],
    run: async (stage) => {
      const [device = ""] = stage.deployment.devices;
      const client = await stage.connect({ as: device, clientId: device });
      await client.disconnect();
    },
  },
  {
    it: "gives a service without client id one of its own",
    v3: ["3.1.3-6"],
    v5: ["3.1.3-6", "3.1.3-7", "3.2.2-16"],
    run: async (stage) => {
      const one = await stage.connect({ clientId: "" });
      const other = await stage.connect({ clientId: "" });
      await one.expectQuiet();
      await other.expectQuiet();
      if (stage.version === 4) return;
      const { assignedClientIdentifier: first } = one.connack.properties;
      const { assignedClientIdentifier: second } = other.connack.properties;
      assert.ok(first && second && first !== second);
    },
  },
  {
    it: "takes an assigned client id as if the client had sent it",
    v5: ["3.1.3-7"],
    run: async (stage) => {
      const first = await stage.connect({
        clientId: "",
        properties: { sessionExpiryInterval: 60 },
      });
      const clientId = first.connack.properties.assignedClientIdentifier ?? "";
      await first.disconnect();
      const again = await stage.connect({ clientId, cleanStart: false });
      assert.equal(again.connack.sessionPresent, true);
      assert.equal(again.connack.properties.assignedClientIdentifier, undefined);
    },
  },
  {
    it: "assigns no client id to a client that has one",
    v5: ["3.2.2-16"],
    run: async (stage) => {
      const { connack } = await stage.connect();
      assert.equal(connack.properties.assignedClientIdentifier, undefined);
    },
  },
  {
    it: "does not process what follows a refused CONNECT",
    v3: ["3.1.4-5", "3.2.2-5"],
    v5: ["3.1.4-6", "3.2.2-7"],
    run: async (stage) => {
      const reader = await stage.connect();
      const topic = stage.topic("after");
      await reader.subscribe(topic);
      const client = await stage.open();
      client.send("10 ~ 'MQTT' V 03 003c {} 'c'", `30 ~ '${topic}' {} "x"`);
      if (stage.version === 5) await client.expect("CONNACK");
      await client.expectEnd();
      await reader.expectQuiet();
    },
  },
  {
    it: "ends without CONNACK where no return code fits",
    v3: ["3.2.2-6", "3.1.4-1"],
    run: async (stage) => {
      const client = await stage.open();
      client.send("10 ~ 'MQTT' V 42 003c 'c' 'secret'");
      await client.expectEnd();
    },
  },
  {
    it: "refuses a will its subject may not publish",
    v3: ["3.2.2-4", "3.2.2-5"],
    v5: ["3.1.4-2", "3.2.2-8"],
    run: async (stage) => {
      const connack = await stage.connectRefused({ as: "limited", will: { topic: "forbidden" } });
      assert.equal(connack.reasonCode, stage.version === 5 ? 0x87 : 5);
    },
  },
  {
    it: "accepts a will its subject may publish",
    v3: [],
    v5: [],
    run: async (stage) => {
      await stage.connect({ as: "limited", will: { topic: "allowed/will" } });
    },
  },
  {
    it: "tells in the CONNACK what holds on the connection",
    v5: ["3.2.2-22", "3.2.2-8"],
    run: async (stage) => {
      const { properties } = (await stage.connect({ keepAlive: 60 })).connack;
      assert.equal(properties.maximumQoS, undefined);
      assert.notEqual(properties.retainAvailable, 0);
      assert.notEqual(properties.wildcardSubscriptionAvailable, 0);
      assert.notEqual(properties.subscriptionIdentifierAvailable, 0);
      assert.notEqual(properties.sharedSubscriptionAvailable, 0);
      assert.equal(properties.receiveMaximum, 256);
      assert.equal(properties.maximumPacketSize, 1_048_576);
      assert.equal(properties.topicAliasMaximum, 16);
      assert.equal(properties.serverKeepAlive, undefined);
    },
  },
  {
    it: "sends a Server Keep Alive where the client's is out of bounds",
    v5: [],
    run: async (stage) => {
      for (const [asked, told] of [
        [0, 600],
        [4, 5],
        [601, 600],
        [5, undefined],
        [600, undefined],
      ] as const) {
        const { properties } = (await stage.connect({ keepAlive: asked })).connack;
        assert.equal(properties.serverKeepAlive, told, `keep alive ${asked}`);
      }
    },
  },
  {
    it: "limits the Session Expiry Interval and says so",
    v5: [],
    run: async (stage) => {
      for (const [asked, told] of [
        [0xffff_ffff, 604_800],
        [604_801, 604_800],
        [60, undefined],
        [0, undefined],
      ] as const) {
        const client = await stage.connect({ properties: { sessionExpiryInterval: asked } });
        assert.equal(client.connack.properties.sessionExpiryInterval, told, `expiry ${asked}`);
        await client.disconnect(0, asked === 0 ? {} : { sessionExpiryInterval: 0 });
      }
    },
  },
  {
    it: "sends no Response Information to a client that did not ask",
    v5: ["3.1.2-28"],
    run: async (stage) => {
      for (const properties of [{}, { requestResponseInformation: 0 }]) {
        const { connack } = await stage.connect({ properties });
        assert.equal(connack.properties.responseInformation, undefined);
      }
    },
  },
  {
    it: "sends no Authentication Method to a client without one",
    v5: ["4.12.0-6"],
    run: async (stage) => {
      const client = await stage.connect();
      assert.equal(client.connack.properties.authenticationMethod, undefined);
      await client.expectQuiet();
    },
  },
  {
    it: "sends no CONNACK above the Maximum Packet Size",
    v5: ["3.1.2-24"],
    run: async (stage) => {
      const client = await stage.open();
      client.send("10 ~ 'MQTT' V 02 003c {27 0000000a} 'c'");
      const connack = await client.nextBytes();
      assert.ok(connack.length <= 10, `${connack.length} bytes`);
      assert.ok((connack[3] ?? 0) >= 0x80);
      await client.expectEnd();
    },
  },
  {
    it: "leaves the Reason String out of a CONNACK that would get too large",
    v5: ["3.2.2-19"],
    run: async (stage) => {
      const client = await stage.open();
      client.send("10 ~ 'MQTT' V 02 003c {27 00000010 15 'nothing'} 'c'");
      const connack = await client.nextBytes();
      assert.ok(connack.length <= 16, `${connack.length} bytes`);
      assert.equal(connack[3], 0x8c);
      await client.expectEnd();
    },
  },
];

export const connect: readonly Case[] = [...malformed, ...afterwards, ...behaviour];
