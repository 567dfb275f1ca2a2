/**
 * Changes the texts that decide what is allowed, and looks that none is taken for more than it says:
 * `bun apps/broker/fuzz/documents.fuzz.ts --seconds 60 --seed 1`. Prints the first counterexample and exits 1.
 */
import { documentChecks } from "./documents.ts";
import { numberOption } from "./option.ts";
import { Random } from "./random.ts";

const seconds = numberOption("--seconds", 10);
const firstSeed = numberOption("--seed", Date.now() & 0x7fff_ffff);
const end = performance.now() + seconds * 1_000;

let seed = firstSeed;
for (; performance.now() < end; seed += 1) {
  for (const [name, check] of Object.entries(documentChecks)) {
    try {
      check(new Random(seed));
    } catch (error) {
      console.error(`documents fuzz: ${name} with seed ${seed}: ${String((error as Error).stack)}`);
      process.exit(1);
    }
  }
}
console.log(`documents fuzz: seeds ${firstSeed} to ${seed - 1}, no counterexample`);
