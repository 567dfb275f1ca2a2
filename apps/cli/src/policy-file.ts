import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { apiVocabulary } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import {
  checkPolicy,
  describeProblem,
  type Policy,
  PolicyError,
  type PolicyFile,
  type PolicyFinding,
  parsePolicyFiles,
  provePolicy,
} from "@wardmq/policy";
import { type IssuerSettings, IssuersError, parseIssuers } from "@wardmq/tokens";
import { Failure, systemCode } from "./failure.ts";

/** The files of a deployment's policy: `policy.yaml`, or those of its folder `policy` in the order of their names. */
export function readPolicyFiles(directory: string): readonly PolicyFile[] {
  const folder = join(directory, "policy");
  const isFolder = existsSync(folder) && namesIn(folder).length > 0;
  return filesAt(isFolder ? folder : join(directory, "policy.yaml"));
}

/** The policy of a file or of a folder of files; one with problems is a Failure that lists them. */
export function readPolicyAt(path: string): Policy {
  return parseFiles(filesAt(resolve(path)));
}

/** The files of a policy from anywhere, with the names that they get in a deployment. */
export function policyFilesFrom(path: string): readonly PolicyFile[] {
  const files = filesAt(path);
  const isFolder = files.length !== 1 || files[0]?.name !== path;
  return files.map(({ name, text }) => ({
    name: isFolder ? `policy/${basename(name)}` : "policy.yaml",
    text,
  }));
}

export function parseFiles(files: readonly PolicyFile[]): Policy {
  try {
    return parsePolicyFiles(files);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    const lines = error.problems.map((problem) => describeProblem(problem, error.file));
    throw new Failure(2, lines.join("\n"), "");
  }
}

/** A policy in which an assertion does not hold is a Failure that lists them. */
export function refuseBroken(policy: Policy, files: readonly PolicyFile[]): void {
  const file = files[0]?.name ?? "policy.yaml";
  const violations = provePolicy(policy).map((one) => describeProblem(one, file));
  if (violations.length > 0) throw new Failure(1, violations.join("\n"), "");
}

/** A deployment's policy, with the name of its first file for places that have none of their own. */
export interface Checked {
  readonly policy: Policy;
  readonly file: string;
  /** What is worth a second look. */
  readonly findings: readonly PolicyFinding[];
}

/** Checks a deployment's policy. One with problems, or with an assertion that does not hold, is a Failure that lists them. */
export function checkPolicyFiles(directory: string): Checked {
  const files = readPolicyFiles(directory);
  const policy = parseFiles(files);
  refuseBroken(policy, files);
  const file = files[0]?.name ?? "policy.yaml";
  const settings = issuersOf(directory);
  const issuers = settings.map(({ name }) => name);
  const breakGlass = settings
    .flatMap(({ api }) => api?.breakGlass ?? [])
    .flatMap(({ policyRole }) => policyRole ?? []);
  return { policy, file, findings: checkPolicy(policy, { issuers, breakGlass }) };
}

/** The issuers whose tokens count. */
function issuersOf(directory: string): readonly IssuerSettings[] {
  const path = join(directory, "issuers.yaml");
  if (!existsSync(path)) return [];
  try {
    return parseIssuers(readFileSync(path, "utf8"), apiVocabulary, path);
  } catch (error) {
    if (error instanceof IssuersError) throw new Failure(2, error.message, "");
    throw error;
  }
}

function filesAt(path: string): readonly PolicyFile[] {
  const isFolder = existsSync(path) && statSync(path).isDirectory();
  const paths = isFolder ? namesIn(path).map((name) => join(path, name)) : [path];
  return paths.map((name) => ({ name, text: readUtf8(name) }));
}

function namesIn(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((name) => /^[\w-]+\.ya?ml$/.test(name))
    .sort();
}

function readUtf8(path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
  } catch (cause) {
    if (cause instanceof TypeError) {
      throw new Failure(2, `${printable(path)}:1:1: not UTF-8`, "save it as UTF-8");
    }
    const why = systemCode(cause) ?? "unreadable";
    throw new Failure(2, `cannot read ${printable(path)}: ${why}`, "name a file that you can read");
  }
}
