import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, splitPackets } from "./bytes.ts";

test("refuses what is no notation of bytes", () => {
  for (const wrong of ["1", "xyz", "12 3", "0x01"]) assert.throws(() => bytes(wrong), wrong);
});

test("writes lengths, strings, repeated bytes and the protocol level", () => {
  const rows: readonly (readonly [string, string])[] = [
    ["c0 00", "c000"],
    ["82 ~ 0001 {0b 01} 'a/b' 01", "820b0001020b010003612f6201"],
    ["10 ~ 'MQTT' V 02 003c {} ''", "100d00044d5154540502003c000000"],
    ['30 ~ "é" 61x3', "3005c3a9616161"],
    ["~ 00x128", `8001${"00".repeat(128)}`],
  ];
  for (const [notation, hex] of rows) assert.equal(bytes(notation).toString("hex"), hex);
});

test("leaves properties out where MQTT is 3.1.1", () => {
  assert.equal(bytes("82 ~ 0001 {0b 01} 't' 00", 4).toString("hex"), "82060001000174" + "00");
});

test("splits a stream into packets and keeps what is not whole", () => {
  const { packets, rest } = splitPackets(bytes("c000 d000 30 05 00"));
  assert.deepEqual(
    packets.map((packet) => packet.toString("hex")),
    ["c000", "d000"],
  );
  assert.equal(rest.toString("hex"), "300500");
});
