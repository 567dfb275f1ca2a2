import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type ConnectPacket,
  encodePacket,
  encodeProperties,
  type MqttErrorCode,
  type Packet,
  type PropertyValues,
  type ProtocolVersion,
  type PublishPacket,
  type SubscriptionRequest,
} from "../src/index.ts";
import { bytes, decodeWhole } from "./bytes.ts";

const connect: ConnectPacket = {
  type: "CONNECT",
  version: 5,
  cleanStart: true,
  keepAlive: 60,
  clientId: "c",
  will: undefined,
  username: undefined,
  password: undefined,
  properties: {},
};
const will = {
  topic: "t",
  payload: Buffer.from("p"),
  qos: 0,
  retain: false,
  properties: {},
} as const;
const publish: PublishPacket = {
  type: "PUBLISH",
  topic: "t",
  payload: Buffer.from("p"),
  qos: 0,
  retain: false,
  dup: false,
  packetId: undefined,
  properties: {},
};
const request: SubscriptionRequest = {
  filter: "f",
  qos: 0,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
};
const numbered = { packetId: 1, properties: {} } as const;
const large = Buffer.alloc(65_536);
const longText = "a".repeat(65_536);

function subscribe(...subscriptions: SubscriptionRequest[]): Packet {
  return { type: "SUBSCRIBE", ...numbered, subscriptions };
}

type Row = readonly [why: string, MqttErrorCode, Packet, ProtocolVersion?];

const refusals: readonly Row[] = [
  ["a reserved Will QoS", "ERR_MQTT_CONNECT_FLAGS", { ...connect, will: { ...will, qos: 3 as 2 } }],
  [
    "a password without a user name on 3.1.1",
    "ERR_MQTT_CONNECT_FLAGS",
    { ...connect, version: 4, password: Buffer.from("p") },
  ],
  [
    "no client id and no clean session on 3.1.1",
    "ERR_MQTT_CLIENT_ID",
    { ...connect, version: 4, cleanStart: false, clientId: "" },
  ],
  ["a keep alive of 65,536", "ERR_MQTT_INTEGER", { ...connect, keepAlive: 65_536 }],
  ["half a second of keep alive", "ERR_MQTT_INTEGER", { ...connect, keepAlive: 0.5 }],
  ["U+0000 in the client id", "ERR_MQTT_UTF8", { ...connect, clientId: "\0" }],
  ["a surrogate in the user name", "ERR_MQTT_UTF8", { ...connect, username: "\ud800" }],
  ["a client id of 65,536 bytes", "ERR_MQTT_UTF8", { ...connect, clientId: longText }],
  ["a password of 65,536 bytes", "ERR_MQTT_BINARY_DATA", { ...connect, password: large }],
  ["a will to +", "ERR_MQTT_TOPIC_NAME", { ...connect, will: { ...will, topic: "+" } }],
  [
    "a will that is not the UTF-8 it is said to be",
    "ERR_MQTT_PAYLOAD_FORMAT",
    {
      ...connect,
      will: { ...will, payload: Buffer.from([0xff]), properties: { payloadFormatIndicator: 1 } },
    },
  ],
  ["QoS 3", "ERR_MQTT_PUBLISH_QOS", { ...publish, qos: 3 as 2, packetId: 1 }],
  ["DUP at QoS 0", "ERR_MQTT_PUBLISH_DUP", { ...publish, dup: true }],
  ["a packet id at QoS 0", "ERR_MQTT_PACKET_ID", { ...publish, packetId: 1 }],
  ["no packet id at QoS 1", "ERR_MQTT_PACKET_ID", { ...publish, qos: 1 }],
  ["packet id 0", "ERR_MQTT_PACKET_ID", { ...publish, qos: 1, packetId: 0 }],
  ["packet id 65,536", "ERR_MQTT_INTEGER", { ...publish, qos: 1, packetId: 65_536 }],
  ["a wildcard in the topic", "ERR_MQTT_TOPIC_NAME", { ...publish, topic: "a/#" }],
  ["no topic and no alias", "ERR_MQTT_TOPIC_MISSING", { ...publish, topic: "" }],
  ["no topic on 3.1.1", "ERR_MQTT_TOPIC_NAME", { ...publish, topic: "" }, 4],
  ["alias 0", "ERR_MQTT_TOPIC_ALIAS", { ...publish, properties: { topicAlias: 0 } }],
  [
    "a property of another packet",
    "ERR_MQTT_PROPERTY_NOT_ALLOWED",
    { ...publish, properties: { receiveMaximum: 1 } },
  ],
  [
    "more bytes than a Remaining Length can say",
    "ERR_MQTT_PACKET_TOO_LARGE",
    // A length is all that is looked at; nothing of this size is made.
    { ...publish, payload: { length: 268_435_455 } as Uint8Array },
  ],
  ["no filter", "ERR_MQTT_EMPTY_LIST", subscribe()],
  ["a malformed filter", "ERR_MQTT_TOPIC_FILTER", subscribe({ ...request, filter: "a#" })],
  [
    "a malformed share",
    "ERR_MQTT_SHARED_SUBSCRIPTION",
    subscribe({ ...request, filter: "$share/g" }),
  ],
  [
    "no local on a share",
    "ERR_MQTT_NO_LOCAL_SHARED",
    subscribe({ ...request, filter: "$share/g/f", noLocal: true }),
  ],
  ["a subscription of QoS 3", "ERR_MQTT_SUBSCRIPTION_QOS", subscribe({ ...request, qos: 3 as 2 })],
  [
    "retain handling 3",
    "ERR_MQTT_RETAIN_HANDLING",
    subscribe({ ...request, retainHandling: 3 as 2 }),
  ],
  [
    "no local on 3.1.1",
    "ERR_MQTT_SUBSCRIPTION_OPTIONS",
    subscribe({ ...request, noLocal: true }),
    4,
  ],
  [
    "no filter to unsubscribe",
    "ERR_MQTT_EMPTY_LIST",
    { type: "UNSUBSCRIBE", ...numbered, filters: [] },
  ],
  [
    "a malformed filter to unsubscribe",
    "ERR_MQTT_TOPIC_FILTER",
    { type: "UNSUBSCRIBE", ...numbered, filters: ["+a"] },
  ],
  [
    "a SUBACK without codes",
    "ERR_MQTT_EMPTY_LIST",
    { type: "SUBACK", ...numbered, reasonCodes: [] },
  ],
  [
    "an UNSUBACK without codes",
    "ERR_MQTT_EMPTY_LIST",
    { type: "UNSUBACK", ...numbered, reasonCodes: [] },
  ],
  [
    "a 5.0 code in a SUBACK of 3.1.1",
    "ERR_MQTT_REASON_CODE",
    { type: "SUBACK", ...numbered, reasonCodes: [0x87] },
    4,
  ],
  [
    "a PUBACK of 3.1.1 that would lie",
    "ERR_MQTT_REASON_CODE",
    { type: "PUBACK", ...numbered, reasonCode: 0x87 },
    4,
  ],
  [
    "a code of another packet",
    "ERR_MQTT_REASON_CODE",
    { type: "PUBREL", ...numbered, reasonCode: 0x87 },
  ],
  [
    "a session that is refused",
    "ERR_MQTT_SESSION_PRESENT",
    { type: "CONNACK", sessionPresent: true, reasonCode: 0x87, properties: {} },
  ],
  [
    "a reason for DISCONNECT on 3.1.1",
    "ERR_MQTT_REASON_CODE",
    { type: "DISCONNECT", reasonCode: 0x8b, properties: {} },
    4,
  ],
  ["AUTH on 3.1.1", "ERR_MQTT_PACKET_TYPE", { type: "AUTH", reasonCode: 0, properties: {} }, 4],
  [
    "AUTH without a method",
    "ERR_MQTT_AUTHENTICATION_METHOD",
    { type: "AUTH", reasonCode: 0x18, properties: {} },
  ],
];

describe("nothing is written with", () => {
  for (const [why, code, packet, version = 5] of refusals) {
    test(why, () => assert.throws(() => encodePacket(packet, version), { code }));
  }

  test("a property that does not exist", () => {
    for (const name of ["toString", "__proto__", "nonsense"]) {
      const values = JSON.parse(`{"${name}": 1}`) as PropertyValues;
      assert.throws(() => encodeProperties(values, "PUBLISH"), {
        code: "ERR_MQTT_PROPERTY_NOT_ALLOWED",
      });
    }
  });

  test("two subscription identifiers in a SUBSCRIBE", () => {
    assert.throws(() => encodeProperties({ subscriptionIdentifier: [1, 2] }, "SUBSCRIBE"), {
      code: "ERR_MQTT_PROPERTY_DUPLICATE",
    });
  });
});

describe("what is written", () => {
  for (const [notation, packet, version] of [
    ["40 02 0001", { type: "PUBACK", ...numbered, reasonCode: 0 }, 5],
    ["40 03 0001 10", { type: "PUBACK", ...numbered, reasonCode: 0x10 }, 5],
    ["40 02 0001", { type: "PUBACK", ...numbered, reasonCode: 0 }, 4],
    ["62 02 0001", { type: "PUBREL", ...numbered, reasonCode: 0 }, 5],
    ["e0 00", { type: "DISCONNECT", reasonCode: 0, properties: {} }, 5],
    ["e0 00", { type: "DISCONNECT", reasonCode: 0, properties: {} }, 4],
    ["e0 01 8b", { type: "DISCONNECT", reasonCode: 0x8b, properties: {} }, 5],
    ["f0 00", { type: "AUTH", reasonCode: 0, properties: {} }, 5],
    ["20 03 01 00 00", { type: "CONNACK", sessionPresent: true, reasonCode: 0, properties: {} }, 5],
    ["20 02 00 05", { type: "CONNACK", sessionPresent: false, reasonCode: 5, properties: {} }, 4],
    ["30 04 't' 70", publish, 4],
    ["30 05 't' 00 70", publish, 5],
    ["3d 06 't' 0007 70", { ...publish, qos: 2, dup: true, retain: true, packetId: 7 }, 4],
    ["82 06 0001 'f' 00", subscribe(request), 4],
    ["b0 02 0001", { type: "UNSUBACK", ...numbered, reasonCodes: [] }, 4],
    ["c0 00", { type: "PINGREQ" }, 5],
    ["d0 00", { type: "PINGRESP" }, 4],
  ] as const satisfies readonly (readonly [string, Packet, ProtocolVersion])[]) {
    test(`is ${notation} for ${packet.type} in version ${version}`, () => {
      assert.equal(encodePacket(packet, version).toString("hex"), bytes(notation).toString("hex"));
    });
  }

  test("leaves out on 3.1.1 the properties it does not have", () => {
    const forwarded = {
      ...publish,
      properties: { topicAlias: 7, userProperty: [["a", "b"]] },
    } as const;
    assert.equal(encodePacket(forwarded, 4).toString("hex"), bytes("30 04 't' 70").toString("hex"));
  });

  test("has a Remaining Length of one to four bytes", () => {
    for (const [payload, header] of [
      [124, "30 7f"],
      [125, "30 8001"],
      [16_380, "30 ff7f"],
      [16_381, "30 808001"],
      [2_097_148, "30 ffff7f"],
      [2_097_149, "30 80808001"],
    ] as const) {
      const whole = encodePacket({ ...publish, payload: Buffer.alloc(payload, 7) }, 4);
      const expected = bytes(`${header} 't'`);
      assert.equal(whole.subarray(0, expected.length).toString("hex"), expected.toString("hex"));
      const read = decodeWhole(whole, 4);
      assert.ok(read.type === "PUBLISH" && read.payload.every((byte) => byte === 7));
      assert.equal(read.payload.length, payload);
    }
  });

  test("is large where strings, lists and properties are", () => {
    const userProperty = Array.from({ length: 200 }, (_, i) => [`${i}`, "x".repeat(900)] as const);
    const packet = { ...publish, topic: "t".repeat(65_535), properties: { userProperty } };
    assert.deepEqual(decodeWhole(encodePacket(packet, 5), 5), packet);
  });
});
