import { readFileSync, writeFileSync } from "node:fs";
import type { Row } from "./report.ts";

/** What a benchmark wrote to bench/results, as far as the documentation shows it. */
export interface BenchRecord {
  readonly date: string;
  readonly commit: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly kernel: string };
  readonly versions: Readonly<Record<string, string>>;
  readonly options: { readonly runs: number; readonly seconds: number; readonly mqtt: string };
  readonly workloads: readonly { readonly name: string; readonly rows: readonly Row[] }[];
}

const begin = "<!-- results: written by `npm run bench -- --document` -->";
const end = "<!-- end of results -->";

/** Puts the record's table between the two marks of a document. */
export function documentResults(file: string, record: BenchRecord): void {
  const text = readFileSync(file, "utf8");
  const [before, rest] = text.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) {
    throw new Error(`${file} has lost its marks "${begin}" and "${end}"`);
  }
  writeFileSync(file, `${before}${begin}\n\n${resultsSection(record)}\n\n${end}${after}`);
}

/** Machine, commit and versions, and a table with a line for each figure, in Markdown. */
export function resultsSection({
  date,
  commit,
  machine,
  versions,
  options,
  workloads,
}: BenchRecord): string {
  const figures = workloads.flatMap(({ rows }) =>
    Map.groupBy(rows, ({ label }) => label)
      .values()
      .toArray(),
  );
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.kernel}; ${date.slice(0, 10)}, commit ${commit}; ${Object.values(versions).join(", ")}.`,
    `Medians of ${options.runs} runs of ${options.seconds} s, MQTT ${options.mqtt === "5" ? "5.0" : "3.1.1"}; in brackets the ratio to Mosquitto in the same run.`,
    "",
    "| load | figure | WardMQ on Bun | WardMQ on Node | Mosquitto | asked | |",
    "|---|---|---:|---:|---:|---:|---|",
    ...figures.map(figureLine),
  ].join("\n");
}

function figureLine(rows: readonly Row[]): string {
  const of = (broker: string) => rows.find((row) => row.broker === broker);
  const judged = of("wardmq-bun");
  const verdict = judged?.passes === undefined ? "" : judged.passes ? "pass" : "miss";
  return `| ${[
    rows[0]?.workload,
    rows[0]?.label,
    ...["wardmq-bun", "wardmq-node", "mosquitto"].map((broker) => cell(of(broker))),
    judged?.asked ?? "",
    verdict,
  ].join(" | ")} |`;
}

function cell(row: Row | undefined): string {
  if (row === undefined || Number.isNaN(row.value)) return "";
  const value = row.value.toLocaleString("en-US", {
    minimumFractionDigits: row.digits,
    maximumFractionDigits: row.digits,
  });
  return row.ratio === undefined ? value : `${value} (${row.ratio.toFixed(2)}x)`;
}
