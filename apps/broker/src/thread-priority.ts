import { readdirSync, readFileSync } from "node:fs";
import { getPriority, setPriority } from "node:os";

/** How much nicer than the event loop a thread is that gives way to it; 19 is the most Linux has. */
const giveWayBy = 10;
const nicest = 19;

/** Has a thread of this process give way to the one that serves MQTT; by default the one that calls. */
export function giveWay(thread = 0): void {
  // Elsewhere that is the priority of the process, and not of a thread.
  if (process.platform !== "linux") return;
  try {
    setPriority(thread, Math.min(nicest, getPriority(process.pid) + giveWayBy));
  } catch {
    // It has ended, or a sandbox does not let us: what gives way is only faster.
  }
}

/**
 * Has the threads that the runtime starts by itself give way to the event loop: its compilers, collectors and pools. A
 * compiler that runs for 5 ms where the event loop was to run next is the p99 of everybody. Our own threads, named
 * after Worker by both runtimes, say themselves what they are.
 */
export class RuntimeThreads {
  #known: ReadonlySet<string> = new Set();

  /** They come and go: to be called now and then. */
  look(): void {
    const threads = threadsOf();
    for (const thread of threads) {
      if (this.#known.has(thread) || Number(thread) === process.pid) continue;
      if (!nameOf(thread).startsWith("Worker")) giveWay(Number(thread));
    }
    this.#known = new Set(threads);
  }
}

function threadsOf(): readonly string[] {
  try {
    return readdirSync("/proc/self/task");
  } catch {
    return []; // no Linux, or no /proc
  }
}

function nameOf(thread: string): string {
  try {
    return readFileSync(`/proc/self/task/${thread}/comm`, "utf8");
  } catch {
    return ""; // it has ended
  }
}
