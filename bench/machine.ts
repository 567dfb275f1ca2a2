import { execFileSync } from "node:child_process";
import { closeSync, openSync, writeSync } from "node:fs";
import { cpus, totalmem } from "node:os";

/** What the figures were measured on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMB: number;
  readonly kernel: string;
}

/** This machine, as far as it matters to figures; neither its name nor its addresses. */
export function thisMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryMB: Math.round(totalmem() / 1024 / 1024),
    kernel: firstLine("uname", ["-sr"]),
  };
}

/** The commit of this repository, with "+changes" when the working tree differs from it. */
export function thisCommit(folder: string): string {
  const commit = firstLine("git", ["-C", folder, "rev-parse", "--short=10", "HEAD"]);
  const changed = firstLine("git", ["-C", folder, "status", "--porcelain", "--untracked-files=no"]);
  return changed === "" || changed === "unknown" ? commit : `${commit}+changes`;
}

/** The first line a command prints, whatever its exit code; "unknown" where it is not installed. */
export function firstLine(command: string, words: readonly string[]): string {
  try {
    return (
      execFileSync(command, words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split(
        "\n",
      )[0] ?? ""
    );
  } catch (error) {
    // `mosquitto -h` prints its version and exits with 3.
    const printed = error instanceof Error && "stdout" in error ? String(error.stdout) : "";
    return printed.split("\n")[0] || "unknown";
  }
}

/**
 * Keeps idle cores awake until it is disposed of, where Linux lets us (root; its "PM QoS" of CPU latency, in µs). A core
 * that sleeps is woken late, on a virtual machine by milliseconds, and the less runs the more of them sleep: what is
 * measured alone would look slower than what is measured beside a flood.
 */
export function keepCoresAwake(): Disposable & { readonly areAwake: boolean } {
  try {
    const request = openSync("/dev/cpu_dma_latency", "w");
    writeSync(request, new Uint8Array(4)); // 0 us, as long as it is open
    return { areAwake: true, [Symbol.dispose]: () => closeSync(request) };
  } catch {
    return { areAwake: false, [Symbol.dispose]: () => {} };
  }
}
