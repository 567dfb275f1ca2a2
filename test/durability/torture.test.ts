import assert from "node:assert/strict";
import { test } from "node:test";
import { torture } from "./torture.ts";

test("a broker that is killed under load loses nothing acknowledged, repeats no QoS 2 and keeps the order", {
  timeout: 120_000,
}, async () => {
  const result = await torture(4, Math.random);
  assert.deepEqual(result.broken, []);
  assert.ok(result.acknowledged > 100, `only ${result.acknowledged} messages were acknowledged`);
});
