import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

const source = join(import.meta.dirname, "../src/thread-priority.ts");

/** A process with a Worker of its own that looks twice; the names of its threads, and how nice each has become. */
const script = `
const { readFileSync, readdirSync } = require("node:fs");
const { getPriority } = require("node:os");
const { Worker } = require("node:worker_threads");
const worker = new Worker("setInterval(() => {}, 1000)", { eval: true });
worker.once("online", async () => {
  const { RuntimeThreads } = await import(${JSON.stringify(source)});
  const threads = new RuntimeThreads();
  const before = getPriority();
  threads.look();
  threads.look();
  const seen = readdirSync("/proc/self/task").map((thread) => ({
    isMain: Number(thread) === process.pid,
    name: readFileSync("/proc/self/task/" + thread + "/comm", "utf8").trim(),
    nice: getPriority(Number(thread)),
  }));
  console.log(JSON.stringify({ before, seen }));
  process.exit(0);
});
`;

interface Seen {
  readonly before: number;
  readonly seen: readonly {
    readonly isMain: boolean;
    readonly name: string;
    readonly nice: number;
  }[];
}

test("the threads of the runtime give way to the event loop, and it and our own stay as they are", {
  skip: process.platform !== "linux",
}, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ["-e", script], {
    timeout: 60_000,
  });
  const { before, seen } = JSON.parse(stdout) as Seen;
  const isOurs = ({ isMain, name }: Seen["seen"][number]) => isMain || name.startsWith("Worker");
  const ours = seen.filter(isOurs);
  const others = seen.filter((thread) => !isOurs(thread));
  assert.ok(ours.length > 1 && others.length > 0, stdout);
  assert.deepEqual([...new Set(ours.map(({ nice }) => nice))], [before], stdout);
  // One that has begun since is not known yet.
  const polite = others.filter(({ nice }) => nice === Math.min(19, before + 10));
  assert.ok(polite.length > others.length / 2, stdout);
});
