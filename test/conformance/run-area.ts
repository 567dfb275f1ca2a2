import { after, test } from "node:test";
import { startDeployment } from "../support/deployment.ts";
import { areaOf } from "./areas.ts";
import { type Case, editions, testName } from "./case.ts";
import { Stage } from "./stage.ts";

/** Registers the cases of one area as tests, each edition by itself, all against one broker. */
export async function runArea(name: string): Promise<void> {
  const { cases, deployment: options, atOnce } = areaOf(name);
  const deployment = await startDeployment(options);
  after(() => deployment.stop());
  for (const edition of editions) {
    for (const one of cases.filter((each) => each[edition.key] !== undefined)) {
      const run = () => runCase(one, new Stage(deployment, edition.version));
      // A case that began already keeps its failure until its test asks for it.
      const outcome = atOnce === true ? Promise.allSettled([run()]) : undefined;
      test(testName(edition.name, name, one.it), { timeout: 30_000 }, async () => {
        if (outcome === undefined) return run();
        const [settled] = await outcome;
        if (settled.status === "rejected") throw settled.reason;
      });
    }
  }
}

async function runCase(one: Case, stage: Stage): Promise<void> {
  try {
    await one.run(stage);
  } finally {
    stage.end();
  }
}
