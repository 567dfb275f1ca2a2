import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  deployment,
  eventually,
  isAlive,
  launcher,
  readyPorts,
  serveWords,
  start,
} from "./wardmq.ts";

async function pidsOf(directory: string): Promise<readonly number[]> {
  const read = (name: string) => readFile(join(directory, `run/${name}.pid`), "utf8");
  return (await Promise.all(["serve", "control", "broker"].map(read))).map(Number);
}

function untilGone(pids: readonly number[]): Promise<true> {
  return eventually("everything has ended", () => !pids.some(isAlive) || undefined);
}

describe("everything that the launcher started", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`ends with 0 on ${signal}`, async () => {
      await using made = await deployment();
      const running = start(serveWords(made.directory), { program: [launcher] });
      await readyPorts(running);
      const pids = await pidsOf(made.directory);
      running.child.kill(signal);
      assert.equal((await running.ended).code, 0);
      await untilGone(pids);
    });
  }

  test("ends when the launcher is killed", async () => {
    await using made = await deployment();
    const running = start(serveWords(made.directory), { program: [launcher] });
    await readyPorts(running);
    const pids = await pidsOf(made.directory);
    running.child.kill("SIGKILL");
    await untilGone(pids);
  });

  test("ends when npm, and with it the shell between, has ended", async () => {
    await using made = await deployment();
    const { directory } = made;
    const words = [process.execPath, launcher, ...serveWords(directory)];
    const env = { PATH: process.env["PATH"] ?? "", npm_command: "exec" };
    const shell = spawn("sh", ["-c", '"$0" "$@" & wait', ...words], { stdio: "ignore", env });
    try {
      await eventually(
        "it serves",
        () => existsSync(join(directory, "run/broker.pid")) || undefined,
      );
      const pids = await pidsOf(directory);
      shell.kill("SIGKILL");
      await untilGone(pids);
    } finally {
      shell.kill("SIGKILL");
    }
  });
});
