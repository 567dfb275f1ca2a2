import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { playMatrix } from "./play.ts";

const played = await playMatrix();

describe("the same answer on every path", () => {
  for (const { cell, expected, actual } of played) {
    test(cell.name, () => {
      if (actual instanceof Error) throw actual;
      assert.deepEqual(actual, expected);
    });
  }

  test("each path that permits also denies, and the matrix is not empty", () => {
    const effects = Map.groupBy(played, ({ cell }) => cell.name.split(":")[0]);
    assert.ok(effects.size > 160, `${effects.size} paths`);
    for (const [path, cells] of effects) {
      const permits = cells.filter(({ expected }) => expected.isDelivered).length;
      assert.ok(
        path?.includes(" of hospital ")
          ? permits === 3 && cells.length - permits >= 9
          : permits === 1 && cells.length >= 2,
        `${path}: ${permits} of ${cells.length}`,
      );
    }
  });
});
