import assert from "node:assert/strict";
import { test } from "node:test";
import { parseJwkSet } from "../src/index.ts";

const rsa = (bytes: number, kid = "k1") => ({
  ...{ kty: "RSA", kid, e: "AQAB" },
  n: Buffer.alloc(bytes, 0xff).toString("base64url"),
});
const isTaken = (key: object) => parseJwkSet(JSON.stringify({ keys: [key] }))?.length === 1;

test("a modulus has 2048 bits at least and 8192 at most", () => {
  for (const [bytes, isGood] of [
    [255, false],
    [256, true],
    [1_024, true],
    [1_025, false],
  ] as const) {
    assert.equal(isTaken(rsa(bytes)), isGood, `${bytes} bytes`);
  }
});

test("the id of a key has 255 characters at most, and is not empty", () => {
  for (const [length, isGood] of [
    [0, false],
    [1, true],
    [255, true],
    [256, false],
  ] as const) {
    assert.equal(isTaken(rsa(256, "k".repeat(length))), isGood, `${length} characters`);
  }
});
