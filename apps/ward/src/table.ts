import { printable } from "@wardmq/events";
import type { Row, View } from "./board.ts";
import type { Priority } from "./quantities.ts";
import { quantities } from "./quantities.ts";
import { cut, type Line, type Style, span } from "./text.ts";

interface Column {
  readonly title: string;
  readonly width: number;
  readonly align: "left" | "right";
  /** The column with the highest number goes first where the terminal is narrow. */
  readonly droppedAt: number;
  readonly cell: (row: Row) => string;
}

const { monitor, ventilator, pump } = quantities;

const columns: readonly Column[] = [
  { title: "SITE", width: 10, align: "left", droppedAt: 9, cell: ({ site }) => site },
  { title: "WARD", width: 8, align: "left", droppedAt: 5, cell: ({ ward }) => ward },
  { title: "DEVICE", width: 10, align: "left", droppedAt: 1, cell: ({ kind }) => kind ?? "?" },
  { title: "ID", width: 8, align: "left", droppedAt: 4, cell: ({ deviceId }) => deviceId },
  { title: "HR", width: 3, align: "right", droppedAt: 0, cell: value(monitor.heartRate.code) },
  { title: "SpO2", width: 4, align: "right", droppedAt: 0, cell: value(monitor.spo2.code) },
  { title: "BP mmHg", width: 12, align: "right", droppedAt: 2, cell: bloodPressure },
  {
    title: "RR",
    width: 3,
    align: "right",
    droppedAt: 3,
    cell: (row) =>
      value(monitor.respirationRate.code)(row) || value(ventilator.respirationRate.code)(row),
  },
  {
    title: "TEMP",
    width: 4,
    align: "right",
    droppedAt: 8,
    cell: value(monitor.temperature.code, 1),
  },
  { title: "AIRWAY/FLOW", width: 16, align: "right", droppedAt: 6, cell: airwayOrFlow },
  {
    title: "MSG/S",
    width: 5,
    align: "right",
    droppedAt: 7,
    cell: ({ messagesPerSecond }) => messagesPerSecond.toFixed(1),
  },
];

const gap = 2;
const noteWidth = 22;

/** The columns that fit, leaving room for the alarms. */
function columnsFor(width: number): readonly Column[] {
  let shown = columns;
  const needed = () => shown.reduce((sum, column) => sum + column.width + gap, noteWidth);
  while (needed() > width) {
    const last = Math.max(...shown.map(({ droppedAt }) => droppedAt));
    if (last === 0) break;
    shown = shown.filter(({ droppedAt }) => droppedAt !== last);
  }
  return shown;
}

/** The head lines: what is connected how, and how much and how fast it goes. */
export function headLines(view: View, width: number): readonly Line[] {
  const { link, address, linkSeconds } = view;
  const alarming = view.rows.filter(({ alarms }) => alarms.length > 0).length;
  const state =
    link.is === "open"
      ? [span("connected", "good"), span(`  ${link.tls}, both sides with certificates`)]
      : link.is === "connecting"
        ? [span("connecting", "medium")]
        : [span(` no connection for ${linkSeconds} s: ${link.why}; trying again `, "medium")];
  const facts = [
    `${view.devicesConnected} of ${view.devices} devices connected`,
    `${view.messagesPerSecond.toFixed(1)} msg/s`,
    `${(view.bytesPerSecond / 1_000).toFixed(1)} kB/s`,
    latencyText(view),
    ...(view.unreadable > 0 ? [`${view.unreadable} unreadable`] : []),
    duration(view.upSeconds),
  ];
  const alarms = span(
    alarming === 0 ? "no alarm" : ` ${alarming} in alarm `,
    alarming === 0 ? "good" : worst(view.rows.flatMap((row) => row.alarms.map((a) => a.priority))),
  );
  return [
    cut([span("WardMQ ", "bold"), span(`${address}  `), ...state], width),
    cut([alarms, span("  "), span(facts.join("   "))], width),
  ];
}

/** The table: a title and at most `height - 1` devices, those in alarm first where not all fit. */
export function tableLines(view: View, width: number, height: number): readonly Line[] {
  const shown = columnsFor(width);
  const rows = chosenRows(view.rows, height - 1);
  const hidden = view.rows.length - rows.length;
  const title = shown.map((column) => fit(column.title, column) + " ".repeat(gap)).join("");
  return [
    cut(
      [span(`${title}${hidden > 0 ? `ALARM (${hidden} devices not shown)` : "ALARM"}`, "bold")],
      width,
    ),
    ...rows.map((row) => cut(rowLine(row, shown), width)),
  ];
}

function chosenRows(rows: readonly Row[], room: number): readonly Row[] {
  if (rows.length <= room) return rows;
  const urgency = ({ alarms, trouble }: Row) =>
    alarms.length > 0
      ? rank(worst(alarms.map(({ priority }) => priority)))
      : trouble === undefined
        ? 4
        : 3;
  const chosen = new Set(
    [...rows].sort((a, b) => urgency(a) - urgency(b)).slice(0, Math.max(0, room)),
  );
  return rows.filter((row) => chosen.has(row));
}

function rowLine(row: Row, shown: readonly Column[]): Line {
  const isStale = row.staleSeconds !== undefined || row.trouble !== undefined;
  const cells = shown.map((column) => fit(column.cell(row), column) + " ".repeat(gap)).join("");
  return [span(cells, isStale ? "dim" : "plain"), ...notes(row)];
}

function notes({ alarms, trouble, staleSeconds }: Row): Line {
  const shown = [...alarms]
    .sort((a, b) => rank(a.priority) - rank(b.priority))
    .flatMap(({ text, priority }) => [span(` ${alarmText(text, priority)} `, priority), span(" ")]);
  const silence = staleSeconds === undefined ? "" : `silent for ${staleSeconds} s`;
  const problem = [silence, trouble].filter(Boolean).join(", ");
  return [...shown, ...(problem === "" ? [] : [span(problem, "dim")])];
}

/** The priority in characters too, for whoever does not see the colour. */
export const alarmText = (text: string, priority: Priority): string =>
  `${{ high: "!!!", medium: "!!", low: "!" }[priority]} ${printable(text, 40)}`;

/** p50 and p99 in words. */
export function latencyText({ latency }: View): string {
  if (latency === undefined) return "latency -";
  return `latency p50 ${milliseconds(latency.p50)} p99 ${milliseconds(latency.p99)} ms`;
}

const milliseconds = (ms: number): string => (ms < 10 ? ms.toFixed(1) : ms.toFixed(0));

const duration = (seconds: number): string =>
  `up ${Math.floor(seconds / 3_600)}:${String(Math.floor(seconds / 60) % 60).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`;

const rank = (priority: Style): number => ["high", "medium", "low"].indexOf(priority);

function worst(priorities: readonly Priority[]): Priority {
  return [...priorities].sort((a, b) => rank(a) - rank(b))[0] ?? "low";
}

function fit(text: string, { width, align }: Column): string {
  const safe = printable(text).slice(0, width);
  return align === "left" ? safe.padEnd(width) : safe.padStart(width);
}

/** A value as text; one that is too old to be the patient's is never shown. */
function value(code: string, digits = 0): (row: Row) => string {
  return ({ values, staleSeconds }) => {
    const number = values.get(code);
    if (number === undefined) return "";
    return staleSeconds === undefined ? number.toFixed(digits) : "--";
  };
}

export function bloodPressure(row: Row): string {
  const [systolic, diastolic, mean] = [
    monitor.systolic,
    monitor.diastolic,
    monitor.meanPressure,
  ].map(({ code }) => value(code)(row));
  if (!systolic || !diastolic) return "";
  return mean ? `${systolic}/${diastolic} (${mean})` : `${systolic}/${diastolic}`;
}

function airwayOrFlow(row: Row): string {
  const peak = value(ventilator.peakPressure.code)(row);
  if (peak) return `${peak}/${value(ventilator.peep.code)(row)} cmH2O`;
  const rate = value(pump.rate.code, 1)(row);
  return rate ? `${rate} mL/h` : "";
}
