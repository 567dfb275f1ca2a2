import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { type LoadResult, numberAt } from "./generator.ts";

const readyMs = 60_000;
/** It is ended as soon as the measurement beside it is. */
const atMostSeconds = 300;
const tokensPerSecond = 5_000;

/** Measures once more beside a flood of bad tokens; gives that result with how it compares with the first. */
export async function besideFlood(
  quiet: LoadResult,
  generator: string,
  words: readonly string[],
  measure: () => Promise<LoadResult>,
): Promise<LoadResult> {
  const length = ["--seconds", `${atMostSeconds}`, "--rate", `${tokensPerSecond}`];
  // It gives way to what is measured: it stands for 1,000 other machines, and uses the cores of this one.
  const child = spawn("nice", ["-n", "5", generator, "flood", ...words, ...length], {
    stdio: ["ignore", "pipe", "inherit"],
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
    const flood = JSON.parse(last) as LoadResult;
    const badTokensPerSecond = numberAt(flood, "inPerSecond");
    const cpuPerSecond = (result: LoadResult) =>
      numberAt(result, "brokerCpuSeconds") / result.seconds;
    const quietP99 = numberAt(quiet, "latencyMs.p99");
    return {
      ...flooded,
      quietP99,
      p99Factor: numberAt(flooded, "latencyMs.p99") / quietP99,
      badTokensPerSecond,
      floodConnections: numberAt(flood, "open"),
      floodGeneratorBusy: flood.generatorBusy,
      cpuMicrosPerBadToken:
        ((cpuPerSecond(flooded) - cpuPerSecond(quiet)) * 1e6) / badTokensPerSecond,
    };
  } finally {
    clearTimeout(timer);
    child.kill("SIGKILL");
  }
}
