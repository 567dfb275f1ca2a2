import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AttemptCounter, attemptKeys } from "../src/index.ts";

const keysOf = (i: number) => attemptKeys(`127.1.${i >> 8}.${i & 255}`, undefined);

describe("refusals of many", () => {
  test("from a thousand addresses at once are told one after the other, none after more than four seconds", () => {
    const counter = new AttemptCounter(() => 1_000);
    const delays = Array.from({ length: 3_000 }, (_, i) => counter.failed(keysOf(i)).delayMs);
    assert.equal(delays[0], 250);
    assert.equal(delays[999], 250 + 2 * 999);
    assert.equal(delays.at(-1), 4_000);
  });

  test("are told as fast as that of a single one when the others have been", () => {
    let now = 1_000;
    const counter = new AttemptCounter(() => now);
    for (let i = 0; i < 10_000; i += 1) counter.failed(keysOf(i));
    now += 4_100;
    assert.equal(counter.failed(keysOf(1)).delayMs, 250);
  });

  test("do not make each other wait where they are a few a second", () => {
    let now = 1_000;
    const counter = new AttemptCounter(() => now);
    for (let i = 0; i < 100; i += 1) {
      assert.equal(counter.failed(keysOf(i)).delayMs, 250);
      now += 10;
    }
  });
});

describe("what is counted against an address", () => {
  const keys = keysOf(1);

  test("is held against it until a good token came from there, or a quarter of an hour has gone", () => {
    let now = 1_000;
    const counter = new AttemptCounter(() => now);
    assert.equal(counter.hasFailed(keys), false);
    counter.failed(keys);
    assert.equal(counter.hasFailed(keys), true);
    assert.equal(counter.hasFailed(keysOf(2)), false);
    counter.succeeded(keys);
    assert.equal(counter.hasFailed(keys), false);
    counter.failed(keys);
    now += 15 * 60_000;
    assert.equal(counter.hasFailed(keys), true);
    now += 1;
    assert.equal(counter.hasFailed(keys), false);
  });
});

describe("a ban", () => {
  test("is one, whatever was on its way when it began", () => {
    const counter = new AttemptCounter(() => 1_000);
    const begun = Array.from({ length: 110 }, () => counter.failed(keysOf(1)).ban?.until);
    assert.deepEqual(
      begun.filter((until) => until !== undefined),
      [61_000],
    );
  });
});

describe("what is remembered", () => {
  test("is ten thousand addresses, and a ban goes only where all are banned", () => {
    const counter = new AttemptCounter(() => 1_000);
    const ban = (i: number) => {
      for (let failures = 0; failures < 50; failures += 1) counter.failed(keysOf(i));
    };
    ban(0);
    for (let i = 1; i <= 10_000; i += 1) counter.failed(keysOf(i));
    assert.ok(counter.banOf(keysOf(0)));
    assert.equal(counter.hasFailed(keysOf(1)), false);
    assert.equal(counter.hasFailed(keysOf(2)), true);
    for (let i = 1; i <= 10_000; i += 1) ban(i);
    assert.equal(counter.banOf(keysOf(0)), undefined);
    assert.equal(counter.bans().length, 10_000);
  });
});
