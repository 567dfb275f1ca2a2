import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startDemoProvider } from "../src/up/identity-provider.ts";
import { eventually, isAlive, temporaryFolder } from "./wardmq.ts";

test("the end of the demo's identity provider is told, unless it was wanted", async () => {
  await using folder = await temporaryFolder();
  const settings = "org: demo-hospital\nenvironment: demo\nhosts: [localhost]\n";
  writeFileSync(join(folder.path, "wardmq.yaml"), settings);
  const lines: string[] = [];
  const report = (line: string) => {
    if (line.includes("ended")) lines.push(line);
  };
  const ended = (pid: number) => eventually("it ends", () => !isAlive(pid) || undefined);

  const wanted = await startDemoProvider(folder.path, report);
  wanted.stop();
  await ended(wanted.pid);
  const other = await startDemoProvider(folder.path, report);
  process.kill(other.pid, "SIGKILL");
  await eventually("its end is told", () => lines[0]);
  other.stop();
  assert.deepEqual(lines, [
    "DEMO identity provider: was ended by SIGKILL; nobody logs in until wardmq up is started again",
  ]);
});
