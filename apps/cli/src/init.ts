import type { Commands } from "@wardmq/commands";
import {
  ConfigError,
  defaultConfigText,
  formatProblem,
  parseConfig,
  trustDomainOf,
} from "@wardmq/config";
import { askOnce } from "./ask.ts";
import { Failure } from "./failure.ts";

/** Makes a deployment in `directory`, which has to be new or empty. */
export async function initialize(
  directory: string,
  org: string,
  environment: string,
  hosts: readonly string[],
): Promise<Commands["init"]["result"]> {
  refuseWrongNames(org, environment, hosts);
  return await askOnce(directory, "init", { org, environment, hosts });
}

/** The names go through the parser of `wardmq.yaml` before anything is made. */
function refuseWrongNames(org: string, environment: string, hosts: readonly string[]): void {
  const trustDomain = trustDomainOf(environment, org);
  try {
    parseConfig(defaultConfigText({ org, environment, trustDomain, hosts }), []);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const inOptions = error.problems.map((problem) => {
      const name = problem.key === "hosts" ? "host" : problem.key;
      return formatProblem({ ...problem, file: `--${name}`, line: 0 });
    });
    throw new Failure(2, inOptions.join("\n"), "");
  }
}
