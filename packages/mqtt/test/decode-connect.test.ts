import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { connackVersion, decodeConnect } from "../src/index.ts";
import { assertRefused, bytes, decodeBody, type Refusal } from "./bytes.ts";

const refusals: readonly Refusal[] = [
  ["nothing", "ERR_MQTT_TRUNCATED", 0x10, ""],
  ["half a length", "ERR_MQTT_TRUNCATED", 0x10, "00"],
  ["a name longer than the packet", "ERR_MQTT_TRUNCATED", 0x10, "0005 4d515454"],
  ["no protocol version", "ERR_MQTT_TRUNCATED", 0x10, "'MQTT'"],
  ["no flags", "ERR_MQTT_TRUNCATED", 0x10, "'MQTT' 05"],
  ["half a keep alive", "ERR_MQTT_TRUNCATED", 0x10, "'MQTT' 05 02 00"],
  ["no properties", "ERR_MQTT_TRUNCATED", 0x10, "'MQTT' 05 02 003c"],
  ["no client id", "ERR_MQTT_TRUNCATED", 0x10, "'MQTT' 05 02 003c 00"],
  ["no client id (3.1.1)", "ERR_MQTT_TRUNCATED", 0x10, "'MQTT' 04 02 003c"],
  ["no will", "ERR_MQTT_TRUNCATED", 0x10, "'MQTT' 05 06 003c 00 'c'"],
  ["no will topic", "ERR_MQTT_TRUNCATED", 0x10, "'MQTT' 05 06 003c 00 'c' 00"],
  ["no will payload", "ERR_MQTT_TRUNCATED", 0x10, "'MQTT' 05 06 003c 00 'c' 00 't'"],
  ["no user name", "ERR_MQTT_TRUNCATED", 0x10, "'MQTT' 05 82 003c 00 'c'"],
  ["no password", "ERR_MQTT_TRUNCATED", 0x10, "'MQTT' 05 42 003c 00 'c'"],
  ["a byte more", "ERR_MQTT_BYTES_LEFT_OVER", 0x10, "'MQTT' 05 02 003c 00 'c' 00"],
  [
    "a user name without its flag",
    "ERR_MQTT_BYTES_LEFT_OVER",
    0x10,
    "'MQTT' 05 02 003c 00 'c' 'u'",
  ],
  ["properties in 3.1.1", "ERR_MQTT_BYTES_LEFT_OVER", 0x10, "'MQTT' 04 02 003c 00 'c'"],
  ["MQTT 3.1", "ERR_MQTT_PROTOCOL_NAME", 0x10, "'MQIsdp' 03 02 003c 'c'"],
  ["another case", "ERR_MQTT_PROTOCOL_NAME", 0x10, "'mqtt' 05 02 003c 00 'c'"],
  ["a longer name", "ERR_MQTT_PROTOCOL_NAME", 0x10, "'MQTT ' 05 02 003c 00 'c'"],
  ["an empty name", "ERR_MQTT_PROTOCOL_NAME", 0x10, "'' 05 02 003c 00 'c'"],
  ["version 3", "ERR_MQTT_PROTOCOL_VERSION", 0x10, "'MQTT' 03 02 003c 'c'"],
  ["version 6", "ERR_MQTT_PROTOCOL_VERSION", 0x10, "'MQTT' 06 02 003c 00 'c'"],
  ["version 0", "ERR_MQTT_PROTOCOL_VERSION", 0x10, "'MQTT' 00 02 003c 'c'"],
  ["a bridge's version", "ERR_MQTT_PROTOCOL_VERSION", 0x10, "'MQTT' 84 02 003c 'c'"],
  ["the reserved flag", "ERR_MQTT_CONNECT_FLAGS", 0x10, "'MQTT' 05 03 003c 00 'c'"],
  ["the reserved flag (3.1.1)", "ERR_MQTT_CONNECT_FLAGS", 0x10, "'MQTT' 04 03 003c 'c'"],
  ["Will QoS 3", "ERR_MQTT_CONNECT_FLAGS", 0x10, "'MQTT' 05 1e 003c 00 'c' 00 't' 'p'"],
  ["Will QoS without a will", "ERR_MQTT_CONNECT_FLAGS", 0x10, "'MQTT' 05 0a 003c 00 'c'"],
  ["Will QoS 2 without a will", "ERR_MQTT_CONNECT_FLAGS", 0x10, "'MQTT' 05 12 003c 00 'c'"],
  ["Will Retain without a will", "ERR_MQTT_CONNECT_FLAGS", 0x10, "'MQTT' 05 22 003c 00 'c'"],
  [
    "a password without a user name (3.1.1)",
    "ERR_MQTT_CONNECT_FLAGS",
    0x10,
    "'MQTT' 04 42 003c 'c' 'p'",
  ],
  ["flags of the fixed header", "ERR_MQTT_FIXED_HEADER_FLAGS", 0x12, "'MQTT' 05 02 003c 00 'c'"],
  ["no client id and no clean session (3.1.1)", "ERR_MQTT_CLIENT_ID", 0x10, "'MQTT' 04 00 003c ''"],
  ["U+0000 in the client id", "ERR_MQTT_UTF8", 0x10, "'MQTT' 05 02 003c 00 0001 00"],
  ["a surrogate in the client id", "ERR_MQTT_UTF8", 0x10, "'MQTT' 05 02 003c 00 0003 eda080"],
  ["an ill-formed user name", "ERR_MQTT_UTF8", 0x10, "'MQTT' 05 82 003c 00 'c' 0001 ff"],
  ["an ill-formed will topic", "ERR_MQTT_UTF8", 0x10, "'MQTT' 05 06 003c 00 'c' 00 0001 ff 'p'"],
  ["an ill-formed protocol name", "ERR_MQTT_UTF8", 0x10, "0004 4dff5454 05 02 003c 00 'c'"],
  ["a will to no topic", "ERR_MQTT_TOPIC_NAME", 0x10, "'MQTT' 05 06 003c 00 'c' 00 '' 'p'"],
  ["a will to +", "ERR_MQTT_TOPIC_NAME", 0x10, "'MQTT' 05 06 003c 00 'c' 00 'a/+' 'p'"],
  ["a will to # (3.1.1)", "ERR_MQTT_TOPIC_NAME", 0x10, "'MQTT' 04 06 003c 'c' '#' 'p'"],
  [
    "a will that is not the UTF-8 it is said to be",
    "ERR_MQTT_PAYLOAD_FORMAT",
    0x10,
    "'MQTT' 05 06 003c 00 'c' 02 01 01 't' 0001 ff",
  ],
  ["a property length over the end", "ERR_MQTT_TRUNCATED", 0x10, "'MQTT' 05 02 003c ffffff7f 'c'"],
  [
    "a property length that is not minimal",
    "ERR_MQTT_VARIABLE_BYTE_INTEGER",
    0x10,
    "'MQTT' 05 02 003c 8000 'c'",
  ],
  [
    "a server's CONNECT",
    "ERR_MQTT_DIRECTION",
    0x10,
    "'MQTT' 05 02 003c 00 'c'",
    5,
    { sender: "server" },
  ],
];

describe("CONNECT is refused with", () => {
  for (const refusal of refusals) test(refusal[0], () => assertRefused(refusal));
});

describe("CONNECT", () => {
  test("of 5.0 is read with everything it can have", () => {
    const body = bytes(
      "'MQTT' 05 ee 003c 05 11 00000e10 'c' 0d 18 0000000a 01 01 03 'x/y' 'will/topic' 'é' 'user' 0002 00ff",
    );
    assert.deepEqual(decodeBody(0x10, body, 5), {
      type: "CONNECT",
      version: 5,
      cleanStart: true,
      keepAlive: 60,
      clientId: "c",
      will: {
        topic: "will/topic",
        payload: Buffer.from("é"),
        qos: 1,
        retain: true,
        properties: { willDelayInterval: 10, payloadFormatIndicator: 1, contentType: "x/y" },
      },
      username: "user",
      password: Buffer.from([0x00, 0xff]),
      properties: { sessionExpiryInterval: 3600 },
    });
  });

  test("of 3.1.1 is read, and says its version itself", () => {
    const packet = decodeBody(0x10, bytes("'MQTT' 04 c0 0000 'c' 'u' ''"), 5);
    assert.deepEqual(packet, {
      type: "CONNECT",
      version: 4,
      cleanStart: false,
      keepAlive: 0,
      clientId: "c",
      will: undefined,
      username: "u",
      password: Buffer.alloc(0),
      properties: {},
    });
  });

  test("may come without a client id where the session ends with the connection or 5.0 makes one up", () => {
    assert.equal(connect("'MQTT' 04 02 003c ''").clientId, "");
    assert.equal(connect("'MQTT' 05 00 003c 00 ''").clientId, "");
  });

  test("of 5.0 may have a password without a user name", () => {
    const { username, password } = connect("'MQTT' 05 42 003c 00 'c' 'token'");
    assert.deepEqual(
      { username, password },
      { username: undefined, password: Buffer.from("token") },
    );
  });

  test("may have an empty will payload and one with U+0000", () => {
    assert.equal(connect("'MQTT' 05 06 003c 00 'c' 00 't' ''").will?.payload.length, 0);
    assert.equal(connect("'MQTT' 05 06 003c 00 'c' 02 01 01 't' 0001 00").will?.payload.length, 1);
  });
});

describe("the version to answer a CONNECT in", () => {
  for (const [notation, version] of [
    ["'MQTT' 04", 4],
    ["'MQTT' 05", 5],
    ["'MQTT' 03", 4],
    ["'MQTT' 00", 4],
    ["'MQTT' 06", 5],
    ["'MQTT' ff", 5],
    ["'MQIsdp' 03", 4],
    ["'MQTT'", undefined],
    ["'mqtt' 05", undefined],
    ["'MQTTX' 05", undefined],
    ["0009 4d51545405", undefined],
    ["'MQIsd' 03", undefined],
    ["'' 05", undefined],
    ["00", undefined],
    ["", undefined],
  ] as const) {
    test(`${notation} is ${version ?? "none"}`, () => {
      const buffer = bytes(`05 ${notation} 05`);
      assert.equal(connackVersion(buffer, 1, buffer.length - 1), version);
    });
  }
});

function connect(notation: string) {
  const body = bytes(notation);
  return decodeConnect(body, 0, body.length);
}
