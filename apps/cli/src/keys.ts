import type { ChildProcess } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Writable } from "node:stream";
import {
  committedPath,
  KeysError,
  passphraseCredential,
  passphraseDescriptor,
  readKeyFile,
  readPrivateKeyFile,
  weakerProviders,
} from "@wardmq/keys";
import { Failure } from "./failure.ts";
import { readNewPassphrase, readPassphrase } from "./passphrase.ts";

const keyFiles = ["control/keys.json", "broker/keys.json"] as const;

/** What weakens the keys of the deployment in the current folder, one line each. */
export function keyFindings(): readonly string[] {
  // That one is missing is said by control, which makes them where keys still lie in the clear.
  const there = keyFiles.filter((path) => existsSync(path));
  return there.flatMap((path) => {
    const { name } = providerOf(path);
    const weakness = weakerProviders[name];
    return weakness === undefined ? [] : [`the keys of ${path} are kept by ${name}: ${weakness}`];
  });
}

/** The passphrase of the deployment in the current folder; undefined when its keys need none, or systemd gives it. */
export function deploymentPassphrase(): string | undefined {
  const isNeeded = keyFiles.some(
    (path) => existsSync(path) && providerOf(path).name === "passphrase",
  );
  return isNeeded && !isCredential() ? oldPassphrase() : undefined;
}

/** The passphrase of a deployment that is being made with this provider; undefined when it needs none. */
export function newDeploymentPassphrase(provider: string): string | undefined {
  if (provider !== "passphrase" || isCredential()) return undefined;
  return readNewPassphrase(ownDescriptor(), newQuestion);
}

/** The passphrase of key files that are kept in this folder; undefined when none of them needs one. */
export function keptPassphrase(folder: string): string | undefined {
  return !isCredential() && keyNames(folder).some((name) => isBehindPassphrase(join(folder, name)))
    ? oldPassphrase()
    : undefined;
}

function keyNames(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(".key"));
  } catch {
    return []; // control says why
  }
}

function isBehindPassphrase(path: string): boolean {
  try {
    const content = readPrivateKeyFile(path);
    return "wrapped" in content && content.provider.name === "passphrase";
  } catch (error) {
    if (error instanceof KeysError) return false; // a kek.key, or what control will refuse
    throw error;
  }
}

const newQuestion = "new passphrase of the keys: ";

/** The passphrase that a deployment gets in place of another one or of another provider, from a descriptor of its own. */
export function changedPassphrase(provider: string, descriptor: number | undefined) {
  return provider === "passphrase" ? readNewPassphrase(descriptor, newQuestion) : undefined;
}

/** Asked for once, however often control is started. */
const oldPassphrase = once(() => readPassphrase(ownDescriptor(), "passphrase of the keys: "));

function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

function ownDescriptor(): number | undefined {
  const given = process.env[passphraseDescriptor];
  if (given === undefined) return undefined;
  if (/^\d{1,4}$/.test(given)) return Number(given);
  const hint = `write one that is open: ${passphraseDescriptor}=3 wardmq ... 3<FILE`;
  throw new Failure(2, `${passphraseDescriptor} is no number of a file descriptor`, hint);
}

function isCredential(): boolean {
  const folder = process.env["CREDENTIALS_DIRECTORY"];
  return folder !== undefined && existsSync(join(folder, passphraseCredential));
}

const childDescriptor = 3;

/** How a child gets a passphrase: through a pipe, its number in the environment. */
export function passphraseFor(passphrase: string | undefined): {
  readonly stdio: readonly "pipe"[];
  readonly variables: Readonly<Record<string, string>>;
  /** Writes it to the child that was started with the two. */
  readonly give: (child: ChildProcess) => void;
} {
  if (passphrase === undefined) return { stdio: [], variables: {}, give: () => {} };
  return {
    stdio: ["pipe"],
    variables: { [passphraseDescriptor]: String(childDescriptor) },
    give: ({ stdio }) => {
      const pipe = stdio[childDescriptor] as Writable | null | undefined;
      pipe?.on("error", () => {}); // it ended before it asked
      pipe?.end(passphrase);
    },
  };
}

function providerOf(path: (typeof keyFiles)[number]) {
  try {
    return readKeyFile(committedPath("control/keys-change.json", path)).provider;
  } catch (error) {
    if (!(error instanceof KeysError)) throw error;
    throw new Failure(2, error.message, error.hint);
  }
}
