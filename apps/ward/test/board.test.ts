import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Board } from "../src/board.ts";
import type { Origin, Reading } from "../src/reading.ts";

const start = 1_000_000;
const device = { id: "a", kind: "monitor", site: "north", ward: "icu" } as const;
const origin = (deviceId = "a"): Origin => ({
  site: "north",
  ward: "icu",
  deviceId,
  channel: "telemetry",
});

const numeric = (over: Partial<Reading & { stream: "numeric" }> = {}): Reading => ({
  stream: "numeric",
  kind: "monitor",
  deviceTime: start,
  values: new Map([["X", 1]]),
  alarms: [],
  ...over,
});

const alarm = (phase: "raised" | "ended"): Reading => ({
  stream: "alarm",
  kind: "monitor",
  deviceTime: start,
  phase,
  value: 88,
  limit: 90,
  text: "SpO2 low",
  priority: "high",
});

const board = () => new Board("localhost:8883", [device], start);

describe("the board", () => {
  test("has no more rows than its limit, whoever invents devices", () => {
    const b = board();
    for (let i = 0; i < 5_000; i += 1) b.take(origin(`d${i}`), numeric(), 10, start);
    assert.equal(b.view(start).rows.length, 200);
  });

  test("has no more alarms for a device than its limit", () => {
    const b = board();
    for (let i = 0; i < 100; i += 1)
      b.take(origin(), { ...alarm("raised"), text: `${i}` } as Reading, 10, start);
    assert.equal(b.view(start).rows[0]?.alarms.length, 16);
  });

  test("does not count the latency of a device whose clock is not ours", () => {
    const b = board();
    b.take(origin(), numeric({ deviceTime: start + 5_000 }), 10, start);
    b.take(origin(), numeric({ deviceTime: start - 90_000 }), 10, start);
    assert.equal(b.view(start).latency, undefined);
  });

  test("tells the latency of the last ten seconds", () => {
    const b = board();
    for (let i = 1; i <= 100; i += 1)
      b.take(origin(), numeric({ deviceTime: start - i }), 10, start);
    assert.deepEqual(b.view(start + 9_000).latency, { p50: 51, p99: 100 });
    assert.equal(b.view(start + 10_001).latency, undefined);
  });

  test("tells the rate of the last ten whole seconds, from the first one on", () => {
    const b = board();
    for (let s = 0; s < 30; s += 1) {
      for (let i = 0; i < 2; i += 1) b.take(origin(), numeric(), 500, start + s * 1_000 + i);
      if (s > 0) assert.equal(b.view(start + s * 1_000 + 5).messagesPerSecond, 2, `second ${s}`);
    }
    const view = b.view(start + 30_000);
    assert.equal(view.bytesPerSecond, 1_000);
    assert.equal(view.rows[0]?.messagesPerSecond, 2);
    assert.equal(b.view(start + 60_000).messagesPerSecond, 0);
  });

  test("calls values stale when two are missing, by the kind's own period", () => {
    const b = new Board("x", [device, { ...device, id: "p", kind: "pump" }], start);
    assert.equal(b.view(start + 99_000).rows[0]?.staleSeconds, undefined);
    b.take(origin("a"), numeric(), 10, start);
    b.take(origin("p"), numeric({ kind: "pump" }), 10, start);
    const staleAt = (ms: number) => b.view(start + ms).rows.map(({ staleSeconds }) => staleSeconds);
    assert.deepEqual(staleAt(2_900), [undefined, undefined]);
    assert.deepEqual(staleAt(3_100), [3, undefined]);
    assert.deepEqual(staleAt(26_000), [26, 26]);
  });

  test("shows an alarm from its message on until it ends", () => {
    const b = board();
    const shown = () => b.view(start).rows[0]?.alarms.map(({ text }) => text);
    b.take(origin(), alarm("raised"), 10, start);
    assert.deepEqual(shown(), ["SpO2 low"]);
    b.take(origin(), alarm("ended"), 10, start);
    assert.deepEqual(shown(), []);
  });

  test("believes the device's own list of alarms, where a message was missed", () => {
    const b = board();
    b.take(origin(), alarm("raised"), 10, start);
    b.take(origin(), numeric({ alarms: [{ text: "other", priority: "low" }] }), 10, start);
    assert.deepEqual(b.view(start).rows[0]?.alarms, [{ text: "other", priority: "low" }]);
  });

  test("keeps the reason of a lost connection until it is back", () => {
    const b = board();
    b.linkIs({ is: "open", how: "mutual TLSv1.3" }, start);
    b.linkIs({ is: "waiting", why: "gone" }, start + 1_000);
    b.linkIs({ is: "connecting" }, start + 2_000);
    b.linkIs({ is: "waiting", why: "still gone" }, start + 3_000);
    const { link, linkSeconds } = b.view(start + 9_000);
    assert.deepEqual([link, linkSeconds], [{ is: "waiting", why: "still gone" }, 8]);
    b.linkIs({ is: "open", how: "mutual TLSv1.3" }, start + 9_000);
    assert.equal(b.view(start + 9_000).linkSeconds, 0);
  });

  test("counts the ward's devices that are connected, and names the trouble of the others", () => {
    const b = new Board("x", [device, { ...device, id: "b" }], start);
    b.deviceLinkIs("a", { is: "open", how: "" });
    b.deviceLinkIs("b", { is: "waiting", why: "revoked" });
    b.deviceLinkIs("b", { is: "connecting" });
    b.take(origin("guest"), numeric(), 10, start);
    const view = b.view(start);
    assert.deepEqual([view.devicesConnected, view.devices, view.rows.length], [1, 2, 3]);
    assert.deepEqual(
      view.rows.map(({ trouble }) => trouble),
      [undefined, "revoked", undefined],
    );
  });
});
