import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Deployment } from "./deployment.ts";
import { type LoadResult, numberAt } from "./generator.ts";
import { cleanEnvironment } from "./wardmq.ts";

const readyMs = 60_000;

/** Measures once more beside a flood of bad tokens; gives that result with how it compares with the first. */
export async function besideFlood(
  quiet: LoadResult,
  port: number,
  { token, service }: Deployment,
  measure: () => Promise<LoadResult>,
): Promise<LoadResult> {
  const words = [join(import.meta.dirname, "flood.ts"), `${port}`, token, join(service, "ca.pem")];
  // It gives way to what is measured: it stands for 1,000 other machines, and uses the cores of this one.
  const child = spawn("nice", ["-n", "5", process.execPath, ...words], {
    stdio: ["ignore", "pipe", "inherit"],
    env: cleanEnvironment,
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const timer = setTimeout(() => child.kill("SIGKILL"), readyMs);
  try {
    const { value } = await lines.next();
    clearTimeout(timer);
    if (value !== "ready") throw new Error("the flood of tokens did not begin");
    const flooded = await measure();
    child.kill("SIGTERM");
    const { value: last = "{}" } = await lines.next();
    const { perSecond, open } = JSON.parse(last) as { perSecond: number; open: number };
    const quietP99 = numberAt(quiet, "latencyMs.p99");
    const p99Factor = numberAt(flooded, "latencyMs.p99") / quietP99;
    const flood = { badTokensPerSecond: perSecond, floodConnections: open };
    return { ...flooded, quietP99, p99Factor, ...flood };
  } finally {
    clearTimeout(timer);
    child.kill("SIGKILL");
  }
}
