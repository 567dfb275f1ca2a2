/**
 * Random clients against the broker, checked against a model of it: `bun apps/broker/fuzz/stateful.fuzz.ts --seconds 60
 * --seed 1`. First without a network, a fresh broker for each seed, then against a real deployment over TLS and
 * WebSocket. Stops at the first counterexample: prints its seed and all that was done, and exits 1.
 */
import { DeploymentStage } from "./deployment-stage.ts";
import { numberOption } from "./option.ts";
import { PartsStage } from "./parts-stage.ts";
import { runOnce } from "./run.ts";
import type { Stage } from "./stage.ts";

const seconds = numberOption("--seconds", 10);
const firstSeed = numberOption("--seed", Date.now() & 0x7fff_ffff);

let runs = 0;
const start = performance.now();
const runsUntil = async (share: number, run: (seed: number) => Promise<boolean>) => {
  for (let seed = firstSeed; ; seed += 1) {
    if (!(await run(seed))) return false;
    runs += 1;
    if (performance.now() - start >= share * seconds * 1_000) return true;
  }
};

const isGood =
  (await runsUntil(0.3, (seed) => isUpheld(new PartsStage(), "parts", seed))) &&
  (await runsOnDeployment());
if (isGood) console.log(`stateful fuzz: ${runs} runs from seed ${firstSeed}, no counterexample`);
else process.exitCode = 1;

async function runsOnDeployment(): Promise<boolean> {
  await using stage = await DeploymentStage.start();
  return await runsUntil(1, (seed) => isUpheld(stage, "deployment", seed));
}

async function isUpheld(stage: Stage, name: string, seed: number): Promise<boolean> {
  const { actions, violation } = await runOnce(stage, seed);
  const why = violation ?? (await stage.complaint());
  if (why === undefined) return true;
  console.error(`stateful fuzz: seed ${seed} on ${name}: ${why}`);
  for (const action of actions) console.error(`  ${action}`);
  return false;
}
