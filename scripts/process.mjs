// Starting programs of this repository: with the bundled runtimes, and ended as a whole.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { whenOrphaned } from "../apps/cli/bin/orphaned.mjs";
import { findRuntime, missingRuntime } from "../apps/cli/bin/runtimes.mjs";

export const repository = fileURLToPath(new URL("..", import.meta.url));
export const programs = { cli: join(repository, "apps/cli/src/main.ts") };

/** The first of these runtimes that is installed: its program and our options. */
export function runtimeCommand(...names) {
  for (const name of names) {
    const runtime = findRuntime(name);
    if (runtime) return [runtime.command, ...runtime.options];
  }
  throw new Error(missingRuntime(names[0]));
}

/** Runs a program that owns the terminal; signals go to it, and its exit code is ours. */
export function runForeground([command, ...args]) {
  const env = { ...process.env, WARDMQ_LAUNCHER: String(process.pid) };
  const child = spawn(command, args, { stdio: "inherit", env });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => child.kill(signal));
  whenOrphaned(() => child.kill("SIGTERM"));
  return ending(child);
}

/**
 * Runs a program in a process group of its own and gives every line of its output to `onLine`. After `limitMs`, or when
 * we are ended, the whole group is killed, so that nothing it started is left.
 */
export async function runGroup([command, ...args], { onLine, limitMs, env = process.env }) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], detached: true, env });
  const kill = () => killGroup(child.pid);
  const stop = (signal) => {
    kill();
    process.exit(128 + constants.signals[signal]);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop);
  whenOrphaned(() => stop("SIGTERM"));
  const result = { code: 1, timedOut: false };
  const timer = setTimeout(
    () => {
      result.timedOut = true;
      kill();
    },
    Math.max(limitMs, 1),
  );
  for (const stream of [child.stdout, child.stderr]) eachLine(stream, onLine);
  result.code = await ending(child);
  clearTimeout(timer);
  kill(); // what it left behind
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.off(signal, stop);
  return result;
}

/** Kills a process group, and those its members lead: Bun gives each worker of its tests one of its own. */
function killGroup(pid) {
  for (const child of childrenOf(pid)) killGroup(child);
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nobody is left in it.
  }
}

function childrenOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
  } catch {
    return []; // It has ended, or this is not Linux.
  }
}

function eachLine(stream, onLine) {
  let text = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk) => {
    const lines = (text + chunk).split("\n");
    text = lines.pop();
    for (const line of lines) onLine(line);
  });
  stream.on("end", () => {
    if (text !== "") onLine(text);
  });
}

function ending(child) {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    // "exit" and not "close": a program it left behind may hold the pipes open.
    child.on("exit", (code, signal) => {
      setTimeout(() => resolve(signal ? 128 + constants.signals[signal] : code), 50);
    });
  });
}
