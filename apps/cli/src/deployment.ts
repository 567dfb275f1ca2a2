import { mkdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { printable } from "@wardmq/events";
import { Failure, systemCode } from "./failure.ts";

/**
 * Splits the words after a command into the deployment's folder and the rest: DIR may be left out where WARDMQ_DIR is
 * set.
 */
export function takeDirectory(
  words: readonly string[],
  operands: readonly string[],
  environment: NodeJS.ProcessEnv,
): { readonly directory: string; readonly rest: readonly string[] } {
  const fromEnvironment = environment["WARDMQ_DIR"];
  if (words.length === operands.length + 1) {
    const [directory = "", ...rest] = words;
    return { directory: resolve(directory), rest };
  }
  if (words.length === operands.length && fromEnvironment) {
    return { directory: resolve(fromEnvironment), rest: words };
  }
  const expected = ["DIR", ...operands].join(" ");
  if (words.length > operands.length + 1) {
    const extra = printable(words[operands.length + 1] ?? "", 60);
    throw new Failure(2, `"${extra}" is one word too many`, `expected ${expected}`);
  }
  const missing =
    words.length === operands.length
      ? "DIR"
      : operands[words.length === 0 ? 0 : operands.length - 1];
  throw new Failure(
    2,
    `${missing ?? "DIR"} is missing`,
    `expected ${expected}; DIR may be left out where WARDMQ_DIR is set`,
  );
}

/**
 * Makes an existing deployment's folder the current one: a path of a Unix socket holds only about 100 bytes, so the
 * sockets are named relative to it.
 */
export function enterDeployment(directory: string): void {
  try {
    process.chdir(directory);
  } catch (cause) {
    throw notADeployment(directory, cause);
  }
  readDeploymentFile(directory, "wardmq.yaml");
}

/** The text of `wardmq.yaml`. */
export function readDeploymentFile(directory: string, name: "wardmq.yaml"): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(resolve(directory, name)));
  } catch (cause) {
    if (cause instanceof TypeError)
      throw new Failure(
        2,
        `${printable(resolve(directory, name))}:1:1: not UTF-8`,
        "save it as UTF-8",
      );
    if (systemCode(cause) === "ENOENT") throw notADeployment(directory, cause);
    const why = systemCode(cause) ?? "unreadable";
    throw new Failure(
      2,
      `cannot read ${printable(resolve(directory, name))}: ${why}`,
      "make it readable for you",
    );
  }
}

function notADeployment(directory: string, cause: unknown): Failure {
  const code = systemCode(cause);
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "holds no deployment (no wardmq.yaml)",
    ENOTDIR: "is not a folder",
  };
  const why = reasons[code ?? ""] ?? `cannot be used (${code ?? String(cause)})`;
  return new Failure(
    2,
    `${printable(directory)} ${why}`,
    code === "EACCES"
      ? "run it as the user the folder belongs to"
      : "make one: wardmq init DIR --org ORG --host NAME",
  );
}

/** The folder for sockets and process ids, for its owner only. */
export function makeRunFolder(directory: string): string {
  const run = resolve(directory, "run");
  mkdirSync(run, { recursive: true, mode: 0o700 });
  return run;
}
