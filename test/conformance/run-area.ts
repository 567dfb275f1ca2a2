import { after, test } from "node:test";
import { startDeployment } from "../support/deployment.ts";
import { areaOf } from "./areas.ts";
import { editions, testName } from "./case.ts";
import { Stage } from "./stage.ts";

/** Registers the cases of one area as tests, each edition by itself, all against one broker. */
export async function runArea(name: string): Promise<void> {
  const { cases, deployment: options } = areaOf(name);
  const deployment = await startDeployment(options);
  after(() => deployment.stop());
  for (const edition of editions) {
    for (const one of cases.filter((each) => each[edition.key] !== undefined)) {
      test(testName(edition.name, name, one.it), { timeout: 30_000 }, async () => {
        const stage = new Stage(deployment, edition.version);
        try {
          await one.run(stage);
        } finally {
          stage.end();
        }
      });
    }
  }
}
