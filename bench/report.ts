import type { LoadResult } from "./generator.ts";
import type { Asked, Figure, Workload } from "./workloads.ts";

/** The results of one workload: for each broker one entry a run, in the order of the runs; undefined where a run failed. */
export type Results = Readonly<Record<string, readonly (LoadResult | undefined)[]>>;

/** One figure of one broker. */
export interface Row {
  readonly workload: string;
  readonly figure: string;
  readonly label: string;
  readonly digits: number;
  readonly broker: string;
  /** Median over the runs. */
  readonly value: number;
  readonly values: readonly number[];
  /** Median over the runs of this broker's figure by the peer's figure of the same run. */
  readonly ratio?: number;
  readonly asked?: string;
  readonly passes?: boolean;
}

/** The broker everything is compared with, and the one the thresholds are meant for. */
export const peer = "mosquitto";
const judged = "wardmq-bun";

/** The middle value; the mean of the two in the middle of an even number; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[middle - 1], sorted[middle]];
  if (high === undefined) return Number.NaN;
  return sorted.length % 2 === 1 || low === undefined ? high : (low + high) / 2;
}

/** The rows of a workload. */
export function rowsOf(workload: Workload, results: Results): Row[] {
  return workload.figures.flatMap((figure) =>
    Object.entries(results).map(([broker, runs]) =>
      rowOf(workload.name, figure, broker, runs, results[peer] ?? []),
    ),
  );
}

function rowOf(
  workload: string,
  figure: Figure,
  broker: string,
  runs: readonly (LoadResult | undefined)[],
  peerRuns: readonly (LoadResult | undefined)[],
): Row {
  const values = runs.flatMap((run) => (run === undefined ? [] : [figure.of(run)]));
  const { key, label, digits } = figure;
  const row = { workload, figure: key, label, digits, broker, value: median(values), values };
  const ratios = runs.flatMap((run, i) => {
    const other = peerRuns[i];
    return run === undefined || other === undefined ? [] : [figure.of(run) / figure.of(other)];
  });
  const ratio = median(ratios);
  const compared = broker === peer || Number.isNaN(ratio) ? row : { ...row, ratio };
  const { asked } = figure;
  const judgedBy = asked?.of === "value" ? row.value : ratio;
  if (asked === undefined || broker !== judged || Number.isNaN(judgedBy)) return compared;
  return { ...compared, asked: askedText(asked), passes: passes(judgedBy, asked) };
}

/** Whether a figure is what is asked; NaN never is. */
export function passes(value: number, asked: Asked): boolean {
  return "atLeast" in asked ? value >= asked.atLeast : value <= asked.atMost;
}

function askedText(asked: Asked): string {
  const bound = "atLeast" in asked ? `>= ${asked.atLeast}` : `<= ${asked.atMost}`;
  return asked.of === "ratio" ? `${bound}x` : bound;
}

/** The rows of one workload as lines of a table: one line a figure and broker. */
export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map((row, i) => [
    rows[i - 1]?.figure === row.figure ? "" : row.label,
    row.broker,
    grouped(row.value, row.digits),
    row.ratio === undefined ? "" : `${row.ratio.toFixed(2)}x`,
    row.asked ?? "",
    row.passes === undefined ? "" : row.passes ? "pass" : "MISS",
  ]);
  const widths = [36, 12, 12, 8, 8, 4];
  const rightAligned = [false, false, true, true, true, false];
  return cells
    .map((line) =>
      line
        .map((cell, i) =>
          rightAligned[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `  ${line}`)
    .join("\n");
}

function grouped(value: number, digits: number): string {
  if (Number.isNaN(value)) return "-";
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** What makes figures of a run doubtful, for people: neighbours on the machine, a generator that is the limit, losses. */
export function doubts(broker: string, result: LoadResult): string[] {
  const others = Number(result["othersBusy"] ?? 0);
  const stolen = Number(result["stolen"] ?? 0);
  const lost = Number(result["lost"] ?? 0);
  return [
    ...(others > 0.2
      ? [`${broker}: other programs used ${others.toFixed(2)} cores meanwhile`]
      : []),
    ...(stolen > 0.05 ? [`${broker}: the host took ${stolen.toFixed(2)} cores meanwhile`] : []),
    ...(result.generatorBusy > 0.95 && result.workload !== "idle"
      ? [
          `${broker}: the load generator was ${Math.round(result.generatorBusy * 100)} % busy, the rate is its limit`,
        ]
      : []),
    ...(result["coresAwake"] === false
      ? [`${broker}: idle cores slept meanwhile (only root on Linux may keep them awake)`]
      : []),
    ...(lost > 0 ? [`${broker}: ${lost} messages did not arrive`] : []),
  ];
}
