import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { limitOptions, limitsDocument } from "./document.ts";
import { limitRows } from "./table.ts";

const source = (file: string) => readFileSync(join(import.meta.dirname, `${file}.test.ts`), "utf8");

test("every limit of the configuration has a row and every row is of one, in the same order", () => {
  assert.deepEqual(
    limitRows.map(({ key }) => key),
    limitOptions.map(([key]) => key),
  );
});

for (const { key, file } of limitRows) {
  test(`${key} has tests in ${file}.test.ts`, () => {
    const [group = "", kind] = key.split(".");
    const names = [`"${key}"`, `["${group}"`, `\`${group}.\${kind}\``];
    const isForBothKinds = kind === "device" || kind === "service";
    const wanted = isForBothKinds ? names : names.slice(0, 2);
    const found = wanted.some((name) => source(file).includes(name));
    assert.ok(found, `no limitTest(${key}) there`);
  });
}

test("docs/limits.md says what the tables say", () => {
  const path = join(import.meta.dirname, "../../docs/limits.md");
  assert.equal(readFileSync(path, "utf8"), limitsDocument(), "npm run docs");
});
