import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { replaceFile, syncFolder } from "@wardmq/keys";
import type { PolicyFile } from "@wardmq/policy";
import { Failure } from "../failure.ts";
import { readText } from "../files.ts";

const single = "policy.yaml";
const folder = "policy";

/** The files of the policy in the current folder: `policy.yaml`, or those of the folder `policy` in the order of names. */
export function readPolicyFiles(): readonly PolicyFile[] {
  const names = namesOfFolder();
  if (names.length > 0 && existsSync(single)) {
    throw new Failure("ERR_POLICY_FILES", `there is ${single} and a folder ${folder} with files`, {
      hint: "keep one of the two",
    });
  }
  const all = names.length > 0 ? names : [single];
  return all.map((name) => ({ name, text: readText(name) }));
}

/** Puts files in place of those that are there. */
export function writePolicyFiles(files: readonly PolicyFile[]): void {
  const names = new Set(files.map(({ name }) => name));
  if (files.some(({ name }) => name !== single))
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const { name, text } of files) replaceFile(name, text, 0o600);
  for (const name of [...namesOfFolder(), single])
    if (!names.has(name)) rmSync(name, { force: true });
  syncFolder(".");
}

/** What files are, told apart by names and texts. */
export function digestOf(files: readonly PolicyFile[]): string {
  const parts = files.map(({ name, text }) => [name, text]);
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

function namesOfFolder(): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /^[\w-]+\.ya?ml$/.test(name))
    .sort()
    .map((name) => join(folder, name));
}
