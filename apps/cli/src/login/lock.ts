import { closeSync, openSync, rmSync, statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { printable } from "@wardmq/events";
import { Failure, systemCode } from "../failure.ts";

/** Who holds it this long is gone: two questions to an identity provider take 20 s at most. */
const longestMs = 30_000;
const pauseMs = 50;

/** Runs `act` while no other wardmq does so for this file; what others wrote before is there for it to read. */
export async function whileLocked<T>(file: string, act: () => Promise<T>): Promise<T> {
  const lock = `${file}.lock`;
  for (const end = Date.now() + 2 * longestMs; !take(lock); await delay(pauseMs)) {
    if (Date.now() > end) {
      const message = `another wardmq does not let go of ${printable(lock, 1000)}`;
      throw new Failure(1, message, "end it, or remove this file");
    }
  }
  try {
    return await act();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** False while another has it; one that was left behind is removed. */
function take(lock: string): boolean {
  try {
    closeSync(openSync(lock, "wx", 0o600));
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code !== "EEXIST") {
      const message = `cannot write ${printable(lock, 1000)}: ${code ?? "not writable"}`;
      throw new Failure(2, message, "keep the profile in a folder of your own");
    }
  }
  const madeAt = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
  if (Math.abs(Date.now() - madeAt) > longestMs) rmSync(lock, { force: true });
  return false;
}
