import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Board } from "../src/board.ts";
import { startDashboard } from "../src/dashboard.ts";
import { startDevice } from "../src/device.ts";
import type { Opening } from "../src/episodes.ts";
import type { Link, LinkOptions } from "../src/link.ts";
import { numericMessage } from "../src/messages.ts";
import { parseReading, type Reading } from "../src/reading.ts";
import { firstVitals } from "../src/vitals.ts";
import type { Ward, WardDevice } from "../src/ward-file.ts";

const credential = { key: "key", cert: "cert", ca: "ca" };
const monitor = { id: "m-1", kind: "monitor", site: "north", ward: "icu", credential } as const;
const pump = { ...monitor, id: "p-1", kind: "pump" } as const;
const ward: Ward = {
  host: "localhost",
  port: 8883,
  org: "demo",
  devices: [monitor, pump],
  dashboard: { ...credential, key: "dashboard's" },
  login: undefined,
  connect: [],
};

interface Sent {
  readonly topic: string;
  readonly qos: number;
  readonly reading: Reading | undefined;
}

/** Links that go nowhere: what they are given is kept, and the test says when they open. */
function fakeLinks() {
  const sent: Sent[] = [];
  const filters: string[] = [];
  const opened: LinkOptions[] = [];
  let closed = 0;
  const openLink = (options: LinkOptions): Link => {
    opened.push(options);
    return {
      publish: (topic, payload, qos) =>
        void sent.push({ topic, qos, reading: parseReading(Buffer.from(payload)) }),
      subscribe: (wanted) => void filters.push(...wanted),
      close: async () => {
        closed += 1;
      },
    };
  };
  return { sent, filters, opened, openLink, closed: () => closed };
}

function switchOn(device: WardDevice, opening?: Opening) {
  const links = fakeLinks();
  const ticks = new Set<() => void>();
  const stop = startDevice(device, {
    ward,
    opening,
    now: () => 1_795_447_459_075,
    random: () => 0.5,
    everySecond: (tick) => {
      ticks.add(tick);
      return () => ticks.delete(tick);
    },
    openLink: links.openLink,
    onState: () => {},
  });
  const run = (seconds: number) => {
    for (let i = 0; i < seconds; i += 1) for (const tick of ticks) tick();
  };
  return { ...links, ticks, stop, run };
}

const streams = (sent: readonly Sent[]) => sent.map(({ reading }) => reading?.stream);

describe("a device", () => {
  test("publishes on no topic but its own telemetry and alarm", () => {
    const { sent, run } = switchOn(monitor, { name: "desaturation", startsAt: 2 });
    run(60);
    assert.deepEqual([...new Set(sent.map(({ topic }) => topic))].sort(), [
      "demo/north/icu/device/m-1/alarm",
      "demo/north/icu/device/m-1/telemetry",
    ]);
    for (const { topic, reading } of sent) {
      assert.equal(topic.endsWith("/alarm"), reading?.stream === "alarm");
    }
  });

  test("connects with its own credential, its uuid as client id", () => {
    const { opened } = switchOn(monitor);
    assert.deepEqual(
      opened.map((options) => [options.clientId, options.credential]),
      [["m-1", credential]],
    );
  });

  test("sends its numbers as soon as it is connected, then at its own rate", () => {
    const { sent, opened, run } = switchOn(pump);
    opened[0]?.onOpen?.();
    assert.deepEqual(streams(sent), ["numeric"]);
    run(30);
    assert.deepEqual(streams(sent), ["numeric", "numeric", "numeric", "numeric"]);
  });

  test("sends numbers and waves every second when it is a monitor", () => {
    const { sent, run } = switchOn(monitor);
    run(2);
    assert.deepEqual(streams(sent), ["numeric", "wave", "numeric", "wave"]);
  });

  test("sends alarms with QoS 1 when they are raised and when they end", () => {
    const { sent, run } = switchOn(monitor, { name: "desaturation", startsAt: 2 });
    run(90);
    const alarms = sent.flatMap(({ qos, reading }) =>
      reading?.stream === "alarm" ? [[reading.text, reading.phase, qos]] : [],
    );
    assert.deepEqual(alarms, [
      ["SpO2 low", "raised", 1],
      ["SpO2 low", "ended", 1],
    ]);
  });

  test("repeats its active alarms when it is connected again, and lists them with its numbers", () => {
    const { sent, opened, run } = switchOn(monitor, { name: "desaturation", startsAt: 2 });
    run(20);
    sent.length = 0;
    opened[0]?.onOpen?.();
    assert.deepEqual(streams(sent), ["alarm", "numeric"]);
    const numbers = sent[1]?.reading;
    assert.deepEqual(numbers?.stream === "numeric" && numbers.alarms.map(({ text }) => text), [
      "SpO2 low",
    ]);
  });

  test("is silent and disconnected once it is switched off", async () => {
    const { sent, ticks, stop, closed } = switchOn(monitor);
    await stop();
    assert.deepEqual([ticks.size, closed(), sent.length], [0, 1, 0]);
  });
});

describe("the dashboard", () => {
  const now = 1_795_447_459_080;
  const telemetry = Buffer.from(
    numericMessage(firstVitals("monitor", 1), [], { sequence: 1, at: now - 5 }),
  );
  const alarm = (over: object = {}) =>
    Buffer.from(
      JSON.stringify({
        ...JSON.parse(telemetry.toString()),
        stream: "alarm",
        phase: "raised",
        text: "SpO2 low",
        priority: "high",
        value: 88,
        limit: 90,
        ...over,
      }),
    );

  function open() {
    const links = fakeLinks();
    const board = new Board("localhost:8883", ward.devices, now);
    const alarms: string[] = [];
    startDashboard({
      ward,
      board,
      now: () => now,
      random: () => 0.5,
      openLink: links.openLink,
      onAlarm: (origin, { text }) => void alarms.push(`${origin.deviceId} ${text}`),
    });
    const [options] = links.opened;
    assert.ok(options?.onMessage && options.onOpen);
    return {
      ...links,
      board,
      alarms,
      options,
      receive: options.onMessage,
      connected: options.onOpen,
    };
  }

  test("shows nothing of a message on the wrong topic or in the wrong form, and counts it", () => {
    const { receive, board, alarms } = open();
    receive("demo/north/icu/device/m-1/alarm", telemetry);
    receive("demo/north/icu/device/m-1/telemetry", alarm());
    receive("other/north/icu/device/m-1/telemetry", telemetry);
    receive("demo/north/icu/device/m-1/telemetry", Buffer.from("{}"));
    receive("demo/north/icu/device/m-1/alarm", alarm({ value: "88" }));
    const view = board.view(now);
    assert.deepEqual([view.unreadable, alarms, view.rows[0]?.values.size], [5, [], 0]);
  });

  test("shows the values and alarms of its devices", () => {
    const { receive, board, alarms } = open();
    receive("demo/north/icu/device/m-1/telemetry", telemetry);
    receive("demo/north/icu/device/m-1/alarm", alarm());
    const view = board.view(now);
    assert.equal(view.rows[0]?.values.size, 8);
    assert.deepEqual(alarms, ["m-1 SpO2 low"]);
    assert.deepEqual([view.unreadable, view.latency], [0, { p50: 5, p99: 5 }]);
  });

  test("subscribes anew on each connection, to telemetry and alarms of its organisation only", () => {
    const { filters, connected } = open();
    assert.deepEqual(filters, []);
    connected();
    const wanted = ["demo/+/+/device/+/telemetry", "demo/+/+/device/+/alarm"];
    assert.deepEqual(filters, wanted);
    connected();
    assert.deepEqual(filters, [...wanted, ...wanted]);
  });

  test("connects with a credential of its own", () => {
    const { options } = open();
    assert.match(options.clientId, /^dashboard-[0-9a-f]{8}$/);
    assert.equal(options.credential, ward.dashboard);
  });
});
