import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Row, View } from "../src/board.ts";
import { frame, frameText } from "../src/frame.ts";
import { alarmLine, summaryLine } from "../src/plain.ts";
import { headLines, tableLines } from "../src/table.ts";
import { painted, plainText } from "../src/text.ts";

const row = (over: Partial<Row> = {}): Row => ({
  site: "north",
  ward: "icu-1",
  deviceId: "3f2a9c1e-0000-4000-8000-000000000001",
  kind: "monitor",
  values: new Map([
    ["MDC_ECG_HEART_RATE", 78],
    ["MDC_PULS_OXIM_SAT_O2", 97],
    ["MDC_PRESS_BLD_NONINV_SYS", 121],
    ["MDC_PRESS_BLD_NONINV_DIA", 79],
    ["MDC_PRESS_BLD_NONINV_MEAN", 93],
    ["MDC_RESP_RATE", 16],
    ["MDC_TEMP_BODY", 36.94],
  ]),
  alarms: [],
  messagesPerSecond: 2,
  staleSeconds: undefined,
  trouble: undefined,
  ...over,
});

const view = (over: Partial<View> = {}): View => ({
  address: "localhost:8883",
  link: { is: "open", how: "mutual TLSv1.3 TLS_AES_256_GCM_SHA384" },
  linkSeconds: 3,
  rows: [row()],
  devicesConnected: 1,
  devices: 1,
  messagesPerSecond: 20.44,
  bytesPerSecond: 38_040,
  latency: { p50: 0.71, p99: 12.4 },
  unreadable: 0,
  upSeconds: 3_725,
  ...over,
});

const high = { text: "SpO2 low", priority: "high" } as const;
const low = { text: "temperature high", priority: "low" } as const;
const texts = (lines: readonly Parameters<typeof plainText>[0][]) =>
  lines.map((line) => plainText(line));
const body = (over: Partial<Row>, width = 140) =>
  texts(tableLines(view({ rows: [row(over)] }), width, 10))[1] ?? "";

describe("the table", () => {
  test("does not show values that are too old to be the patient's", () => {
    const line = body({ staleSeconds: 7 });
    assert.doesNotMatch(line, /78|97|121|16/);
    assert.match(line, /--.*silent for 7 s/);
    assert.match(body({}), /78.*97.*121\/79.*93.*16/);
  });

  test("does not hide an alarm because the device is silent or away", () => {
    assert.match(body({ alarms: [high], staleSeconds: 9, trouble: "gone" }), /!!! SpO2 low.*gone/);
  });

  test("prints no control character, wherever it came from", () => {
    const evil = "\u001b[2J\u009b\u202e\n";
    const rows = [row({ alarms: [{ text: evil, priority: "high" }], deviceId: evil, ward: evil })];
    const lines = tableLines(view({ rows }), 140, 10);
    for (const text of texts(lines)) assert.match(text, /^[\x20-\x7e]*$/);
  });

  test("shows heart rate, SpO2, blood pressure, rate and alarm of a monitor", () => {
    const [title, line] = texts(tableLines(view({ rows: [row({ alarms: [high] })] }), 140, 10));
    assert.match(
      title ?? "",
      /WARD +DEVICE +ID +HR +SpO2 +BP +MAP +RR +TEMP +AIRWAY\/FLOW +MSG\/S +ALARM/,
    );
    assert.match(
      line ?? "",
      /icu-1 +monitor +3f2a9c1e +78 +97 +121\/79 +93 +16 +36\.9 +2\.0 +!!! SpO2 low/,
    );
  });

  test("shows the airway pressure of a ventilator and the rate of a pump", () => {
    const ventilator = new Map([
      ["MDC_PRESS_AWAY_INSP_PEAK", 22.4],
      ["MDC_PRESS_AWAY_END_EXP_POS", 5.1],
      ["MDC_VENT_RESP_RATE", 15],
    ]);
    assert.match(body({ kind: "ventilator", values: ventilator }), /15 +22\/5 cmH2O/);
    assert.match(
      body({ kind: "pump", values: new Map([["MDC_FLOW_FLUID_PUMP", 12.5]]) }),
      /12\.5 mL\/h/,
    );
  });

  test("shows the most urgent alarm first, told apart without colours too", () => {
    assert.match(body({ alarms: [low, high] }), /!!! SpO2 low +! temperature high/);
    const lines = tableLines(view({ rows: [row({ alarms: [high] })] }), 140, 10);
    assert.ok(painted(lines[1] ?? []).includes("\u001b[1;97;41m !!! SpO2 low \u001b[0m"));
  });

  test("drops columns where the terminal is narrow, vital signs and alarms last", () => {
    for (let width = 20; width <= 200; width += 1) {
      const lines = texts(tableLines(view({ rows: [row({ alarms: [high] })] }), width, 10));
      for (const line of lines) assert.ok(line.length <= width, `${line.length} in ${width}`);
      assert.match(lines[0] ?? "", /^.*HR +SpO2/);
      if (width >= 40) assert.match(lines[1] ?? "", /78 +97 .*!!! SpO2 low/);
    }
    assert.match(
      texts(tableLines(view(), 80, 10))[0] ?? "",
      /WARD +DEVICE +ID +HR +SpO2 +BP +RR +AIRWAY/,
    );
    assert.doesNotMatch(texts(tableLines(view(), 60, 10))[0] ?? "", /AIRWAY|ID/);
  });

  test("keeps the devices in alarm, then those without a connection, where not all fit", () => {
    const rows = Array.from({ length: 9 }, (_, i) => row({ ward: `w${i}` }));
    rows[8] = row({ ward: "alarming", alarms: [high] });
    rows[7] = row({ ward: "away", trouble: "gone" });
    const lines = texts(tableLines(view({ rows }), 140, 4)).join("\n");
    assert.match(lines, /ALARM \(6 more\)/);
    assert.match(lines, /w0.*away.*alarming/s);
    assert.doesNotMatch(texts(tableLines(view({ rows }), 140, 10)).join("\n"), /more/);
  });
});

describe("the head lines", () => {
  test("say that there is no connection, why, and that it is tried again", () => {
    const link = { is: "waiting", why: "refused by the broker" } as const;
    const [first] = texts(headLines(view({ link }), 140));
    assert.match(first ?? "", /no connection for 3 s, trying again: refused by the broker/);
    assert.doesNotMatch(first ?? "", /TLSv1\.3/);
  });

  test("name the TLS version and cipher, the rate and the latency", () => {
    const [first, second] = texts(headLines(view(), 140));
    assert.match(first ?? "", /localhost:8883 +connected +mutual TLSv1\.3 TLS_AES_256_GCM_SHA384/);
    assert.match(
      second ?? "",
      /no alarm +20\.4 msg\/s +latency p50 0\.7 p99 12 ms +1\/1 devices +38\.0 kB\/s +up 1:02:05/,
    );
    assert.match(texts(headLines(view({ latency: undefined }), 140))[1] ?? "", /latency -/);
  });

  test("count the devices in alarm", () => {
    const rows = [row({ alarms: [high, low] }), row({ alarms: [low] }), row()];
    assert.match(texts(headLines(view({ rows }), 140))[1] ?? "", /2 in alarm/);
  });
});

describe("the frame", () => {
  const connect = ["connect your own client:", `mosquitto_sub ${"x".repeat(150)}`];

  test("never is higher than the terminal", () => {
    for (let rows = 1; rows < 40; rows += 1) {
      for (const page of ["ward", "connect"] as const) {
        const lines = frame(
          view({ rows: Array(14).fill(row()) }),
          connect,
          { columns: 80, rows },
          page,
        );
        const height = lines.reduce((sum, line) => sum + line.rows, 0);
        assert.ok(height <= rows, `${page}: ${height} rows of ${rows}`);
      }
    }
  });

  test("shows the facts that fit whole, and none cut", () => {
    const [, whole = ""] = texts(headLines(view(), 200));
    for (let width = 40; width < 140; width += 1) {
      const [, line = ""] = texts(headLines(view(), width));
      const rest = whole.slice(line.length);
      assert.ok(line.length <= width && whole.startsWith(line), line);
      assert.ok(rest === "" || rest.startsWith("   "), line);
    }
  });

  test("shows how to connect below the table, whole, where it fits", () => {
    const text = frameText(frame(view(), connect, { columns: 80, rows: 24 }, "ward"));
    assert.ok(text.includes(connect[1] ?? "?"));
    assert.match(text, /q quit$/);
  });

  test("names the key that shows it where it does not fit", () => {
    const many = view({ rows: Array(14).fill(row()) });
    const text = frameText(frame(many, connect, { columns: 80, rows: 20 }, "ward"));
    assert.match(text, /c connect your own client +q quit$/);
    assert.doesNotMatch(text, /mosquitto_sub/);
    const page = frameText(frame(many, connect, { columns: 80, rows: 20 }, "connect"));
    assert.ok(page.includes(connect[1] ?? "?"));
  });
});

describe("the plain lines", () => {
  test("show the state and one device after the other", () => {
    const rows = [
      row(),
      row({ ward: "icu-2", kind: "pump", values: new Map([["MDC_FLOW_FLUID_PUMP", 5]]) }),
    ];
    assert.equal(
      summaryLine(view({ rows, devices: 2 }), 0),
      "ward: connected mutual TLSv1.3 TLS_AES_256_GCM_SHA384, 1 of 2 devices, 20.4 msg/s, " +
        "latency p50 0.7 p99 12 ms, no alarm, icu-1 monitor 3f2a9c1e HR 78 SpO2 97% BP 121/79 RR 16",
    );
    assert.match(summaryLine(view({ rows }), 1), /icu-2 pump 3f2a9c1e rate 5 mL\/h$/);
    assert.match(summaryLine(view({ rows }), 2), /icu-1 monitor/);
  });

  test("do not show values that are too old", () => {
    assert.match(summaryLine(view({ rows: [row({ staleSeconds: 4 })] }), 0), /no current values$/);
    assert.match(summaryLine(view({ rows: [] }), 0), /no alarm$/);
  });

  test("show an alarm when it is raised and when it ends, without control characters", () => {
    const origin = {
      site: "north",
      ward: "icu-1",
      deviceId: "3f2a9c1e-0",
      channel: "alarm",
    } as const;
    const alarm = {
      stream: "alarm",
      kind: "monitor",
      deviceTime: 0,
      phase: "raised",
      value: 88,
      limit: 90,
      ...high,
    } as const;
    assert.equal(
      alarmLine(origin, alarm),
      "alarm: north/icu-1 monitor 3f2a9c1e !!! SpO2 low 88 (limit 90)",
    );
    assert.match(alarmLine(origin, { ...alarm, phase: "ended" }), /SpO2 low 88 \(ended\)$/);
    assert.match(alarmLine(origin, { ...alarm, text: "\u001b[2J\n" }), /^[\x20-\x7e]*$/);
  });
});
