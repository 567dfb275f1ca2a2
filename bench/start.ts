import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { RegistryFigure } from "./registry.ts";

/** What a broker finds at its start, and how long it may take. */
const stores = [
  { name: "100,000 sessions", devices: 100_000, messages: 0, askedMs: 5_000 },
  { name: "1,000,000 messages", devices: 100, messages: 1_000_000, askedMs: undefined },
] as const;

/** Prints and gives what a broker's start costs that finds much in its store. */
export function measureStart(
  folder: string,
  runtimes: Readonly<Record<string, string>>,
  print: (line: string) => void,
): readonly RegistryFigure[] {
  return stores.flatMap(({ name, devices, messages, askedMs }) => {
    mkdirSync(folder, { recursive: true });
    const words = [folder, `${devices}`, `${messages}`];
    const run = (program: string, what: "fill" | "start") =>
      execFileSync(program, [join(import.meta.dirname, "store-start.ts"), what, ...words], {
        encoding: "utf8",
      });
    run(process.execPath, "fill");
    const asked = askedMs === undefined ? "" : `at most ${askedMs}`;
    const figures = Object.entries(runtimes).flatMap(([runtime, program]) => {
      const { milliseconds, megabytes } = JSON.parse(run(program, "start"));
      print(
        `start on ${runtime}: ${name} in ${Math.round(milliseconds)} ms, ${Math.round(megabytes)} MB${asked && ` (asked: ${askedMs} ms)`}`,
      );
      return [
        { figure: `start, ${name}`, runtime, value: milliseconds, unit: "ms", asked } as const,
        { figure: `memory, ${name}`, runtime, value: megabytes, unit: "MB", asked: "" } as const,
      ];
    });
    rmSync(folder, { recursive: true, force: true });
    return figures;
  });
}
