import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { controlErrors } from "../src/errors.ts";
import { responseOf } from "../src/failure.ts";

test("a full disk is no mistake of control's", () => {
  const report = (line: string) => assert.fail(line);
  const full = [{ code: "ENOSPC" }, { code: "EDQUOT" }, { code: "ERR_SQLITE_ERROR", errcode: 13 }];
  for (const properties of full) {
    const { error } = responseOf(Object.assign(new Error("x"), properties), report);
    assert.equal(error.code, "ERR_DISK_FULL");
  }
  const other = Object.assign(new Error("x"), { code: "ERR_SQLITE_ERROR", errcode: 1 });
  assert.equal(responseOf(other, () => {}).error.code, "ERR_INTERNAL");
});

test("docs/errors.md has one row for each error of control, with its exit code", () => {
  const text = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
  const [, section = ""] = text.split("\n## Control\n");
  const rows = [...section.matchAll(/^\| `(ERR_\w+)` \| ([12]) \| (.+) \| (.+) \|$/gm)];
  assert.deepEqual(
    rows.map(([, code, exitCode]) => `${code} ${exitCode}`),
    Object.entries(controlErrors).map(([code, { exitCode }]) => `${code} ${exitCode}`),
  );
});
