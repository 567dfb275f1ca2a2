import assert from "node:assert/strict";
import { test } from "node:test";
import { delayBefore } from "../src/link.ts";

test("a link waits longer after each failure, but not for ever", () => {
  const longest = [1, 2, 3, 4, 5, 6, 50].map((attempt) => delayBefore(attempt, 1));
  assert.deepEqual(longest, [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
});

test("links that failed together do not come back together", () => {
  assert.equal(delayBefore(5, 0), 4_000);
  assert.notEqual(delayBefore(5, 0.2), delayBefore(5, 0.8));
});
