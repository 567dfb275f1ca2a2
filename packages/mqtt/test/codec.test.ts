import { describe, test } from "node:test";
import fc from "fast-check";
import { codecProperties } from "./codec-properties.ts";

describe("the codec", () => {
  for (const [name, property] of Object.entries(codecProperties)) {
    test(name, () => {
      fc.assert(property as fc.IRawProperty<unknown>, { numRuns: 1_500 });
    });
  }
});
