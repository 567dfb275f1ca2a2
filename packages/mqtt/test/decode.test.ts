import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type DecodeOptions, type ProtocolVersion, packetTypes } from "../src/index.ts";
import { assertRefused, bytes, decodeBody, decodeWhole, type Refusal } from "./bytes.ts";

const fromServer: DecodeOptions = { sender: "server" };
const fromClient: DecodeOptions = { sender: "client" };

const refusals: Readonly<Record<string, readonly Refusal[]>> = {
  PUBLISH: [
    ["nothing", "ERR_MQTT_TRUNCATED", 0x30, ""],
    ["a topic longer than the packet", "ERR_MQTT_TRUNCATED", 0x30, "0005 61"],
    ["no packet id", "ERR_MQTT_TRUNCATED", 0x32, "'t'"],
    ["half a packet id", "ERR_MQTT_TRUNCATED", 0x32, "'t' 00"],
    ["no property length", "ERR_MQTT_TRUNCATED", 0x32, "'t' 0001"],
    ["packet id 0", "ERR_MQTT_PACKET_ID", 0x32, "'t' 0000 00"],
    ["packet id 0 at QoS 2 (3.1.1)", "ERR_MQTT_PACKET_ID", 0x34, "'t' 0000", 4],
    ["QoS 3", "ERR_MQTT_PUBLISH_QOS", 0x36, "'t' 0001 00"],
    ["QoS 3 (3.1.1)", "ERR_MQTT_PUBLISH_QOS", 0x36, "'t' 0001", 4],
    ["DUP at QoS 0", "ERR_MQTT_PUBLISH_DUP", 0x38, "'t' 00"],
    ["DUP at QoS 0 (3.1.1)", "ERR_MQTT_PUBLISH_DUP", 0x38, "'t'", 4],
    ["U+0000 in the topic", "ERR_MQTT_UTF8", 0x30, "0003 610062 00"],
    ["a surrogate in the topic", "ERR_MQTT_UTF8", 0x30, "0003 eda080 00"],
    ["a + in the topic", "ERR_MQTT_TOPIC_NAME", 0x30, "'a/+/b' 00"],
    ["a # in the topic", "ERR_MQTT_TOPIC_NAME", 0x30, "'a/#' 00"],
    ["a # inside a level (3.1.1)", "ERR_MQTT_TOPIC_NAME", 0x30, "'a#b'", 4],
    ["no topic (3.1.1)", "ERR_MQTT_TOPIC_NAME", 0x30, "''", 4],
    ["no topic and no alias", "ERR_MQTT_TOPIC_MISSING", 0x30, "'' 00"],
    ["alias 0", "ERR_MQTT_TOPIC_ALIAS", 0x30, "'' 03 23 0000"],
    ["a client's subscription identifier", "ERR_MQTT_PROPERTY_SENDER", 0x30, "'t' 02 0b 01"],
    ["a property length over the end", "ERR_MQTT_TRUNCATED", 0x30, "'t' 05 01 01"],
  ],
  "PUBACK, PUBREC, PUBREL or PUBCOMP": [
    ["nothing", "ERR_MQTT_TRUNCATED", 0x40, ""],
    ["half a packet id", "ERR_MQTT_TRUNCATED", 0x50, "00"],
    ["packet id 0", "ERR_MQTT_PACKET_ID", 0x40, "0000"],
    ["packet id 0 (3.1.1)", "ERR_MQTT_PACKET_ID", 0x62, "0000", 4],
    ["a reason code (3.1.1)", "ERR_MQTT_BYTES_LEFT_OVER", 0x40, "0001 00", 4],
    ["a reason code of SUBACK", "ERR_MQTT_REASON_CODE", 0x40, "0001 01"],
    ["a reason code of PUBREL", "ERR_MQTT_REASON_CODE", 0x50, "0001 92"],
    ["a reason code of PUBACK", "ERR_MQTT_REASON_CODE", 0x62, "0001 10"],
    ["an unknown reason code", "ERR_MQTT_REASON_CODE", 0x70, "0001 ff"],
    ["half its properties", "ERR_MQTT_TRUNCATED", 0x40, "0001 00 05 1f 0003 61"],
    ["a byte behind its properties", "ERR_MQTT_BYTES_LEFT_OVER", 0x40, "0001 00 00 00"],
    ["flags on PUBACK", "ERR_MQTT_FIXED_HEADER_FLAGS", 0x42, "0001"],
    ["flags 0 on PUBREL", "ERR_MQTT_FIXED_HEADER_FLAGS", 0x60, "0001"],
    ["flags 3 on PUBREL (3.1.1)", "ERR_MQTT_FIXED_HEADER_FLAGS", 0x63, "0001", 4],
  ],
  SUBSCRIBE: [
    ["nothing", "ERR_MQTT_TRUNCATED", 0x82, ""],
    ["packet id 0", "ERR_MQTT_PACKET_ID", 0x82, "0000 00 'f' 00"],
    ["no filter", "ERR_MQTT_EMPTY_LIST", 0x82, "0001 00"],
    ["no filter (3.1.1)", "ERR_MQTT_EMPTY_LIST", 0x82, "0001", 4],
    ["no options", "ERR_MQTT_TRUNCATED", 0x82, "0001 00 'f'"],
    ["half a second filter", "ERR_MQTT_TRUNCATED", 0x82, "0001 00 'f' 00 0002 66"],
    ["QoS 3", "ERR_MQTT_SUBSCRIPTION_QOS", 0x82, "0001 00 'f' 03"],
    ["QoS 3 (3.1.1)", "ERR_MQTT_SUBSCRIPTION_QOS", 0x82, "0001 'f' 03", 4],
    ["retain handling 3", "ERR_MQTT_RETAIN_HANDLING", 0x82, "0001 00 'f' 30"],
    ["reserved bit 6", "ERR_MQTT_SUBSCRIPTION_OPTIONS", 0x82, "0001 00 'f' 40"],
    ["reserved bit 7", "ERR_MQTT_SUBSCRIPTION_OPTIONS", 0x82, "0001 00 'f' 80"],
    ["no local (3.1.1)", "ERR_MQTT_SUBSCRIPTION_OPTIONS", 0x82, "0001 'f' 04", 4],
    ["retain handling (3.1.1)", "ERR_MQTT_SUBSCRIPTION_OPTIONS", 0x82, "0001 'f' 10", 4],
    ["a bad second request", "ERR_MQTT_SUBSCRIPTION_QOS", 0x82, "0001 00 'f' 01 'g' 03"],
    ["an empty filter", "ERR_MQTT_TOPIC_FILTER", 0x82, "0001 00 '' 00"],
    ["a wildcard inside a level", "ERR_MQTT_TOPIC_FILTER", 0x82, "0001 00 'a+' 00"],
    ["levels behind #", "ERR_MQTT_TOPIC_FILTER", 0x82, "0001 'a/#/b' 00", 4],
    ["U+0000 in a filter", "ERR_MQTT_UTF8", 0x82, "0001 00 0001 00 00"],
    ["a share without a filter", "ERR_MQTT_SHARED_SUBSCRIPTION", 0x82, "0001 00 '$share/g' 00"],
    ["a share without a name", "ERR_MQTT_SHARED_SUBSCRIPTION", 0x82, "0001 00 '$share//a' 00"],
    ["a wildcard in its name", "ERR_MQTT_SHARED_SUBSCRIPTION", 0x82, "0001 00 '$share/+/a' 00"],
    ["no local on a share", "ERR_MQTT_NO_LOCAL_SHARED", 0x82, "0001 00 '$share/g/a' 04"],
    ["two identifiers", "ERR_MQTT_PROPERTY_DUPLICATE", 0x82, "0001 04 0b 01 0b 02 'f' 00"],
    ["identifier 0", "ERR_MQTT_PROPERTY_VALUE", 0x82, "0001 02 0b 00 'f' 00"],
    ["flags 0", "ERR_MQTT_FIXED_HEADER_FLAGS", 0x80, "0001 00 'f' 00"],
    ["flags 3 (3.1.1)", "ERR_MQTT_FIXED_HEADER_FLAGS", 0x83, "0001 'f' 00", 4],
  ],
  UNSUBSCRIBE: [
    ["nothing", "ERR_MQTT_TRUNCATED", 0xa2, ""],
    ["packet id 0", "ERR_MQTT_PACKET_ID", 0xa2, "0000 00 'f'"],
    ["no filter", "ERR_MQTT_EMPTY_LIST", 0xa2, "0001 00"],
    ["no filter (3.1.1)", "ERR_MQTT_EMPTY_LIST", 0xa2, "0001", 4],
    ["an empty filter", "ERR_MQTT_TOPIC_FILTER", 0xa2, "0001 00 ''"],
    ["a malformed filter (3.1.1)", "ERR_MQTT_TOPIC_FILTER", 0xa2, "0001 'a#'", 4],
    ["a malformed share", "ERR_MQTT_SHARED_SUBSCRIPTION", 0xa2, "0001 00 '$share/g'"],
    ["an ill-formed filter", "ERR_MQTT_UTF8", 0xa2, "0001 00 0001 ff"],
    ["half a filter", "ERR_MQTT_TRUNCATED", 0xa2, "0001 00 0004 66"],
    ["flags 0", "ERR_MQTT_FIXED_HEADER_FLAGS", 0xa0, "0001 00 'f'"],
  ],
  "PINGREQ or PINGRESP": [
    ["a byte", "ERR_MQTT_BYTES_LEFT_OVER", 0xc0, "00"],
    ["a byte (3.1.1)", "ERR_MQTT_BYTES_LEFT_OVER", 0xc0, "00", 4],
    ["flags", "ERR_MQTT_FIXED_HEADER_FLAGS", 0xc1, ""],
    ["a byte from the server", "ERR_MQTT_BYTES_LEFT_OVER", 0xd0, "00", 5, fromServer],
    ["flags from the server", "ERR_MQTT_FIXED_HEADER_FLAGS", 0xd8, "", 5, fromServer],
  ],
  DISCONNECT: [
    ["a reason code (3.1.1)", "ERR_MQTT_BYTES_LEFT_OVER", 0xe0, "00", 4],
    ["flags", "ERR_MQTT_FIXED_HEADER_FLAGS", 0xe1, ""],
    ["an unknown reason code", "ERR_MQTT_REASON_CODE", 0xe0, "01"],
    ["a reason code of CONNACK", "ERR_MQTT_REASON_CODE", 0xe0, "85"],
    ["a server's reason code", "ERR_MQTT_REASON_CODE", 0xe0, "8e"],
    ["a client's reason code", "ERR_MQTT_REASON_CODE", 0xe0, "04", 5, fromServer],
    ["half its properties", "ERR_MQTT_TRUNCATED", 0xe0, "00 05 11"],
    ["a byte behind its properties", "ERR_MQTT_BYTES_LEFT_OVER", 0xe0, "00 00 00"],
    [
      "a server's session expiry",
      "ERR_MQTT_PROPERTY_SENDER",
      0xe0,
      "00 05 11 00000001",
      5,
      fromServer,
    ],
  ],
  AUTH: [
    ["3.1.1", "ERR_MQTT_PACKET_TYPE", 0xf0, "", 4],
    ["3.1.1 from the server", "ERR_MQTT_PACKET_TYPE", 0xf0, "", 4, fromServer],
    ["flags", "ERR_MQTT_FIXED_HEADER_FLAGS", 0xf1, "18 04 15 'm'"],
    ["a client's success", "ERR_MQTT_REASON_CODE", 0xf0, ""],
    ["a client's success with a method", "ERR_MQTT_REASON_CODE", 0xf0, "00 04 15 'm'"],
    ["a server's re-authentication", "ERR_MQTT_REASON_CODE", 0xf0, "19 04 15 'm'", 5, fromServer],
    ["another reason code", "ERR_MQTT_REASON_CODE", 0xf0, "87 04 15 'm'"],
    ["no properties", "ERR_MQTT_TRUNCATED", 0xf0, "18"],
    ["no method", "ERR_MQTT_AUTHENTICATION_METHOD", 0xf0, "18 00"],
    ["no method but data", "ERR_MQTT_AUTHENTICATION_METHOD", 0xf0, "18 04 16 'd'"],
    ["no method from the server", "ERR_MQTT_AUTHENTICATION_METHOD", 0xf0, "00 00", 5, fromServer],
    ["a byte behind its properties", "ERR_MQTT_BYTES_LEFT_OVER", 0xf0, "18 04 15 'm' 00"],
  ],
  CONNACK: [
    ["nothing", "ERR_MQTT_TRUNCATED", 0x20, "", 5, fromServer],
    ["no reason code", "ERR_MQTT_TRUNCATED", 0x20, "00", 5, fromServer],
    ["no properties", "ERR_MQTT_TRUNCATED", 0x20, "00 00", 5, fromServer],
    ["properties (3.1.1)", "ERR_MQTT_BYTES_LEFT_OVER", 0x20, "00 00 00", 4, fromServer],
    ["reserved flags", "ERR_MQTT_CONNACK_FLAGS", 0x20, "02 00 00", 5, fromServer],
    ["a session that is refused", "ERR_MQTT_SESSION_PRESENT", 0x20, "01 87 00", 5, fromServer],
    ["a session that is refused (3.1.1)", "ERR_MQTT_SESSION_PRESENT", 0x20, "01 05", 4, fromServer],
    ["a code of 3.1.1 in 5.0", "ERR_MQTT_REASON_CODE", 0x20, "00 05 00", 5, fromServer],
    ["a code of 5.0 in 3.1.1", "ERR_MQTT_REASON_CODE", 0x20, "00 87", 4, fromServer],
    ["return code 6 (3.1.1)", "ERR_MQTT_REASON_CODE", 0x20, "00 06", 4, fromServer],
    ["a code of DISCONNECT", "ERR_MQTT_REASON_CODE", 0x20, "00 8e 00", 5, fromServer],
    ["flags of the fixed header", "ERR_MQTT_FIXED_HEADER_FLAGS", 0x21, "00 00 00", 5, fromServer],
  ],
  "SUBACK or UNSUBACK": [
    ["no codes", "ERR_MQTT_EMPTY_LIST", 0x90, "0001 00", 5, fromServer],
    ["no codes (3.1.1)", "ERR_MQTT_EMPTY_LIST", 0x90, "0001", 4, fromServer],
    ["QoS 3", "ERR_MQTT_REASON_CODE", 0x90, "0001 00 00 03", 5, fromServer],
    ["a code of 5.0 in 3.1.1", "ERR_MQTT_REASON_CODE", 0x90, "0001 87", 4, fromServer],
    ["a code of UNSUBACK", "ERR_MQTT_REASON_CODE", 0x90, "0001 00 11", 5, fromServer],
    ["a code of SUBACK", "ERR_MQTT_REASON_CODE", 0xb0, "0001 00 01", 5, fromServer],
    ["no codes in UNSUBACK", "ERR_MQTT_EMPTY_LIST", 0xb0, "0001 00", 5, fromServer],
    ["codes in UNSUBACK (3.1.1)", "ERR_MQTT_BYTES_LEFT_OVER", 0xb0, "0001 00", 4, fromServer],
    ["packet id 0", "ERR_MQTT_PACKET_ID", 0x90, "0000 00 00", 5, fromServer],
    ["packet id 0 in UNSUBACK", "ERR_MQTT_PACKET_ID", 0xb0, "0000", 4, fromServer],
  ],
};

for (const [packet, rows] of Object.entries(refusals)) {
  describe(`${packet} is refused with`, () => {
    for (const refusal of rows) test(refusal[0], () => assertRefused(refusal));
  });
}

describe("a packet type", () => {
  const sentBy = {
    client: [1, 3, 4, 5, 6, 7, 8, 10, 12, 14],
    server: [2, 3, 4, 5, 6, 7, 9, 11, 13],
  };
  for (const sender of ["client", "server"] as const) {
    for (const version of [4, 5] as const) {
      const own = [...sentBy[sender], ...(version === 5 ? [14, 15] : [])];
      const foreign = Object.values(packetTypes).filter(
        (type) => !own.includes(type) && !(type === 15 && version === 4),
      );
      test(`of the other side is refused from a ${sender} in version ${version}`, () => {
        for (const type of foreign) {
          for (const flags of [0, 2]) {
            const firstByte = (type << 4) | flags;
            const refusal = ["", "ERR_MQTT_DIRECTION", firstByte, "", version, { sender }] as const;
            assertRefused(refusal);
          }
        }
        assert.equal(foreign.length, version === 4 && sender === "server" ? 5 : 4);
      });
    }
  }

  test("of 0 is refused from both sides", () => {
    for (const options of [fromClient, fromServer]) {
      for (const version of [4, 5] as const) {
        assertRefused(["", "ERR_MQTT_PACKET_TYPE", 0x00, "", version, options]);
      }
    }
  });
});

describe("a packet that may leave its end out", () => {
  const none = { reasonCode: 0, properties: {} };
  for (const [type, firstByte] of [
    ["PUBACK", 0x40],
    ["PUBREC", 0x50],
    ["PUBREL", 0x62],
    ["PUBCOMP", 0x70],
  ] as const) {
    test(`is ${type} with and without Reason Code and properties`, () => {
      for (const notation of ["1234", "1234 00", "1234 00 00"]) {
        const expected = { type, packetId: 0x1234, ...none };
        assert.deepEqual(decodeBody(firstByte, bytes(notation), 5), expected, notation);
      }
      const whole = decodeBody(firstByte, bytes("1234 00 04 1f 'r'"), 5);
      assert.deepEqual(whole, {
        type,
        packetId: 0x1234,
        reasonCode: 0,
        properties: { reasonString: "r" },
      });
    });
  }

  test("is DISCONNECT with and without Reason Code and properties", () => {
    for (const notation of ["", "00", "00 00"]) {
      assert.deepEqual(decodeBody(0xe0, bytes(notation), 5), { type: "DISCONNECT", ...none });
    }
    assert.deepEqual(decodeBody(0xe0, bytes("04"), 5), {
      type: "DISCONNECT",
      reasonCode: 4,
      properties: {},
    });
  });

  test("is the AUTH by which a server says success", () => {
    assert.deepEqual(decodeBody(0xf0, bytes(""), 5, fromServer), { type: "AUTH", ...none });
  });
});

describe("a PUBLISH", () => {
  const plain = {
    type: "PUBLISH",
    qos: 0,
    retain: false,
    dup: false,
    packetId: undefined,
  } as const;

  test("has all that is left as its payload, even none", () => {
    for (const [notation, version] of [
      ["'t' 00", 5],
      ["'t'", 4],
    ] as const) {
      const empty = { ...plain, topic: "t", payload: Buffer.alloc(0), properties: {} };
      assert.deepEqual(decodeBody(0x30, bytes(notation), version), empty);
      const full = { ...empty, payload: Buffer.from([0x00, 0xff]) };
      assert.deepEqual(decodeBody(0x30, bytes(`${notation} 00ff`), version), full);
    }
  });

  test("says its flags", () => {
    assert.deepEqual(decodeBody(0x3d, bytes("'t' ffff"), 4), {
      ...plain,
      topic: "t",
      payload: Buffer.alloc(0),
      qos: 2,
      retain: true,
      dup: true,
      packetId: 0xffff,
      properties: {},
    });
  });

  test("may have an alias in place of its topic", () => {
    const packet = decodeBody(0x30, bytes("'' 03 23 0007"), 5);
    assert.deepEqual(packet, {
      ...plain,
      topic: "",
      payload: Buffer.alloc(0),
      properties: { topicAlias: 7 },
    });
  });

  test("of a server may have several subscription identifiers", () => {
    const packet = decodeBody(0x30, bytes("'t' 05 0b 01 0b 8001"), 5, fromServer);
    assert.deepEqual(packet.type === "PUBLISH" && packet.properties, {
      subscriptionIdentifier: [1, 128],
    });
  });

  test("gives a view of the bytes it came in, not a copy", () => {
    const buffer = bytes("30 04 't' 61");
    const packet = decodeWhole(buffer, 4);
    buffer[5] = 0x62;
    assert.equal(packet.type === "PUBLISH" && Buffer.from(packet.payload).toString(), "b");
  });
});

test("a SUBSCRIBE gives each filter its options", () => {
  const body = bytes("0001 02 0b 07 'a/+' 2d '$share/g/#' 01");
  assert.deepEqual(decodeBody(0x82, body, 5), {
    type: "SUBSCRIBE",
    packetId: 1,
    subscriptions: [
      { filter: "a/+", qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 },
      { filter: "$share/g/#", qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
    ],
    properties: { subscriptionIdentifier: [7] },
  });
});

test("every packet cut short or one byte longer is refused, but where 5.0 lets its end be left out", () => {
  const packets: readonly (readonly [
    string,
    ProtocolVersion,
    DecodeOptions,
    whole: readonly number[],
  ])[] = [
    ["10 'MQTT' 05 c6 003c 00 'c' 00 't' 'p' 'u' 'p'", 5, fromClient, []],
    ["10 'MQTT' 04 c6 003c 'c' 't' 'p' 'u' 'p'", 4, fromClient, []],
    ["20 00 00 03 22 0001", 5, fromServer, []],
    ["20 00 00", 4, fromServer, []],
    ["40 0001 00 04 1f 'r'", 5, fromClient, [2, 3]],
    ["62 0001", 4, fromClient, []],
    ["82 0001 00 'f' 00", 5, fromClient, []],
    ["90 0001 00 00", 5, fromServer, []],
    ["a2 0001 'f'", 4, fromClient, []],
    ["b0 0001", 4, fromServer, []],
    ["c0", 5, fromClient, []],
    ["d0", 4, fromServer, []],
    ["e0 00 05 11 00000001", 5, fromClient, [0, 1]],
    ["f0 18 04 15 'm'", 5, fromClient, []],
  ];
  for (const [notation, version, options, whole] of packets) {
    const [firstByte = 0, ...rest] = bytes(notation);
    const body = Buffer.from(rest);
    decodeBody(firstByte, body, version, options);
    for (let length = 0; length < body.length; length++) {
      const cut = () => decodeBody(firstByte, body.subarray(0, length), version, options);
      if (whole.includes(length)) cut();
      else assert.throws(cut, { name: "MqttError" }, `${notation}, ${length} bytes`);
    }
    // One byte more is one more Reason Code to a SUBACK, and half a filter to SUBSCRIBE and UNSUBSCRIBE.
    const longer = Buffer.concat([body, Buffer.from([0xff])]);
    assert.throws(() => decodeBody(firstByte, longer, version, options), { name: "MqttError" });
  }
});

describe("bytes that broke another codec", () => {
  test("a PUBREL behind a CONNECT with an empty client id is read as what it is", () => {
    const stream = bytes("101000044d5154540502003c0321001400006202d301e0020020");
    const connect = decodeWhole(stream.subarray(0, 18), 5);
    assert.equal(connect.type === "CONNECT" && connect.properties.receiveMaximum, 20);
    assert.deepEqual(decodeWhole(stream.subarray(18, 22), 5), {
      type: "PUBREL",
      packetId: 0xd301,
      reasonCode: 0,
      properties: {},
    });
    assert.throws(() => decodeWhole(stream.subarray(22), 5), { code: "ERR_MQTT_TRUNCATED" });
  });

  test("a QoS 1 PUBLISH that ends before its packet id is refused", () => {
    assertRefused(["", "ERR_MQTT_TRUNCATED", 0x32, "'topic'"]);
    assertRefused(["", "ERR_MQTT_TRUNCATED", 0x34, "0005 746f", 4]);
  });

  test("lengths that reach beyond the packet are refused wherever they stand", () => {
    for (const [firstByte, notation] of [
      [0x10, "ffff 4d515454"],
      [0x10, "'MQTT' 05 02 003c ffffff7f"],
      [0x10, "'MQTT' 05 02 003c 00 ffff"],
      [0x30, "ffff"],
      [0x30, "'t' ffffff7f"],
      [0x30, "'t' 03 09 ffff"],
      [0x30, "'t' 05 26 'a' ffff"],
      [0x82, "0001 00 ffff 66"],
      [0xa2, "0001 ffffff7f 'f'"],
    ] as const) {
      assertRefused([notation, "ERR_MQTT_TRUNCATED", firstByte, notation]);
    }
  });
});
