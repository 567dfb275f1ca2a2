import assert from "node:assert/strict";
import { test } from "node:test";
import { Freshness } from "../src/feed/freshness.ts";

function freshness(maximumAgeSeconds = 100) {
  const state = { clock: 1_000_000, maximumAgeSeconds };
  const events: (string | undefined)[] = [];
  const lines: string[] = [];
  const made = new Freshness({
    now: () => state.clock,
    maximumAgeSeconds: () => state.maximumAgeSeconds,
    record: ({ type, why }) => {
      assert.equal(type, "feed-stale");
      events.push(why);
    },
    report: (line) => lines.push(line),
  });
  return { made, state, events, lines };
}

test("what was never heard is stale", () => {
  assert.equal(freshness().made.isStale, true);
});

test("raises the alarm at half of the maximum age, lets nobody in after all of it, and says each once", () => {
  const { made, state, events, lines } = freshness();
  made.heard(state.clock);
  const after = (seconds: number) => {
    state.clock = 1_000_000 + seconds * 1000;
    made.look();
    made.look();
    return [events.length, made.isStale];
  };
  assert.deepEqual(after(50), [0, false]);
  assert.deepEqual(after(51), [1, false]);
  assert.deepEqual(after(100), [1, false]);
  assert.deepEqual(after(101), [2, true]);
  assert.deepEqual(lines, events);
  assert.match(events[0] ?? "", /half/);
  assert.match(events[1] ?? "", /nobody new is let in until/);
  made.heard(state.clock);
  assert.equal(made.isStale, false);
  assert.deepEqual(after(152), [3, false]);
});

test("is stale by the clock, before anybody looked", () => {
  const { made, state } = freshness();
  made.heard(state.clock);
  state.clock += 100_001;
  assert.equal(made.isStale, true);
});

test("goes by a new maximum age at once", () => {
  const { made, state } = freshness();
  made.heard(state.clock);
  state.clock += 60_000;
  assert.equal(made.isStale, false);
  state.maximumAgeSeconds = 59;
  assert.equal(made.isStale, true);
});
