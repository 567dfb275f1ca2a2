import { createHash } from "node:crypto";
import { createInterface } from "node:readline/promises";
import { diffPolicies, type PolicyFile } from "@wardmq/policy";
import { ask } from "../ask.ts";
import { print } from "../command-line.ts";
import { Failure } from "../failure.ts";
import { checkPolicyFiles, parseFiles, readPolicyFiles } from "../policy-file.ts";
import { diffText } from "./texts.ts";

/** Shows what would change, asks, and has control take over exactly what was shown. */
export async function applyPolicy(reason: string, isSure: boolean): Promise<string> {
  const files = readPolicyFiles("");
  const current = await ask("policy.current", {});
  const next = parseFiles(files);
  checkPolicyFiles("");
  print(
    `in force: version ${current.version}; ${diffText(diffPolicies(parseFiles(current.files), next))}`,
  );
  if (!isSure) await confirm("apply this policy?");
  const { version, changed } = await ask("policy.apply", { digest: digestOf(files), reason });
  return changed ? `version ${version} is in force` : `version ${version} was in force already`;
}

/** Shows what a former version would change, asks, and has control take it back. */
export async function rollBack(version: number, reason: string, isSure: boolean): Promise<string> {
  if (!isSure) await confirm(`write the files of version ${version} and apply them?`);
  const result = await ask("policy.rollback", { version, reason });
  return `version ${result.version} is in force, with the files of version ${version}`;
}

async function confirm(question: string): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new Failure(
      2,
      "nobody can be asked here",
      "add --yes when you have looked at the difference",
    );
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(`${question} [y/N] `);
  terminal.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new Failure(1, "nothing was changed", "");
}

/** As control tells files apart: SHA-256 over their names and texts. */
function digestOf(files: readonly PolicyFile[]): string {
  const parts = files.map(({ name, text }) => [name, text]);
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
