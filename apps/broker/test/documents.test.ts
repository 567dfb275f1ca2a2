import { describe, test } from "node:test";
import { documentChecks } from "../fuzz/documents.ts";
import { Random } from "../fuzz/random.ts";

describe("a changed document is refused, or allows no more than it says:", () => {
  for (const [name, check] of Object.entries(documentChecks)) {
    test(name, () => {
      for (let seed = 1; seed <= 200; seed += 1) check(new Random(seed));
    });
  }
});
