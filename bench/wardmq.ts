import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { endProcess, type RunningBroker } from "./running-broker.ts";

/** How the command `wardmq` of this repository is started. */
export const cliProgram = {
  command: process.execPath,
  words: [join(import.meta.dirname, "..", "apps", "cli", "bin", "wardmq.mjs")],
} as const;

/** WardMQ refuses to start where a variable could weaken TLS; a benchmark needs none of the caller's. */
export const cleanEnvironment: NodeJS.ProcessEnv = { PATH: process.env["PATH"], LANG: "C.UTF-8" };

/**
 * The only limits that the load would meet: a benchmark is one service with thousands of connections and no pause. Every
 * other one keeps its default, and policy and events are on.
 */
export const limitsForLoad: readonly string[] = [
  "limits.connectionsPerSubject.service=5000",
  "limits.messagesPerSecond.service=10000000",
  "limits.bytesPerSecond.service=10000000000",
];

/** This one too, where what is measured is not what a broker refuses. */
export const acceptsForLoad = "limits.acceptsPerSecond=100000";

/** `wardmq serve` on free ports. */
export async function serveWardmq(
  directory: string,
  runtime: "bun" | "node",
  sets: readonly string[],
): Promise<RunningBroker> {
  const overrides = sets.flatMap((set) => ["--set", set]);
  const words = [
    "serve",
    directory,
    "--runtime",
    runtime,
    ...["mqtts", "wss", "est", "api"].flatMap((name) => [`--${name}`, "0"]),
    ...overrides,
  ];
  const child = spawn(cliProgram.command, [...cliProgram.words, ...words], {
    stdio: ["ignore", "pipe", "pipe"],
    env: cleanEnvironment,
  });
  let printed = "";
  let errors = "";
  const port = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGTERM");
      reject(
        new Error(`wardmq serve --runtime ${runtime} was not ready within 30 s: ${errors.trim()}`),
      );
    }, 30_000);
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      errors = (errors + chunk).slice(-4_096);
    });
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      printed = (printed + chunk).slice(-4_096);
      const ready = /^ready mqtts:\/\/\S*?:(\d+)\s/m.exec(printed);
      if (ready === null) return;
      clearTimeout(timer);
      resolve(Number(ready[1]));
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`wardmq serve --runtime ${runtime} ended with ${code}: ${errors.trim()}`));
    });
  });
  const pidOf = (part: string) =>
    Number(readFileSync(join(directory, "run", `${part}.pid`), "utf8"));
  return {
    port,
    pid: pidOf("broker"),
    beside: pidOf("control"),
    command: ["wardmq", ...words],
    stop: () => endProcess(child),
  };
}
