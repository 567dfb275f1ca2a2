import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { controlErrors } from "../src/errors.ts";

test("docs/errors.md has one row for each error of control, with its exit code", () => {
  const text = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
  const [, section = ""] = text.split("\n## Control\n");
  const rows = [...section.matchAll(/^\| `(ERR_\w+)` \| ([12]) \| (.+) \| (.+) \|$/gm)];
  assert.deepEqual(
    rows.map(([, code, exitCode]) => `${code} ${exitCode}`),
    Object.entries(controlErrors).map(([code, { exitCode }]) => `${code} ${exitCode}`),
  );
});
