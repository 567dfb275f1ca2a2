import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { after, before } from "node:test";
import { findRuntime, type RuntimeName } from "../bin/runtimes.mjs";

/** The runtime the test runs on; what the CLI starts runs on it too. */
export const runtime: RuntimeName = process.versions["bun"] === undefined ? "node" : "bun";
const options = findRuntime(runtime)?.options ?? [];
export const launcher = join(import.meta.dirname, "../bin/wardmq.mjs");
const main = join(import.meta.dirname, "../src/main.ts");

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  /** Added to an environment that holds next to nothing. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What to run instead of src/main.ts, with the options of the runtime before it. */
  readonly program?: readonly string[];
  /** What waits on file descriptor 3. */
  readonly passphrase?: string;
  /** Leads a process group, as a shell makes one for what a terminal runs. */
  readonly leadsGroup?: boolean;
  /** It is killed when it takes longer; default a minute. */
  readonly limitMs?: number;
}

/** Lets the system choose every port. */
const anyPorts = ["mqtts", "wss", "est", "api"].flatMap((name) => [`--${name}`, "0"]);

/** A `wardmq` that runs until it ends or is told to. */
export interface Running extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** What it has written so far. */
  readonly output: () => { readonly stdout: string; readonly stderr: string };
}

/** Where the test runner has Node keep what it has compiled, or nothing. */
const { NODE_COMPILE_CACHE } = process.env;
const compileCache = NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE };

/** Starts `wardmq` with these words. */
export function start(
  words: readonly string[],
  {
    cwd,
    environment = {},
    program,
    passphrase,
    leadsGroup = false,
    limitMs = 60_000,
  }: RunOptions = {},
): Running {
  const child = spawn(process.execPath, [...(program ?? [...options, main]), ...words], {
    cwd: cwd ?? tmpdir(),
    env: { PATH: process.env["PATH"] ?? "", HOME: tmpdir(), ...compileCache, ...environment },
    stdio: ["ignore", "pipe", "pipe", passphrase === undefined ? "ignore" : "pipe"],
    detached: leadsGroup,
  });
  const third = child.stdio[3] as Writable | null;
  third?.on("error", () => {}); // it may end without reading
  third?.end(passphrase);
  let [stdout, stderr] = ["", ""];
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
  });
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    stderr += chunk;
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
  return {
    child,
    ended,
    output: () => ({ stdout, stderr }),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

export function wardmq(words: readonly string[], options?: RunOptions): Promise<Ended> {
  return start(words, options).ended;
}

/** Polls until `read` gives something, for at most one and a half minutes: a loaded machine starts slowly. */
export async function eventually<T>(
  what: string,
  read: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  for (const end = Date.now() + 90_000; Date.now() < end; ) {
    const value = await read();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`did not happen: ${what}`);
}

/** A folder that is gone after the test. */
export async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "wardmq-cli-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** A new deployment of the org hospital-1 on localhost, made by `wardmq init`. */
export async function deployment(): Promise<
  { readonly directory: string; readonly parent: string } & AsyncDisposable
> {
  const folder = await temporaryFolder();
  const directory = join(folder.path, "deployment");
  const { code, stderr } = await wardmq([
    "init",
    directory,
    "--org",
    "hospital-1",
    "--host",
    "localhost",
  ]);
  if (code !== 0) throw new Error(`init ended with ${code}: ${stderr}`);
  return {
    directory,
    parent: folder.path,
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** What a command that has to work prints on stdout. */
export async function done(...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await wardmq(words);
  assert.equal(code, 0, stderr);
  return stdout;
}

/** A new deployment that is served while the tests of a file run; there in the tests and hooks of a `describe`. */
export function servedDeployment() {
  const served = {
    directory: "",
    parent: "",
    ports: { mqtts: 0, wss: 0, est: 0, api: 0 },
  };
  const stack = new AsyncDisposableStack();
  before(async () => {
    const { directory, parent } = stack.use(await deployment());
    const running = stack.use(start(serveWords(directory), { limitMs: 600_000 }));
    Object.assign(served, { directory, parent, ports: await readyPorts(running) });
  });
  after(() => stack.disposeAsync());
  return served;
}

/** The words that serve a deployment on ports the system chooses, on the runtime of the test. */
export function serveWords(directory: string, ...more: readonly string[]): readonly string[] {
  return ["serve", directory, "--runtime", runtime, ...anyPorts, ...more];
}

/** The two ports of the line `ready`, once it is there. */
export function readyPorts(running: Running): Promise<{
  readonly mqtts: number;
  readonly wss: number;
  readonly est: number;
  readonly api: number;
}> {
  return eventually("the line ready", () => {
    const { stdout, stderr } = running.output();
    const line =
      /^ready mqtts:..localhost:(\d+) wss:..localhost:(\d+).mqtt est https:..localhost:(\d+) api https:..localhost:(\d+)$/m.exec(
        stdout,
      );
    if (line) {
      const [mqtts = 0, wss = 0, est = 0, api = 0] = line.slice(1).map(Number);
      return { mqtts, wss, est, api };
    }
    if (running.child.exitCode !== null)
      throw new Error(`ended with ${running.child.exitCode}: ${stderr}`);
    return undefined;
  });
}

/** Whether a process is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
