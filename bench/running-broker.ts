import type { ChildProcess } from "node:child_process";

/** A broker that accepts connections. */
export interface RunningBroker {
  readonly port: number;
  /** The process whose CPU and memory are measured. */
  readonly pid: number;
  /** A process that works beside it; its CPU is reported on its own. */
  readonly beside?: number;
  /** What was started, for the record. */
  readonly command: readonly string[];
  stop(): Promise<void>;
}

/** SIGTERM, after 20 s SIGKILL; returns when the process has ended. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  await ended;
  clearTimeout(timer);
}
