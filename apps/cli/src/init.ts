import { chmodSync, existsSync, readdirSync, renameSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { Commands } from "@wardmq/commands";
import {
  ConfigError,
  defaultConfigText,
  formatProblem,
  parseConfig,
  trustDomainOf,
} from "@wardmq/config";
import { printable } from "@wardmq/events";
import { askOnce } from "./ask.ts";
import { Failure, systemCode } from "./failure.ts";
import { newDeploymentPassphrase } from "./keys.ts";

/** Makes a deployment in `directory`, which has to be new or empty. */
export async function initialize(
  directory: string,
  org: string,
  environment: string,
  hosts: readonly string[],
  keys: string,
  caToken?: string,
): Promise<Commands["init"]["result"]> {
  refuseWrongNames(org, environment, hosts);
  const wanted = { org, environment, hosts, keys, ...(caToken === undefined ? {} : { caToken }) };
  const make = (where: string) => askOnce(where, "init", wanted, newDeploymentPassphrase(keys));
  if (!existsSync(directory)) return await make(directory);
  refuseUsedFolder(directory);
  // A folder that is there stays the same folder: it may be somebody's current one, or a volume that cannot be replaced.
  const inside = join(directory, ".init");
  const result = await make(inside);
  chmodSync(directory, 0o700);
  for (const name of lastSettings(readdirSync(inside)))
    renameSync(join(inside, name), join(directory, name));
  rmdirSync(inside);
  return result;
}

/** `wardmq.yaml` last: it makes a folder a deployment. */
function lastSettings(names: readonly string[]): readonly string[] {
  return [...names.filter((name) => name !== "wardmq.yaml"), "wardmq.yaml"];
}

function refuseUsedFolder(directory: string): void {
  const shown = printable(directory, 1000);
  try {
    if (readdirSync(directory).length === 0) return;
  } catch (cause) {
    const code = systemCode(cause);
    const why = code === "ENOTDIR" ? "is not a folder" : `cannot be used (${code ?? "unreadable"})`;
    throw new Failure(2, `${shown} ${why}`, "name a new folder");
  }
  throw new Failure(2, `${shown} is not empty`, "name a new or an empty folder");
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
