import { mkdirSync, readdirSync } from "node:fs";
import type { Commands } from "@wardmq/commands";
import {
  ConfigError,
  defaultConfigText,
  formatProblem,
  parseConfig,
  trustDomainOf,
} from "@wardmq/config";
import { printable } from "@wardmq/events";
import { ask } from "./ask.ts";
import { Failure, systemCode } from "./failure.ts";

/** Makes a deployment in `directory`, which has to be new or empty, and makes it the current folder. */
export async function initialize(
  directory: string,
  org: string,
  environment: string,
  hosts: readonly string[],
): Promise<Commands["init"]["result"]> {
  refuseWrongNames(org, environment, hosts);
  makeEmptyFolder(directory);
  process.chdir(directory);
  return await ask("init", { org, environment, hosts });
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

function makeEmptyFolder(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (readdirSync(directory).length === 0) return;
  } catch (cause) {
    const code = systemCode(cause);
    const why =
      code === "EEXIST" || code === "ENOTDIR" ? "is not a folder" : `cannot be made (${code})`;
    throw new Failure(1, `${printable(directory, 1000)} ${why}`, "choose another folder");
  }
  throw new Failure(
    1,
    `${printable(directory, 1000)} is not empty`,
    "choose a new or an empty folder",
  );
}
