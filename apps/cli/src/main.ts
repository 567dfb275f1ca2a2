import { writeFileSync } from "node:fs";
import { printable } from "@wardmq/events";
import { CommanderError } from "commander";
import { Failure } from "./failure.ts";
import { program } from "./program.ts";

/** Runs the command line; gives the exit code: 0 done, 1 refused or failed, 2 wrong input or configuration. */
async function main(): Promise<number> {
  try {
    await program.parseAsync(process.argv);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // its sentence is written already
    if (error instanceof Failure) {
      const hint = error.hint === "" ? "" : `; ${error.hint}`;
      process.stderr.write(`wardmq: ${error.message}${hint}\n`);
      return error.exitCode;
    }
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`wardmq: a mistake of wardmq itself: ${printable(message, 500)}\n`);
    if (process.env["WARDMQ_DEBUG"]) console.error(error);
    return 1;
  }
}

/**
 * A core dump would hold keys, passphrases and messages in the clear. Whoever writes one of us or of what we start, a handler
 * behind a pipe too, which no limit holds back, finds no memory in it (Linux, core(5)).
 */
function keepMemoryOutOfCoreDumps(): void {
  try {
    writeFileSync("/proc/self/coredump_filter", "0");
  } catch {
    // no Linux, or a kernel that writes no core dumps
  }
}

keepMemoryOutOfCoreDumps();

// A reader that went away (`wardmq list | head -1`, a terminal that was closed) ends nothing: what runs has to end in order.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

process.exitCode = await main();
