#!/usr/bin/env node
// The command `wardmq`: finds a runtime that can run src/main.ts and hands everything over to it. Any Node from 16 runs this.
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { whenOrphaned } from "./orphaned.mjs";
import { findRuntime, missingRuntime } from "./runtimes.mjs";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const runtime = findRuntime("bun") || findRuntime("node");

if (process.execArgv.length > 0) {
  fail(2, `runs without options of the runtime; leave out ${process.execArgv.join(" ")}`);
} else if (!runtime) {
  fail(1, missingRuntime("bun"));
} else {
  const env = { ...process.env, WARDMQ_LAUNCHER: String(process.pid) };
  const args = [...runtime.options, main, ...process.argv.slice(2)];
  const child = spawn(runtime.command, args, { stdio: handedOver(), env });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => child.kill(signal));
  whenOrphaned(() => child.kill("SIGTERM"));
  child.on("error", (error) => fail(1, `could not start ${runtime.command}: ${error.message}`));
  child.on("exit", (code, signal) => {
    process.exitCode = signal ? 128 + constants.signals[signal] : code;
  });
}

/** The terminal, and of other descriptors those that a passphrase waits on. */
function handedOver() {
  const words = process.argv.slice(2);
  const options = ["--passphrase-fd", "--new-passphrase-fd"];
  const given = words.filter((_, i) => options.includes(words[i - 1]));
  const named = [process.env.WARDMQ_PASSPHRASE_FD, ...given];
  const stdio = ["inherit", "inherit", "inherit"];
  for (const descriptor of named.map(Number).filter((one) => one > 2 && one < 10)) {
    while (stdio.length < descriptor) stdio.push("ignore");
    stdio[descriptor] = descriptor;
  }
  return stdio;
}

function fail(exitCode, sentence) {
  process.stderr.write(`wardmq: ${sentence}\n`);
  process.exitCode = exitCode;
}
