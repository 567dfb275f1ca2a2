import assert from "node:assert/strict";
import { type Case, refusals } from "../case.ts";

const flags = refusals([
  {
    it: "refuses PUBLISH of QoS 3",
    send: "36 ~ 't' 0001 {}",
    v3: ["3.3.1-4"],
    v5: ["3.3.1-4", "4.13.1-1"],
  },
  {
    it: "refuses PUBLISH of QoS 0 with DUP",
    send: "38 ~ 't' {}",
    v3: ["3.3.1-2"],
    v5: ["3.3.1-2"],
  },
  { it: "refuses flags of PUBACK", send: "41 ~ 0001", v3: ["2.2.2-1", "2.2.2-2"], v5: ["2.1.3-1"] },
  { it: "refuses flags of PUBREC", send: "52 ~ 0001", v3: ["2.2.2-1", "2.2.2-2"], v5: ["2.1.3-1"] },
  { it: "refuses PUBREL with flags 0000", send: "60 ~ 0001", v3: ["3.6.1-1"], v5: ["3.6.1-1"] },
  { it: "refuses PUBREL with flags 0011", send: "63 ~ 0001", v3: ["3.6.1-1"], v5: ["3.6.1-1"] },
  {
    it: "refuses flags of PUBCOMP",
    send: "72 ~ 0001",
    v3: ["2.2.2-1", "2.2.2-2"],
    v5: ["2.1.3-1"],
  },
  {
    it: "refuses SUBSCRIBE with flags 0000",
    send: "80 ~ 0001 {} 't' 00",
    v3: ["3.8.1-1"],
    v5: ["3.8.1-1"],
  },
  {
    it: "refuses SUBSCRIBE with flags 1010",
    send: "8a ~ 0001 {} 't' 00",
    v3: ["3.8.1-1"],
    v5: ["3.8.1-1"],
  },
  {
    it: "refuses UNSUBSCRIBE with flags 0000",
    send: "a0 ~ 0001 {} 't'",
    v3: ["3.10.1-1"],
    v5: ["3.10.1-1"],
  },
  {
    it: "refuses UNSUBSCRIBE with flags 0110",
    send: "a6 ~ 0001 {} 't'",
    v3: ["3.10.1-1"],
    v5: ["3.10.1-1"],
  },
  { it: "refuses flags of PINGREQ", send: "c1 00", v3: ["2.2.2-1", "2.2.2-2"], v5: ["2.1.3-1"] },
  { it: "refuses flags of DISCONNECT", send: "e1 00", v3: ["3.14.1-1"], v5: ["3.14.1-1"] },
  { it: "refuses flags of AUTH", send: "f1 ~ 18 {15 'm'}", v5: ["3.15.1-1"] },
]);

const types = refusals([
  { it: "refuses packet type 0", send: "00 00", v3: ["4.8.0-1"], v5: ["4.13.1-1"] },
  { it: "refuses packet type 15, which 3.1.1 does not have", send: "f0 00", v3: ["4.8.0-1"] },
  {
    it: "refuses CONNACK from a client",
    send: "20 ~ 00 00 {}",
    code: 0x82,
    v3: ["4.8.0-1"],
    v5: ["4.13.1-1"],
  },
  {
    it: "refuses SUBACK from a client",
    send: "90 ~ 0001 {} 00",
    code: 0x82,
    v3: ["4.8.0-1"],
    v5: ["4.13.1-1"],
  },
  {
    it: "refuses UNSUBACK from a client",
    send: "b0 ~ 0001 {} ",
    code: 0x82,
    v3: ["4.8.0-1"],
    v5: ["4.13.1-1"],
  },
  {
    it: "refuses PINGRESP from a client",
    send: "d0 00",
    code: 0x82,
    v3: ["4.8.0-1"],
    v5: ["4.13.1-1"],
  },
  {
    it: "refuses AUTH from a client without Authentication Method",
    send: "f0 ~ 18 {15 'm'}",
    code: 0x82,
    v5: ["4.12.0-7"],
  },
  {
    it: "refuses a re-authentication where there was no authentication",
    send: "f0 ~ 19 {15 'm'}",
    code: 0x82,
    v5: ["4.12.0-7", "4.12.1-2"],
  },
  {
    it: "refuses AUTH with a Reason Code it does not have",
    send: "f0 ~ 01 {15 'm'}",
    code: 0x82,
    v5: ["3.15.2-1"],
  },
]);

const lengths = refusals([
  {
    it: "refuses a remaining length of five bytes",
    send: "30 ff ff ff ff 01",
    v3: ["4.8.0-1"],
    v5: ["1.5.5-1"],
  },
  {
    it: "refuses a remaining length in more bytes than it needs",
    send: "c0 80 00",
    v3: ["4.8.0-1"],
    v5: ["1.5.5-1"],
  },
  { it: "refuses 127 written in two bytes", send: "30 ff 00", v3: ["4.8.0-1"], v5: ["1.5.5-1"] },
  {
    it: "refuses a Property Length in more bytes than it needs",
    send: "30 ~ 't' 8000",
    v5: ["1.5.5-1"],
  },
  {
    it: "refuses a Subscription Identifier in more bytes than it needs",
    send: "82 ~ 0001 {0b 8100} 't' 00",
    v5: ["1.5.5-1"],
  },
  { it: "refuses a Property Length beyond the packet", send: "30 ~ 't' 05 01", v5: ["4.13.1-1"] },
  { it: "refuses a PUBLISH without Property Length", send: "30 ~ 't'", v5: ["2.2.2-1"] },
  { it: "refuses a SUBSCRIBE without Property Length", send: "82 ~ 0001", v5: ["2.2.2-1"] },
  {
    it: "refuses a topic longer than its packet",
    send: "30 ~ 0009 61",
    v3: ["4.8.0-1"],
    v5: ["4.13.1-1"],
  },
  {
    it: "refuses a PUBLISH of QoS 1 that ends before its Packet Identifier",
    send: "32 ~ 't' 00",
    v3: ["2.3.1-1"],
    v5: ["4.13.1-1"],
  },
  { it: "refuses PINGREQ with a body", send: "c0 ~ 00", v3: ["4.8.0-1"], v5: ["4.13.1-1"] },
  { it: "refuses PUBACK with one byte", send: "40 ~ 01", v3: ["4.8.0-1"], v5: ["4.13.1-1"] },
  {
    it: "refuses bytes behind a PUBACK",
    send: "40 ~ 0001 00 {} 00",
    v3: ["4.8.0-1"],
    v5: ["4.13.1-1"],
  },
  {
    it: "refuses DISCONNECT with a body, which 3.1.1 does not have",
    send: "e0 ~ 00",
    v3: ["4.8.0-1"],
  },
  {
    it: "refuses a packet larger than the Maximum Packet Size",
    send: "30 ff ff ff 7f",
    code: 0x95,
    v3: ["4.8.0-1"],
    v5: ["3.2.2-15"],
  },
]);

const identifiers = refusals([
  {
    it: "refuses Packet Identifier 0 in PUBLISH of QoS 1",
    send: "32 ~ 't' 0000 {}",
    code: 0x82,
    v3: ["2.3.1-1"],
    v5: ["2.2.1-3"],
  },
  {
    it: "refuses Packet Identifier 0 in PUBLISH of QoS 2",
    send: "34 ~ 't' 0000 {}",
    code: 0x82,
    v3: ["2.3.1-1"],
    v5: ["2.2.1-3"],
  },
  {
    it: "refuses Packet Identifier 0 in SUBSCRIBE",
    send: "82 ~ 0000 {} 't' 00",
    code: 0x82,
    v3: ["2.3.1-1"],
    v5: ["2.2.1-3"],
  },
  {
    it: "refuses Packet Identifier 0 in UNSUBSCRIBE",
    send: "a2 ~ 0000 {} 't'",
    code: 0x82,
    v3: ["2.3.1-1"],
    v5: ["2.2.1-3"],
  },
]);

const topics = refusals([
  {
    it: "refuses + in a Topic Name",
    send: "30 ~ 'a/+' {}",
    code: 0x90,
    v3: ["3.3.2-2", "4.7.1-1"],
    v5: ["3.3.2-2", "4.7.0-1"],
  },
  {
    it: "refuses # in a Topic Name",
    send: "30 ~ 'a/#' {}",
    code: 0x90,
    v3: ["3.3.2-2", "4.7.1-1"],
    v5: ["3.3.2-2", "4.7.0-1"],
  },
  {
    it: "refuses a wildcard inside a level of a Topic Name",
    send: "32 ~ 'a+b' 0001 {}",
    code: 0x90,
    v3: ["3.3.2-2"],
    v5: ["3.3.2-2"],
  },
  {
    it: "refuses an empty Topic Name",
    send: "30 ~ '' {}",
    code: 0x82,
    v3: ["4.7.3-1"],
    v5: ["4.7.3-1"],
  },
  {
    it: "refuses U+0000 in a Topic Name",
    send: "30 ~ 0003 61 00 62 {}",
    v3: ["4.7.3-2", "1.5.3-2"],
    v5: ["4.7.3-2", "1.5.4-2"],
  },
  {
    it: "refuses a Topic Name that is not UTF-8",
    send: "30 ~ 0002 c328 {}",
    v3: ["3.3.2-1", "1.5.3-1"],
    v5: ["3.3.2-1", "1.5.4-1"],
  },
  {
    it: "refuses an overlong slash in a Topic Name",
    send: "30 ~ 0004 61 c0af 62 {}",
    v3: ["1.5.3-1"],
    v5: ["1.5.4-1"],
  },
  {
    it: "refuses a surrogate in a Topic Name",
    send: "30 ~ 0003 eda080 {}",
    v3: ["1.5.3-1"],
    v5: ["1.5.4-1"],
  },
  {
    it: "refuses a code point above U+10FFFF in a Topic Name",
    send: "30 ~ 0004 f4908080 {}",
    v3: ["1.5.3-1"],
    v5: ["1.5.4-1"],
  },
  {
    it: "refuses # that is not a level of its own",
    send: "82 ~ 0001 {} 'a#' 00",
    code: 0x8f,
    v3: ["4.7.1-2"],
    v5: ["4.7.1-1"],
  },
  {
    it: "refuses # before the last level",
    send: "82 ~ 0001 {} 'a/#/b' 00",
    code: 0x8f,
    v3: ["4.7.1-2"],
    v5: ["4.7.1-1"],
  },
  {
    it: "refuses + that is not a level of its own",
    send: "82 ~ 0001 {} 'a+/b' 00",
    code: 0x8f,
    v3: ["4.7.1-3"],
    v5: ["4.7.1-2"],
  },
  {
    it: "refuses an empty Topic Filter",
    send: "82 ~ 0001 {} '' 00",
    code: 0x8f,
    v3: ["4.7.3-1"],
    v5: ["4.7.3-1"],
  },
  {
    it: "refuses U+0000 in a Topic Filter",
    send: "82 ~ 0001 {} 0003 61 00 62 00",
    v3: ["4.7.3-2"],
    v5: ["4.7.3-2"],
  },
  {
    it: "refuses a Topic Filter that is not UTF-8",
    send: "82 ~ 0001 {} 0001 ff 00",
    v3: ["3.8.3-1"],
    v5: ["3.8.3-1"],
  },
  {
    it: "refuses an UNSUBSCRIBE whose filter is not UTF-8",
    send: "a2 ~ 0001 {} 0001 ff",
    v3: ["3.10.3-1"],
    v5: ["3.10.3-1"],
  },
  {
    it: "refuses an empty filter in UNSUBSCRIBE",
    send: "a2 ~ 0001 {} ''",
    code: 0x8f,
    v3: ["4.7.3-1"],
    v5: ["4.7.3-1"],
  },
]);

const subscriptions = refusals([
  {
    it: "refuses SUBSCRIBE without filter",
    send: "82 ~ 0001 {}",
    code: 0x82,
    v3: ["3.8.3-3"],
    v5: ["3.8.3-2"],
  },
  {
    it: "refuses UNSUBSCRIBE without filter",
    send: "a2 ~ 0001 {}",
    code: 0x82,
    v3: ["3.10.3-2"],
    v5: ["3.10.3-2"],
  },
  {
    it: "refuses a filter without its options",
    send: "82 ~ 0001 {} 't'",
    v3: ["3.8.3-3"],
    v5: ["3.8.3-2"],
  },
  {
    it: "refuses a requested QoS of 3",
    send: "82 ~ 0001 {} 't' 03",
    code: 0x82,
    v3: ["3-8.3-4"],
    v5: [],
  },
  {
    it: "refuses bit 6 of the Subscription Options",
    send: "82 ~ 0001 {} 't' 40",
    v3: ["3-8.3-4"],
    v5: ["3.8.3-5"],
  },
  {
    it: "refuses bit 7 of the Subscription Options",
    send: "82 ~ 0001 {} 't' 80",
    v3: ["3-8.3-4"],
    v5: ["3.8.3-5"],
  },
  { it: "refuses the options that 3.1.1 does not have", send: "82 ~ 0001 't' 04", v3: ["3-8.3-4"] },
  { it: "refuses a Retain Handling of 3", send: "82 ~ 0001 {} 't' 30", code: 0x82, v5: [] },
  {
    it: "refuses No Local on a Shared Subscription",
    send: "82 ~ 0001 {} '$share/g/t' 04",
    code: 0x82,
    v5: ["3.8.3-4"],
  },
  {
    it: "refuses a Shared Subscription without name",
    send: "82 ~ 0001 {} '$share//t' 00",
    code: 0x8f,
    v3: [],
    v5: ["4.8.2-1"],
  },
  {
    it: "refuses a Shared Subscription without filter",
    send: "82 ~ 0001 {} '$share/g' 00",
    code: 0x8f,
    v3: [],
    v5: ["4.8.2-2"],
  },
  {
    it: "refuses a Shared Subscription with an empty filter",
    send: "82 ~ 0001 {} '$share/g/' 00",
    code: 0x8f,
    v3: [],
    v5: ["4.8.2-2"],
  },
  {
    it: "refuses + in a share name",
    send: "82 ~ 0001 {} '$share/g+/t' 00",
    code: 0x8f,
    v5: ["4.8.2-2"],
  },
  {
    it: "refuses # in a share name",
    send: "82 ~ 0001 {} '$share/#/t' 00",
    code: 0x8f,
    v5: ["4.8.2-2"],
  },
  { it: "refuses Subscription Identifier 0", send: "82 ~ 0001 {0b 00} 't' 00", code: 0x82, v5: [] },
  {
    it: "refuses two Subscription Identifiers",
    send: "82 ~ 0001 {0b 01 0b 02} 't' 00",
    code: 0x82,
    v5: [],
  },
  {
    it: "refuses a Subscription Identifier in a client's PUBLISH",
    send: "30 ~ 't' {0b 01}",
    code: 0x82,
    v5: ["3.3.4-6"],
  },
]);

const properties = refusals([
  {
    it: "refuses a property of CONNECT in PUBLISH",
    send: "30 ~ 't' {11 00000001}",
    v5: ["4.13.1-1"],
  },
  {
    it: "refuses a property of PUBLISH in SUBSCRIBE",
    send: "82 ~ 0001 {01 01} 't' 00",
    v5: ["4.13.1-1"],
  },
  { it: "refuses a property it does not know", send: "30 ~ 't' {00 00}", v5: ["4.13.1-1"] },
  { it: "refuses a property cut short", send: "30 ~ 't' {02 0000}", v5: ["4.13.1-1"] },
  {
    it: "refuses a Content Type that is there twice",
    send: "30 ~ 't' {03 'a' 03 'a'}",
    code: 0x82,
    v5: ["4.13.1-1"],
  },
  { it: "refuses a Payload Format Indicator of 2", send: "30 ~ 't' {01 02}", code: 0x82, v5: [] },
  {
    it: "refuses a Content Type that is not UTF-8",
    send: "30 ~ 't' {03 0001 ff}",
    v5: ["3.3.2-19"],
  },
  {
    it: "refuses a Response Topic that is not UTF-8",
    send: "30 ~ 't' {08 0001 ff}",
    v5: ["3.3.2-13"],
  },
  {
    it: "refuses a wildcard in a Response Topic",
    send: "30 ~ 't' {08 'a/#'}",
    code: 0x82,
    v5: ["3.3.2-14"],
  },
  {
    it: "refuses a User Property whose name is not UTF-8",
    send: "30 ~ 't' {26 0001 ff 'value'}",
    v5: ["1.5.7-1"],
  },
  {
    it: "refuses a User Property whose value has U+0000",
    send: "30 ~ 't' {26 'name' 0001 00}",
    v5: ["1.5.7-1", "1.5.4-2"],
  },
  { it: "refuses Topic Alias 0", send: "30 ~ 't' {23 0000}", code: 0x94, v5: ["3.3.2-8"] },
  {
    it: "refuses a Topic Alias above its maximum",
    send: "30 ~ 't' {23 0011}",
    code: 0x94,
    v5: ["3.2.2-17", "3.3.2-9"],
  },
  { it: "refuses a Topic Alias that was never set", send: "30 ~ '' {23 0001}", code: 0x82, v5: [] },
  {
    it: "refuses a PUBLISH with neither topic nor alias",
    send: "30 ~ '' {}",
    code: 0x82,
    v5: ["4.7.3-1"],
  },
  { it: "refuses two Topic Aliases", send: "30 ~ 't' {23 0001 23 0001}", code: 0x82, v5: [] },
  {
    it: "refuses a payload of QoS 0 that is not the UTF-8 its indicator promises",
    send: "30 ~ 't' {01 01} ff",
    code: 0x99,
    v5: [],
  },
  {
    it: "refuses a Reason Code that PUBACK does not have",
    send: "40 ~ 0001 01 {}",
    code: 0x82,
    v5: ["3.4.2-1"],
  },
  {
    it: "refuses a Reason Code that PUBREC does not have",
    send: "50 ~ 0001 92 {}",
    code: 0x82,
    v5: ["3.5.2-1"],
  },
  {
    it: "refuses a Reason Code that PUBREL does not have",
    send: "62 ~ 0001 10 {}",
    code: 0x82,
    v5: ["3.6.2-1"],
  },
  {
    it: "refuses a Reason Code that PUBCOMP does not have",
    send: "70 ~ 0001 10 {}",
    code: 0x82,
    v5: ["3.7.2-1"],
  },
  {
    it: "refuses a Reason Code that DISCONNECT does not have",
    send: "e0 ~ 01 {}",
    code: 0x82,
    v5: ["3.14.2-1"],
  },
  {
    it: "refuses a Reason Code of the server in a client's DISCONNECT",
    send: "e0 ~ 8b {}",
    code: 0x82,
    v5: ["3.14.2-1"],
  },
  {
    it: "refuses a DISCONNECT that gives a Session its first expiry",
    send: "e0 ~ 00 {11 00000001}",
    code: 0x82,
    v5: ["3.14.2-2"],
  },
]);

const behaviour: Case[] = [
  {
    it: "refuses a Topic Name of 65,535 bytes, the longest there is, by limits.topicBytes",
    v3: ["4.7.3-3"],
    v5: ["4.7.3-3"],
    run: async (stage) => {
      const client = await stage.connect();
      client.send("32 ~ ffff 61x65535 0001 {}");
      if (stage.version === 4) await client.expectEnd();
      else assert.equal((await client.expect("PUBACK")).reasonCode, 0x90);
    },
  },
  {
    it: "keeps EF BB BF where it stands in a topic",
    v3: ["1.5.3-3", "4.7.3-4"],
    v5: ["1.5.4-3", "4.7.3-4"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("\ufeffbegin\ufeff");
      await client.subscribe(topic);
      await client.publish(stage.topic("begin"), "without");
      await client.publish(topic, "with");
      const message = await client.receive();
      assert.equal(message.text, "with");
      assert.equal(message.topic, topic);
      await client.expectQuiet();
    },
  },
  {
    it: "takes a topic of three- and four-byte characters",
    v3: ["1.5.3-1"],
    v5: ["1.5.4-1"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("\u{2A6D4}/室/é/\u{10FFFD}");
      await client.subscribe(topic);
      await client.publish(topic, "x");
      assert.equal((await client.receive()).topic, topic);
    },
  },
  {
    it: "takes packets that come split and joined",
    v3: ["7.1.1-1"],
    v5: ["4.2-1"],
    run: async (stage) => {
      const client = await stage.connect();
      for (const part of ["c0", "00 c0 00 c0", "00"]) client.send(part);
      for (let i = 0; i < 3; i++) await client.expect("PINGRESP");
    },
  },
  {
    it: "takes QoS 0 PUBLISH without Packet Identifier and delivers it so",
    v3: ["2.3.1-5", "3.3.2-1", "4.3.1-1", "3.3.1-2"],
    v5: ["2.2.1-2", "2.2.2-1", "3.3.2-1", "4.3.1-1", "3.3.1-2"],
    run: async (stage) => {
      const client = await stage.connect();
      const topic = stage.topic("plain");
      await client.subscribe(topic);
      client.send(`30 ~ '${topic}' {} "payload"`);
      const length = Buffer.from([2 + topic.length + 7 + (stage.version === 5 ? 1 : 0)]).toString(
        "hex",
      );
      client.send("c0 00");
      const expected = `30${length}00${topic.length.toString(16).padStart(2, "0")}${Buffer.from(topic).toString("hex")}${stage.version === 5 ? "00" : ""}${Buffer.from("payload").toString("hex")}`;
      assert.equal((await client.nextBytes()).toString("hex"), expected);
    },
  },
  {
    it: "answers PINGREQ with PINGRESP",
    v3: ["3.12.4-1"],
    v5: ["3.12.4-1"],
    run: async (stage) => {
      const client = await stage.connect();
      client.send("c0 00");
      assert.equal((await client.nextBytes()).toString("hex"), "d000");
    },
  },
  {
    it: "tells one peer of its error and no other",
    v3: ["4.8.0-1"],
    v5: ["4.13.1-1", "4.13.2-1", "3.14.4-1", "3.14.4-2", "3.14.2-1", "3.14.2-2"],
    run: async (stage) => {
      const bystander = await stage.connect();
      const client = await stage.connect();
      client.send("00 00");
      if (stage.version === 5) {
        const { reasonCode, properties: said } = await client.expect("DISCONNECT");
        assert.equal(reasonCode, 0x81);
        assert.equal(said.sessionExpiryInterval, undefined);
      }
      await client.expectEnd();
      await bystander.expectQuiet();
    },
  },
  {
    it: "leaves the Reason String out of a DISCONNECT that would get too large",
    v5: ["3.14.2-3", "3.1.2-24"],
    run: async (stage) => {
      const client = await stage.connect({ properties: { maximumPacketSize: 60 } });
      client.send("82 ~ 0001 {} 'a#' 00");
      const disconnect = await client.nextBytes();
      assert.equal(disconnect[0], 0xe0);
      assert.ok(disconnect.length <= 60, `${disconnect.length} bytes`);
      await client.expectEnd();
      // A client that takes very little gets the code alone.
      const small = await stage.open();
      small.send(`10 ~ 'MQTT' V 02 003c {27 00000030} '${stage.clientId()}'`);
      assert.ok((await small.nextBytes()).length <= 48);
      small.send("82 ~ 0001 {} 'a#' 00");
      assert.ok((await small.nextBytes()).length <= 48);
      await small.expectEnd();
    },
  },
];

export const format: readonly Case[] = [
  ...flags,
  ...types,
  ...lengths,
  ...identifiers,
  ...topics,
  ...subscriptions,
  ...properties,
  ...behaviour,
];
