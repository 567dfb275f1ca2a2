/**
 * Runs the properties of the codec for as long as it is told and stops at the first counterexample:
 * `bun packages/mqtt/fuzz/codec.fuzz.ts --seconds 60 --seed 1`. Prints the bytes as hex and exits 1.
 */
import fc from "fast-check";
import { encodePacket, MqttError } from "../src/index.ts";
import type { SentPacket } from "../test/arbitrary-packet.ts";
import { codecProperties } from "../test/codec-properties.ts";

const seconds = option("--seconds", 10);
const firstSeed = option("--seed", Date.now() & 0x7fff_ffff);

const runsPerSeed = 2_000;
const end = performance.now() + seconds * 1_000;
let seed = firstSeed;
let runs = 0;
do {
  for (const [name, property] of Object.entries(codecProperties)) {
    const result = await fc.check(property as fc.IRawProperty<unknown[]>, {
      seed,
      numRuns: runsPerSeed,
    });
    runs += result.numRuns;
    if (result.failed) report(name, seed, result.counterexample ?? [], result.errorInstance);
  }
  seed += 1;
} while (performance.now() < end);
console.log(`codec fuzz: ${runs} runs, seeds ${firstSeed} to ${seed - 1}, no counterexample`);

function option(name: string, fallback: number): number {
  const at = process.argv.indexOf(name);
  const value = at === -1 ? fallback : Number(process.argv[at + 1]);
  if (Number.isInteger(value) && value >= 0) return value;
  console.error(`${name} must be followed by a whole number`);
  process.exit(2);
}

function report(
  name: string,
  failedSeed: number,
  counterexample: unknown[],
  error: unknown,
): never {
  console.error(`codec fuzz: "${name}" fails with seed ${failedSeed}: ${String(error)}`);
  for (const part of counterexample) console.error(shown(part));
  process.exit(1);
}

/** Bytes as hex; of a packet the bytes it is encoded to, or its fields where it cannot be. */
function shown(part: unknown): string {
  if (part instanceof Uint8Array) return Buffer.from(part).toString("hex");
  if (typeof part !== "object" || part === null || !("packet" in part)) return JSON.stringify(part);
  const { packet, version, sender } = part as SentPacket;
  const origin = `from ${sender}, version ${version}`;
  try {
    return `${encodePacket(packet, version).toString("hex")} ${origin}`;
  } catch (error) {
    const why = error instanceof MqttError ? error.code : String(error);
    return `${JSON.stringify(packet)} ${origin}, not encoded: ${why}`;
  }
}
