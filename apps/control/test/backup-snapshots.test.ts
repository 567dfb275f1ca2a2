import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { test } from "node:test";
import { newDeployment, RunningControl } from "./control-under-test.ts";

test("the snapshot of a killed backup goes at the next start; that of one that runs stays", async () => {
  using folder = await newDeployment();
  const { pid: ended } = spawnSync(process.execPath, ["--version"]);
  const snapshotOf = (pid: number) => folder.in("run", `backup-${pid}-0123456789abcdef`);
  for (const pid of [ended, process.pid]) mkdirSync(snapshotOf(pid));
  await using _control = await RunningControl.start(folder.deployment);
  assert.ok(!existsSync(snapshotOf(ended)));
  assert.ok(existsSync(snapshotOf(process.pid)));
});
