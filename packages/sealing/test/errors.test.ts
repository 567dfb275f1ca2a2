import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { sealErrors } from "../src/index.ts";

test("docs/errors.md has one row for each error of sealing, with its meaning", () => {
  const text = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
  const rows = [...text.matchAll(/^\| `(ERR_SEAL_\w+)` \| (.+)\. \| (.+) \|$/gm)];
  assert.deepEqual(
    rows.map(([, code, meaning = ""]) => [code, meaning.toLowerCase()]),
    Object.entries(sealErrors),
  );
});
