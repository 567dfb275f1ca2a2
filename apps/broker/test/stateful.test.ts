import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DeploymentStage } from "../fuzz/deployment-stage.ts";
import { PartsStage } from "../fuzz/parts-stage.ts";
import { runOnce } from "../fuzz/run.ts";
import type { Stage } from "../fuzz/stage.ts";

// The fuzz itself is `npm run fuzz`; here are a few of its seeds, always the same.

async function uphold(stage: Stage, seed: number): Promise<void> {
  const { actions, violation } = await runOnce(stage, seed);
  const why = violation ?? (await stage.complaint());
  assert.equal(why, undefined, `seed ${seed}:\n${actions.join("\n")}`);
}

describe("whatever its clients do, the broker", () => {
  test("keeps to the model, and holds nothing once they are gone", async () => {
    for (let seed = 1; seed <= 60; seed += 1) await uphold(new PartsStage(), seed);
  });

  test("keeps to the model over TLS and WebSocket, as a process", async () => {
    await using stage = await DeploymentStage.start();
    for (let seed = 1; seed <= 6; seed += 1) await uphold(stage, seed);
  });
});
