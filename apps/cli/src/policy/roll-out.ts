import { createHash } from "node:crypto";
import { createInterface } from "node:readline/promises";
import { printable } from "@wardmq/events";
import {
  diffPolicies,
  type EditedLines,
  editPolicy,
  type PolicyEdit,
  PolicyEditError,
  PolicyError,
  type PolicyFile,
} from "@wardmq/policy";
import type { Asking } from "../asking.ts";
import { print } from "../command-line.ts";
import { Failure } from "../failure.ts";
import { parseFiles, readPolicyFiles, refuseBroken } from "../policy-file.ts";
import { diffText, untriedLines } from "./texts.ts";

/** How a change of the policy is made. */
export interface RollOut {
  readonly ask: Asking["ask"];
  readonly reason: string;
  /** The difference was looked at before: nobody is asked. */
  readonly isSure: boolean;
}

/** The policy of these files, whose assertions hold, and the one in force that it was shown against. */
async function shown(ask: Asking["ask"], files: readonly PolicyFile[]) {
  const current = await ask("policy.current", {});
  const next = parseFiles(files);
  refuseBroken(next, files);
  const difference = diffPolicies(parseFiles(current.files), next);
  print(`in force: version ${current.version}; ${diffText(difference)}`);
  return current;
}

/** Shows what files would change, asks, and has control take them over: in place of those that lie there, or as they lie there. */
export async function applyPolicy(
  { ask, reason, isSure }: RollOut,
  files: readonly PolicyFile[],
  isInPlace: boolean,
): Promise<string> {
  const { version: replaces } = await shown(ask, files);
  if (!isSure) await confirm("apply this policy?");
  const digest = digestOf(files);
  const wanted = isInPlace ? { digest, reason } : { digest, files: [...files], replaces, reason };
  const { version, changed } = await ask("policy.apply", wanted);
  return changed ? `version ${version} is in force` : `version ${version} was in force already`;
}

/** Shows what a former version would change, asks, and has control take it back. */
export async function rollBack({ ask, reason, isSure }: RollOut, version: number): Promise<string> {
  const { files } = await ask("policy.version", { version });
  const { version: replaces } = await shown(ask, files);
  if (!isSure) await confirm(`write the files of version ${version} and apply them?`);
  const result = await ask("policy.rollback", { version, replaces, reason });
  return `version ${result.version} is in force, with the files of version ${version}`;
}

/** Shows what files would change, and has brokers decide by them beside the policy in force. */
export async function tryPolicy(
  { ask, reason }: Omit<RollOut, "isSure">,
  files: readonly PolicyFile[],
  seconds: number,
): Promise<string> {
  await shown(ask, files);
  const { trial } = await ask("policy.shadow.start", { files: [...files], seconds, reason });
  const until = new Date(trial?.until ?? 0).toISOString();
  return [
    ...untriedLines(trial?.untried ?? []),
    `on trial until ${until}; nothing is decided by it. See wardmq policy shadow`,
  ].join("\n");
}

/** Makes one change in the files of the deployment, or in those in force at an API; comments and order stay. */
export async function editAndApply(
  rollOut: RollOut,
  edit: PolicyEdit,
  isRemote: boolean,
): Promise<string> {
  const files = isRemote ? (await rollOut.ask("policy.current", {})).files : readPolicyFiles("");
  const { files: next, lines } = edited(files, edit);
  print(linesText(lines));
  return applyPolicy(rollOut, next, false);
}

function edited(files: readonly PolicyFile[], edit: PolicyEdit) {
  try {
    parseFiles(files); // what is wrong before is told by its own sentence
    return editPolicy(files, edit);
  } catch (error) {
    if (error instanceof PolicyEditError) throw new Failure(1, error.message, "");
    if (error instanceof PolicyError) throw new Failure(2, error.message, "");
    throw error;
  }
}

function linesText({ file, line, removed, added }: EditedLines): string {
  // Quotes stay: these are lines to be compared with the file.
  const shownAs = (text: string) => (/^[\x20-\x7e]*$/.test(text) ? text : printable(text));
  const shownLines = [
    ...removed.map((text) => `- ${shownAs(text)}`),
    ...added.map((text) => `+ ${shownAs(text)}`),
  ];
  return [`${printable(file)}:${line}`, ...shownLines].join("\n");
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
