import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));

function ward(
  ...argv: readonly string[]
): Promise<{ code: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...argv], { timeout: 20_000 }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}

test("the ward without a deployment says how it is used, and starts nothing", async () => {
  const { code, stdout, stderr } = await ward();
  assert.deepEqual([code, stdout], [2, ""]);
  assert.match(stderr, /^usage: main\.ts DIR.*\n$/);
});

test("the ward in a folder without a demo says what is missing and what to do", async () => {
  const { code, stdout, stderr } = await ward("does-not-exist");
  assert.deepEqual([code, stdout], [2, ""]);
  assert.match(
    stderr,
    /^cannot read does-not-exist.demo.ward\.json: ENOENT; make the demo again.*\n$/,
  );
});
