import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { printable } from "@wardmq/events";
import { replaceFile } from "@wardmq/keys";
import type { Runtime } from "../bin/runtimes.mjs";
import { minimalEnvironment } from "./environment.ts";
import { systemCode } from "./failure.ts";
import { passphraseFor } from "./keys.ts";

export type PartName = "control" | "broker";

/** How a child ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running control or broker. */
export interface Part {
  readonly name: PartName;
  readonly pid: number;
  /** The object behind its line `ready`; undefined when it ended before. */
  readonly ready: Promise<unknown>;
  readonly ended: Promise<Ending>;
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL when it takes longer; tells whether it ended by itself. */
  end(patienceMs: number): Promise<boolean>;
}

/** A core dump would hold keys, and messages that wait, in the clear: neither part may write one, or allow it again. */
const withoutCore = ["-c", 'ulimit -c 0 && unset PWD && exec "$0" "$@"'] as const;

/**
 * Starts a part in the current folder. It gets a process group of its own, so that Ctrl-C in a terminal reaches only
 * the supervisor and the order of ending stays the supervisor's; its standard input is a pipe that closes with us.
 */
export function startPart(
  name: PartName,
  { command, options }: Runtime,
  words: readonly string[],
  report: (line: string) => void,
  stderr: "inherit" | number,
  passphrase: string | undefined,
): Part {
  const { stdio, variables, give } = passphraseFor(passphrase);
  const child = spawn("/bin/sh", [...withoutCore, command, ...options, ...words], {
    stdio: ["pipe", "pipe", stderr, ...stdio],
    env: { ...minimalEnvironment(process.env), ...variables },
    detached: true,
  });
  give(child);
  child.stdin?.on("error", () => {});
  const ended = endingOf(child, report);
  if (child.pid !== undefined) recordPid(name, child.pid, report);
  void ended.then(() => forgetPid(name));
  return {
    name,
    pid: child.pid ?? 0,
    ready: readyOf(child, name, report),
    ended,
    kill: (signal) => void child.kill(signal),
    end: async (patienceMs) => {
      let killed = false;
      child.kill("SIGTERM");
      const timer = setTimeout(() => {
        killed = true;
        report(`${name} did not end within ${patienceMs / 1000} s and was killed`);
        child.kill("SIGKILL");
      }, patienceMs);
      await ended;
      clearTimeout(timer);
      return !killed;
    },
  };
}

/** `run/NAME.pid`, for people and for the next `wardmq serve`; serving goes on without it. */
export function recordPid(
  name: PartName | "serve",
  pid: number,
  report: (line: string) => void,
): void {
  try {
    replaceFile(pidFile(name), `${pid}\n`, 0o600); // whole or not at all, and through no link
  } catch (error) {
    report(`cannot write ${pidFile(name)}: ${systemCode(error) ?? "failed"}`);
  }
}

export function forgetPid(name: PartName | "serve"): void {
  rmSync(pidFile(name), { force: true });
}

function pidFile(name: PartName | "serve"): string {
  return join("run", `${name}.pid`);
}

function endingOf(child: ChildProcess, report: (line: string) => void): Promise<Ending> {
  return new Promise((resolve) => {
    child.on("error", (error) => {
      report(`could not start ${child.spawnfile}: ${error.message}`);
      resolve({ code: 1, signal: null });
    });
    child.on("exit", (code, signal) => resolve({ code, signal }));
  });
}

const longestLine = 64 * 1024;

function readyOf(
  child: ChildProcess,
  name: PartName,
  report: (line: string) => void,
): Promise<unknown> {
  return new Promise((resolve) => {
    let text = "";
    child.stdout?.setEncoding("utf8");
    child.stdout?.on("data", (chunk: string) => {
      const lines = (text + chunk).slice(-longestLine).split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        const ready = parseReady(line);
        if (ready !== undefined) resolve(ready);
        else report(`${name}: ${printable(line, 500)}`);
      }
    });
    child.on("error", () => resolve(undefined));
    child.on("exit", () => resolve(undefined));
  });
}

function parseReady(line: string): unknown {
  if (!line.startsWith("ready {")) return undefined;
  try {
    return JSON.parse(line.slice("ready ".length));
  } catch {
    return undefined;
  }
}

/** "ended with 2" or "was ended by SIGKILL". */
export function describeEnding({ code, signal }: Ending): string {
  return signal === null ? `ended with ${code}` : `was ended by ${signal}`;
}
