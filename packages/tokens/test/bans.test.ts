import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AttemptCounter, attemptKeys, longestBanMs } from "../src/index.ts";

const address = attemptKeys("192.0.2.1", undefined);
const minute = 60_000;

/** A counter whose clock is in the hands of the test. */
function underTest() {
  const state = { now: 1_000 };
  const counter = new AttemptCounter(() => state.now);
  const fail = (times: number, keys = address) => {
    for (let i = 1; i < times; i += 1) counter.failed(keys);
    return counter.failed(keys);
  };
  /** How long the ban is that fifty failures bring. */
  const ban = () => (fail(50).ban?.until ?? 0) - state.now;
  return { state, counter, fail, ban };
}

test("a refusal waits twice as long as the one before, from the sixth on and up to four seconds", () => {
  const { state, fail } = underTest();
  const delays = Array.from({ length: 12 }, () => {
    state.now += 5_000;
    return fail(1).delayMs;
  });
  assert.deepEqual(delays.slice(0, 5), [250, 250, 250, 250, 250]);
  assert.deepEqual(delays.slice(5), [500, 1_000, 2_000, 4_000, 4_000, 4_000, 4_000]);
});

describe("a ban", () => {
  test("begins with the fiftieth failure, and is over after a minute", () => {
    const { state, counter, fail } = underTest();
    assert.equal(fail(49).ban, undefined);
    assert.equal(counter.banOf(address), undefined);
    assert.equal(fail(1).ban?.until, state.now + minute);
    state.now += minute - 1;
    assert.equal(counter.banOf(address)?.failures, 50);
    state.now += 1;
    assert.equal(counter.banOf(address), undefined);
  });

  test("is twice as long as the one before, and no longer than an hour", () => {
    const { state, ban } = underTest();
    const lengths = Array.from({ length: 9 }, () => {
      const length = ban();
      state.now += length;
      return length / minute;
    });
    assert.deepEqual(lengths, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert.equal(longestBanMs, 60 * minute);
  });

  test("is remembered when the failures are forgotten", () => {
    const { state, counter, ban, fail } = underTest();
    assert.equal(ban(), minute);
    state.now += 20 * minute;
    assert.equal(counter.hasFailed(address), false);
    assert.equal(fail(49).ban, undefined);
    assert.equal((fail(1).ban?.until ?? 0) - state.now, 2 * minute);
  });

  test("is of a certificate too, wherever it comes from, and not of those it came from", () => {
    const { counter, fail } = underTest();
    const from = (i: number) => attemptKeys(`192.0.2.${i}`, "ab");
    for (let i = 0; i < 50; i += 1) fail(1, from(i));
    assert.equal(counter.banOf(from(99))?.key, "certificate ab");
    assert.equal(counter.banOf(attemptKeys("192.0.2.1", undefined)), undefined);
    assert.equal(counter.banOf(attemptKeys("192.0.2.1", "cd")), undefined);
  });

  test("is half as far away after a good token, and no further", () => {
    const { counter, fail } = underTest();
    fail(40);
    counter.succeeded(address);
    assert.equal(fail(29).ban, undefined);
    assert.notEqual(fail(1).ban, undefined);
  });
});
