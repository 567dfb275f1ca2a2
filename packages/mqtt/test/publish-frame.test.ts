import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decodePacket, PublishFrame } from "../src/index.ts";
import { bytes } from "./bytes.ts";
import { assertSameFrame } from "./publish-frame-twin.ts";

const frame = new PublishFrame();

describe("a PublishFrame", () => {
  test("forgets what the packet before it had", () => {
    const full = "'t' 0001 15 01 01 02 00000001 08 'r' 23 0005 26 'a' ''";
    assertSameFrame(0x32, bytes(full).toString("hex"), 5);
    assertSameFrame(0x30, bytes("'t' 00").toString("hex"), 5);
    assertSameFrame(0x30, bytes("'t'").toString("hex"), 4);
  });

  for (const [why, firstByte, notation, code] of [
    ["a property twice", 0x30, "'t' 04 01 00 01 00", "ERR_MQTT_PROPERTY_DUPLICATE"],
    ["an alias twice", 0x30, "'t' 06 23 0001 23 0001", "ERR_MQTT_PROPERTY_DUPLICATE"],
    ["alias 0", 0x30, "'t' 03 23 0000", "ERR_MQTT_TOPIC_ALIAS"],
    ["a client's subscription identifier", 0x30, "'t' 02 0b 01", "ERR_MQTT_PROPERTY_SENDER"],
    ["a property of another packet", 0x30, "'t' 03 21 0001", "ERR_MQTT_PROPERTY_NOT_ALLOWED"],
    ["an unknown property", 0x30, "'t' 02 7f 00", "ERR_MQTT_PROPERTY_NOT_ALLOWED"],
    ["a wildcard in the response topic", 0x30, "'t' 06 08 'a/+'", "ERR_MQTT_RESPONSE_TOPIC"],
    ["U+0000 in a user property", 0x30, "'t' 07 26 0001 00 'b'", "ERR_MQTT_UTF8"],
    ["a property length that is not minimal", 0x30, "'t' 8000", "ERR_MQTT_VARIABLE_BYTE_INTEGER"],
    ["a property length of five bytes", 0x30, "'t' 8080808001", "ERR_MQTT_VARIABLE_BYTE_INTEGER"],
    ["a property over the end", 0x30, "'t' 03 02 0000", "ERR_MQTT_TRUNCATED"],
    ["QoS 3", 0x36, "'t' 0001 00", "ERR_MQTT_PUBLISH_QOS"],
    ["DUP at QoS 0", 0x38, "'t' 00", "ERR_MQTT_PUBLISH_DUP"],
    ["packet id 0", 0x32, "'t' 0000 00", "ERR_MQTT_PACKET_ID"],
    ["no packet id", 0x32, "'t'", "ERR_MQTT_TRUNCATED"],
    ["a topic over the end", 0x30, "0005 74", "ERR_MQTT_TRUNCATED"],
  ] as const) {
    test(`refuses ${why} with the code of decodePacket`, () => {
      const body = bytes(notation);
      assert.throws(() => frame.decode(firstByte, body, 0, body.length, 5), { code });
      assert.throws(() => decodePacket(firstByte, body, 0, body.length, 5), { code });
    });
  }
});
