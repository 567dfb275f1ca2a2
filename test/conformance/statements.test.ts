import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { areas } from "./areas.ts";
import { conformanceText, coverage } from "./coverage.ts";

/** How many statements Appendix B of each edition has. */
const counts: Readonly<Record<string, number>> = { "3.1.1": 141, "5.0": 251 };

describe("the normative statements", () => {
  for (const { name, statements, unknown } of coverage()) {
    test(`${name}: every statement has a test or a reason why it does not apply, and not both`, () => {
      const bare = statements.filter(
        ({ tests, notApplicable }) => tests.length > 0 === (notApplicable !== undefined),
      );
      assert.deepEqual(
        bare.map(({ id }) => id),
        [],
      );
    });

    test(`${name}: no test names a statement that does not exist`, () => {
      assert.deepEqual(unknown, []);
    });

    test(`${name}: no statement is missing or there twice`, () => {
      assert.equal(new Set(statements.map(({ id }) => id)).size, counts[name]);
      assert.equal(statements.length, counts[name]);
      assert.deepEqual(gaps(statements.map(({ id }) => id)), []);
    });
  }
});

describe("the cases", () => {
  test("no two tests have one name", () => {
    for (const { name, cases } of areas) {
      assert.equal(new Set(cases.map(({ it }) => it)).size, cases.length, name);
    }
  });

  test("every area has cases and a test file, and every case an edition", async () => {
    const files = await readdir(import.meta.dirname);
    assert.ok(areas.length > 0);
    for (const { name, cases } of areas) {
      assert.ok(cases.length > 0, name);
      assert.ok(files.includes(`${name}.test.ts`), name);
      for (const one of cases) assert.ok(one.v3 !== undefined || one.v5 !== undefined, one.it);
    }
  });

  test("docs/conformance.md says what the tables and the cases say", async () => {
    const docs = join(import.meta.dirname, "../../docs/conformance.md");
    assert.equal(await readFile(docs, "utf8"), conformanceText());
  });
});

/** Statements are counted up within their section; a number left out is a row forgotten. */
function gaps(ids: readonly string[]): string[] {
  // 5.0 has no MQTT-2.2.1-1: its counting begins with 2.
  const last = new Map([["MQTT-2.2.1", 1]]);
  const missing: string[] = [];
  for (const id of ids) {
    const at = id.lastIndexOf("-");
    const section = id.slice(0, at).replace("MQTT-3-8.3", "MQTT-3.8.3");
    const number = Number(id.slice(at + 1));
    const before = last.get(section) ?? 0;
    if (number !== before + 1) missing.push(id);
    last.set(section, number);
  }
  return missing;
}
