import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { alarmsAfter } from "../src/alarms.ts";
import { alarmMessage, numericMessage, waveMessage } from "../src/messages.ts";
import { parseDeviceTime, parseOrigin, parseReading } from "../src/reading.ts";
import { firstVitals } from "../src/vitals.ts";

const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
const heading = { sequence: 1, at: 1_795_447_459_075.5 };
const vitals = firstVitals("monitor", 2);
const numeric = JSON.parse(numericMessage(vitals, [], heading));

describe("a Topic Name", () => {
  const refused = [
    "",
    "demo/north/icu/device/1",
    "demo/north/icu/device/1/command",
    "demo/north/icu/device/1/telemetry/more",
    "other/north/icu/device/1/telemetry",
    "demo/north/icu/service/1/telemetry",
    "demo//icu/device/1/telemetry",
    "demo/north/icu/device/\u001b[2J/telemetry",
    `demo/north/icu/device/${"x".repeat(65)}/telemetry`,
  ];
  for (const topic of refused) {
    test(`is refused: ${JSON.stringify(topic).slice(0, 60)}`, () => {
      assert.equal(parseOrigin(topic, "demo"), undefined);
    });
  }

  test("names site, ward, device and channel", () => {
    assert.deepEqual(parseOrigin("demo/north/icu-1/device/a_1/alarm", "demo"), {
      site: "north",
      ward: "icu-1",
      deviceId: "a_1",
      channel: "alarm",
    });
  });
});

describe("a message", () => {
  const refused: readonly (readonly [string, Uint8Array])[] = [
    ["nothing", Buffer.alloc(0)],
    ["no JSON", Buffer.from("{")],
    ["a list", bytes([])],
    ["null", bytes(null)],
    ["bad UTF-8", Buffer.from([0x22, 0xff, 0x22])],
    ["too long", Buffer.from(JSON.stringify({ ...numeric, filler: "x".repeat(70_000) }))],
    ["another schema", bytes({ ...numeric, schema: "ward/2" })],
    ["an unknown kind", bytes({ ...numeric, kind: "toaster" })],
    ["an unknown stream", bytes({ ...numeric, stream: "gossip" })],
    ["no time", bytes({ ...numeric, deviceTime: "yesterday" })],
    ["an impossible time", bytes({ ...numeric, deviceTime: "2026-13-45T99:00:00.000Z" })],
    ["a number as text", bytes({ ...numeric, metrics: [{ code: "X", value: "97" }] })],
    ["a number beyond reason", bytes({ ...numeric, metrics: [{ code: "X", value: 1e300 }] })],
    ["a metric without a code", bytes({ ...numeric, metrics: [{ value: 97 }] })],
    ["too many metrics", bytes({ ...numeric, metrics: Array(33).fill({ code: "X", value: 1 }) })],
    ["metrics that are no list", bytes({ ...numeric, metrics: { length: 0 } })],
    ["an alarm of no priority", bytes({ ...numeric, alarms: [{ text: "x", priority: "panic" }] })],
    [
      "an alarm too long",
      bytes({ ...numeric, alarms: [{ text: "x".repeat(65), priority: "low" }] }),
    ],
  ];
  for (const [name, payload] of refused) {
    test(`is refused: ${name}`, () => {
      assert.equal(parseReading(payload), undefined);
    });
  }

  test("is read when a device of the ward made it", () => {
    const reading = parseReading(bytes(numeric));
    assert.ok(reading?.stream === "numeric");
    assert.equal(reading.deviceTime, heading.at);
    assert.equal(reading.values.get("MDC_ECG_HEART_RATE"), vitals.measured["heartRate"]);
    assert.equal(parseReading(Buffer.from(waveMessage(vitals, heading)))?.stream, "wave");
  });

  test("of an alarm says what, how urgent, and whether it ended", () => {
    const [alarm] = alarmsAfter([], { ...vitals, measured: { spo2: 80 } }).raised;
    assert.ok(alarm);
    const reading = parseReading(Buffer.from(alarmMessage(vitals, alarm, "ended", heading)));
    assert.ok(reading?.stream === "alarm");
    assert.deepEqual(
      [reading.text, reading.priority, reading.phase, reading.value, reading.limit],
      ["SpO2 low", "high", "ended", 80, 90],
    );
  });

  test("of any bytes gives a reading or nothing", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (payload) => {
          parseReading(payload);
        },
      ),
    );
  });

  test("of any value in any place gives finite numbers or nothing", () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(numeric)), fc.jsonValue(), (key, value) => {
        const reading = parseReading(bytes({ ...numeric, [key]: value }));
        if (reading?.stream !== "numeric") return;
        for (const number of reading.values.values()) assert.ok(Number.isFinite(number));
      }),
    );
  });
});

test("a device's time is read with and without microseconds", () => {
  assert.equal(parseDeviceTime("2026-11-23T15:24:19.075Z"), 1_795_447_459_075);
  assert.equal(parseDeviceTime("2026-11-23T15:24:19.075500Z"), 1_795_447_459_075.5);
  assert.equal(parseDeviceTime("2026-11-23 15:24:19.075Z"), undefined);
  assert.equal(parseDeviceTime(1_795_447_459_075), undefined);
});
