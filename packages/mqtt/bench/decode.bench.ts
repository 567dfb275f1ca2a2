/** `node packages/mqtt/bench/decode.bench.ts`: the decoder, the encoder and the strings, with their twins. */
import {
  decodePacket,
  decodeUtf8,
  decodeVariableByteInteger,
  encodePacket,
  isWellFormedUtf8,
  type Packet,
  type ProtocolVersion,
  PublishFrame,
  type Sender,
} from "../src/index.ts";
import { bodyStart } from "../test/bytes.ts";
import { measure } from "./measure.ts";

const topic = "north/main/icu-1/device/0f8fad5b-d9cb-469f-a165-70867728950e/telemetry";
const publish: Packet = {
  type: "PUBLISH",
  topic,
  payload: Buffer.alloc(900, 0x20),
  qos: 1,
  retain: false,
  dup: false,
  packetId: 7,
  properties: { messageExpiryInterval: 60, contentType: "application/json" },
};
const puback: Packet = { type: "PUBACK", packetId: 7, reasonCode: 0, properties: {} };
const subscribe: Packet = {
  type: "SUBSCRIBE",
  packetId: 7,
  subscriptions: [
    { filter: topic, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
  ],
  properties: {},
};
const connect: Packet = {
  type: "CONNECT",
  version: 5,
  cleanStart: true,
  keepAlive: 60,
  clientId: "0f8fad5b-d9cb-469f-a165-70867728950e",
  will: { topic, payload: Buffer.alloc(20), qos: 1, retain: false, properties: {} },
  username: undefined,
  password: undefined,
  properties: { sessionExpiryInterval: 3600, receiveMaximum: 100 },
};

function packets(title: string, packet: Packet, version: ProtocolVersion, sender: Sender): void {
  const whole = encodePacket(packet, version);
  const start = bodyStart(whole);
  const options = { sender };
  measure(`decodePacket, ${title}`, () =>
    decodePacket(whole[0] ?? 0, whole, start, whole.length, version, options),
  );
  measure(`encodePacket, ${title}`, () => encodePacket(packet, version));
}

packets("PUBLISH of 900 B, 5.0", publish, 5, "client");
packets("PUBLISH of 900 B, 3.1.1", publish, 4, "client");
packets("PUBACK, 5.0", puback, 5, "client");
packets("SUBSCRIBE, 5.0", subscribe, 5, "client");
packets("CONNECT with a will, 5.0", connect, 5, "client");

const whole = encodePacket(publish, 5);
const start = bodyStart(whole);
const frame = new PublishFrame();
measure("PublishFrame.decode, PUBLISH of 900 B, 5.0", () =>
  frame.decode(whole[0] ?? 0, whole, start, whole.length, 5),
);

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
for (const [what, text] of [
  ["a topic", topic],
  ["30 characters beyond ASCII", "éü€😀".repeat(8)],
] as const) {
  const buffer = Buffer.from(text);
  measure(`decodeUtf8, ${what}`, () => decodeUtf8(buffer, 0, buffer.length));
  measure("  its twin, TextDecoder", () => strict.decode(buffer));
  measure(`isWellFormedUtf8, ${what}`, () => isWellFormedUtf8(buffer, 0, buffer.length));
}

const length = Buffer.from("ff7f", "hex");
measure("decodeVariableByteInteger, two bytes", () => decodeVariableByteInteger(length, 0, 2));
