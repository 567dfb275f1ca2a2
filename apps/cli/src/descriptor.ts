import { readSync } from "node:fs";
import { systemCode } from "./failure.ts";

const standardInput = 0;
const waitMs = 10;

/**
 * All that comes through a file descriptor, standard input where none is named. On Node a pipe there does not block once
 * `process` was imported whole, as commander does: who writes slowly is waited for here, where readFileSync says EAGAIN.
 */
export function readDescriptor(descriptor: number = standardInput): Buffer {
  const parts: Buffer[] = [];
  const part = Buffer.alloc(64 * 1024);
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      const length = readSync(descriptor, part);
      if (length === 0) return Buffer.concat(parts);
      parts.push(Buffer.from(part.subarray(0, length)));
    } catch (error) {
      if (systemCode(error) !== "EAGAIN") throw error;
      Atomics.wait(sleeper, 0, 0, waitMs);
    }
  }
}
