import { printable } from "@wardmq/events";
import type { Row, View } from "./board.ts";
import type { Priority } from "./quantities.ts";
import { quantities } from "./quantities.ts";
import { cut, type Line, type Style, span } from "./text.ts";

interface Column {
  readonly title: string;
  /** Without one the column is as wide as what stands in it. */
  readonly width?: number;
  readonly align: "left" | "right";
  /** The column with the highest number goes first where the terminal is narrow. */
  readonly droppedAt: number;
  readonly cell: (row: Row) => string;
}

const { monitor, ventilator, pump } = quantities;

const columns: readonly Column[] = [
  { title: "SITE", align: "left", droppedAt: 10, cell: ({ site }) => site },
  { title: "WARD", align: "left", droppedAt: 5, cell: ({ ward }) => ward },
  { title: "DEVICE", width: 10, align: "left", droppedAt: 1, cell: ({ kind }) => kind ?? "?" },
  { title: "ID", width: 8, align: "left", droppedAt: 4, cell: ({ deviceId }) => deviceId },
  { title: "HR", width: 3, align: "right", droppedAt: 0, cell: value(monitor.heartRate.code) },
  { title: "SpO2", width: 4, align: "right", droppedAt: 0, cell: value(monitor.spo2.code) },
  { title: "BP", width: 7, align: "right", droppedAt: 2, cell: bloodPressure },
  { title: "MAP", width: 3, align: "right", droppedAt: 9, cell: value(monitor.meanPressure.code) },
  { title: "RR", width: 3, align: "right", droppedAt: 3, cell: respirationRate },
  {
    title: "TEMP",
    width: 4,
    align: "right",
    droppedAt: 8,
    cell: value(monitor.temperature.code, 1),
  },
  { title: "AIRWAY/FLOW", width: 11, align: "right", droppedAt: 6, cell: airwayOrFlow },
  {
    title: "MSG/S",
    width: 5,
    align: "right",
    droppedAt: 7,
    cell: ({ messagesPerSecond: n }) => n.toFixed(1),
  },
];

const noteWidth = 20;
const widestName = 12;

interface Layout {
  readonly columns: readonly (Column & { readonly width: number })[];
  readonly gap: string;
}

/** The columns that fit, leaving room for the alarms. */
function layoutFor(rows: readonly Row[], width: number): Layout {
  const gap = width < 100 ? 1 : 2;
  let shown = columns.map((column) => ({ ...column, width: column.width ?? widest(column, rows) }));
  const needed = () => shown.reduce((sum, column) => sum + column.width + gap, noteWidth);
  while (needed() > width) {
    const last = Math.max(...shown.map(({ droppedAt }) => droppedAt));
    if (last === 0) break;
    shown = shown.filter(({ droppedAt }) => droppedAt !== last);
  }
  return { columns: shown, gap: " ".repeat(gap) };
}

const widest = ({ title, cell }: Column, rows: readonly Row[]): number =>
  Math.min(widestName, Math.max(title.length, ...rows.map((row) => cell(row).length)));

/** The head lines: what is connected how, and how much and how fast it goes. */
export function headLines(view: View, width: number): readonly Line[] {
  const { link, address, linkSeconds } = view;
  const alarming = view.rows.filter(({ alarms }) => alarms.length > 0).length;
  const state =
    link.is === "open"
      ? [span("connected", "good"), span(`  ${link.how}`)]
      : link.is === "connecting"
        ? [span("connecting", "medium")]
        : [span(` no connection for ${linkSeconds} s, trying again: ${link.why} `, "medium")];
  const facts = [
    `${view.messagesPerSecond.toFixed(1)} msg/s`,
    latencyText(view),
    `${view.devicesConnected}/${view.devices} devices`,
    `${(view.bytesPerSecond / 1_000).toFixed(1)} kB/s`,
    ...(view.unreadable > 0 ? [`${view.unreadable} unreadable`] : []),
    duration(view.upSeconds),
  ];
  const alarms = span(
    alarming === 0 ? "no alarm" : ` ${alarming} in alarm `,
    alarming === 0 ? "good" : worst(view.rows.flatMap((row) => row.alarms.map((a) => a.priority))),
  );
  return [
    cut([span("WardMQ ", "bold"), span(`${address}  `), ...state], width),
    cut([alarms, span("  "), span(fitting(facts, width - alarms.text.length - 2))], width),
  ];
}

/** As many facts as fit whole, from the first. */
function fitting(facts: readonly string[], width: number): string {
  const first = (count: number) => facts.slice(0, count).join("   ");
  const over = facts.findIndex((_, i) => first(i + 1).length > width);
  return first(over < 0 ? facts.length : over);
}

/** The table: a title and at most `height - 1` devices, those in alarm first where not all fit. */
export function tableLines(view: View, width: number, height: number): readonly Line[] {
  const { columns: shown, gap } = layoutFor(view.rows, width);
  const rows = chosenRows(view.rows, height - 1);
  const hidden = view.rows.length - rows.length;
  const title = shown.map((column) => fit(column.title, column) + gap).join("");
  return [
    cut([span(`${title}${hidden > 0 ? `ALARM (${hidden} more)` : "ALARM"}`, "bold")], width),
    ...rows.map((row) => cut(rowLine(row, { columns: shown, gap }), width)),
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

function rowLine(row: Row, layout: Layout): Line {
  const isStale = row.staleSeconds !== undefined || row.trouble !== undefined;
  const cells = layout.columns.map((column) => fit(column.cell(row), column) + layout.gap).join("");
  return [span(cells, isStale ? "dim" : "plain"), ...notes(row)];
}

function notes({ alarms, trouble, staleSeconds }: Row): Line {
  const shown = [...alarms]
    .sort((a, b) => rank(a.priority) - rank(b.priority))
    .flatMap(({ text, priority }) => [span(` ${alarmText(text, priority)} `, priority), span(" ")]);
  const problem = trouble ?? (staleSeconds === undefined ? "" : `silent for ${staleSeconds} s`);
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

function fit(text: string, { width, align }: Layout["columns"][number]): string {
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
  const systolic = value(monitor.systolic.code)(row);
  const diastolic = value(monitor.diastolic.code)(row);
  return systolic && diastolic ? `${systolic}/${diastolic}` : "";
}

function respirationRate(row: Row): string {
  return value(monitor.respirationRate.code)(row) || value(ventilator.respirationRate.code)(row);
}

function airwayOrFlow(row: Row): string {
  const peak = value(ventilator.peakPressure.code)(row);
  const peep = value(ventilator.peep.code)(row);
  const rate = value(pump.rate.code, 1)(row);
  if (row.staleSeconds !== undefined) return peak || rate;
  return peak ? `${peak}/${peep} cmH2O` : rate && `${rate} mL/h`;
}
