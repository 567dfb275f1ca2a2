import { execFile, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { endProcess } from "./running-broker.ts";
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

/** A load generator that is told when, and says things in lines. */
export interface Led extends AsyncDisposable {
  begin(): void;
  end(): void;
  /** The next line; rejects when none comes in time. */
  line(withinMs: number): Promise<LoadResult>;
}

/** Floods give way to what is measured: they stand for other machines, and use the cores of this one. */
export function leadLoad(
  generator: string,
  words: readonly string[],
  priority: "as others" | "last" = "last",
): Led {
  const nice = priority === "last" ? ["nice", "-n", "19"] : [];
  const [program = generator, ...rest] = [...nice, generator, ...words];
  const child = spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    errors = (errors + chunk).slice(-4_096);
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    begin: () => child.kill("SIGUSR1"),
    end: () => child.kill("SIGTERM"),
    line: async (withinMs) => {
      const timer = setTimeout(() => child.kill("SIGKILL"), withinMs);
      const { value } = await lines.next();
      clearTimeout(timer);
      if (typeof value === "string") return JSON.parse(value) as LoadResult;
      throw new Error(
        errors.trim() || `load ${words[0]} ended, or said nothing within ${withinMs / 1000} s`,
      );
    },
    [Symbol.asyncDispose]: () => endProcess(child),
  };
}
