import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { keysErrors } from "../src/index.ts";

test("docs/errors.md has one row for each error of keys, with its meaning", () => {
  const text = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
  const [, section = ""] = text.split("\n## Keys\n");
  const [own = ""] = section.split("\n## ");
  const rows = [...own.matchAll(/^\| `(ERR_KEY_\w+)` \| (.+)\. \| (.+) \|$/gm)];
  assert.deepEqual(
    rows.map(([, code, meaning = ""]) => [code, meaning.toLowerCase()]),
    Object.entries(keysErrors),
  );
});
