import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { compiler, openSslHeaders, requirePackages } from "./system-packages.ts";

/** What the load generator prints: the fields every workload has, and others by name. */
export type LoadResult = Readonly<Record<string, unknown>> & {
  readonly workload: string;
  readonly seconds: number;
  readonly generatorBusy: number;
};

/** The number at a path such as `latencyMs.p99` of a result. */
export function numberAt(result: LoadResult, path: string): number {
  const value = path
    .split(".")
    .reduce<unknown>(
      (at, key) => (typeof at === "object" && at !== null ? Reflect.get(at, key) : undefined),
      result,
    );
  if (typeof value !== "number")
    throw new Error(`the load generator's result of ${result.workload} has no number ${path}`);
  return value;
}

const sources = join(import.meta.dirname, "load");
const program = join(import.meta.dirname, "..", "build", "load");

/** Compiles the load generator when it is older than its sources, and returns its path. */
export function loadGenerator(report: (line: string) => void): string {
  const files = readdirSync(sources)
    .filter((name) => /\.[ch]$/.test(name))
    .map((name) => join(sources, name));
  const newest = Math.max(...files.map((file) => statSync(file).mtimeMs));
  if (existsSync(program) && statSync(program).mtimeMs > newest) return program;
  requirePackages([compiler, openSslHeaders], report);
  mkdirSync(join(program, ".."), { recursive: true });
  const units = files.filter((file) => file.endsWith(".c"));
  execFileSync(
    "cc",
    ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-o", program, ...units, "-lssl", "-lcrypto"],
    {
      stdio: "inherit",
      timeout: 120_000,
    },
  );
  return program;
}

/** Runs one workload to its end. */
export function runLoad(
  path: string,
  words: readonly string[],
  timeoutMs: number,
): Promise<LoadResult> {
  return new Promise((resolve, reject) => {
    execFile(path, words, { timeout: timeoutMs, encoding: "utf8" }, (error, stdout, stderr) => {
      const said = stderr.trim();
      if (error === null) resolve(JSON.parse(stdout) as LoadResult);
      else if (error.killed)
        reject(new Error(`load ${words[0]} did not end within ${timeoutMs / 1000} s`));
      else reject(new Error(said === "" ? error.message : said));
    });
  });
}
