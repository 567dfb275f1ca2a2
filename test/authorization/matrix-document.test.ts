import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { matrixText } from "./matrix-document.ts";

test("docs/authorization-matrix.md shows the matrix that is tested", () => {
  const page = readFileSync(
    join(import.meta.dirname, "../../docs/authorization-matrix.md"),
    "utf8",
  );
  assert.equal(page, matrixText());
});
