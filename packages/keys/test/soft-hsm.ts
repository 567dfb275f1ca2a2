import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const modulePath = [
  "/usr/lib/softhsm/libsofthsm2.so",
  "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
  "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
].find((path) => existsSync(path));

/** Why tests with a token can not run here; false when they can. */
export const softHsmIsMissing: string | false = whatIsMissing();

function whatIsMissing(): string | false {
  if (modulePath === undefined) return "SoftHSM2 is not installed (apt-get install softhsm2)";
  try {
    createRequire(import.meta.url)("pkcs11js");
    return false;
  } catch {
    return "pkcs11js is not built (npm rebuild pkcs11js; it needs g++, make and python3)";
  }
}

export const pin = "12345678";

/** An environment in which SoftHSM2 keeps its tokens in this folder. */
export function withSoftHsm(folder: string): NodeJS.ProcessEnv {
  const configuration = join(folder, "softhsm2.conf");
  mkdirSync(join(folder, "tokens"));
  writeFileSync(configuration, `directories.tokendir = ${join(folder, "tokens")}\n`);
  const { PATH, HOME } = process.env;
  return { PATH, HOME, SOFTHSM2_CONF: configuration };
}

/** Makes a token and gives the PKCS#11 URI of an object in it; the file with the PIN lies in `folder`. */
export function makeToken(
  folder: string,
  label: string,
  env: NodeJS.ProcessEnv = process.env,
): (object: string) => string {
  const words = ["--init-token", "--free", "--label", label, "--so-pin", pin, "--pin", pin];
  execFileSync("softhsm2-util", words, { stdio: "ignore", env });
  writeFileSync(join(folder, "pin"), `${pin}\n`, { mode: 0o600 });
  return (object) =>
    `pkcs11:token=${label};object=${object}?module-path=${modulePath}&pin-source=file:${join(folder, "pin")}`;
}

/** The labels of all objects in a token, each once. */
export function labelsIn(token: string, env: NodeJS.ProcessEnv): readonly string[] {
  const { stdout } = pkcs11ToolIn(env, token, "--list-objects");
  const labels = [...stdout.matchAll(/^ *label: +(.*)$/gm)].map(([, found]) => found ?? "");
  return [...new Set(labels)].sort();
}

/** Deletes a key pair from a token. */
export function deleteObject(token: string, label: string, env: NodeJS.ProcessEnv): void {
  for (const type of ["privkey", "pubkey"])
    pkcs11ToolIn(env, token, "--delete-object", "--type", type, "--label", label);
}

/** Runs pkcs11-tool of OpenSC on a token: another eye on what we made there. */
export function pkcs11Tool(label: string, ...words: readonly string[]) {
  return pkcs11ToolIn(process.env, label, ...words);
}

function pkcs11ToolIn(env: NodeJS.ProcessEnv, label: string, ...words: readonly string[]) {
  const given = ["--module", String(modulePath), "--token-label", label, "--login", "--pin", pin];
  return spawnSync("pkcs11-tool", [...given, ...words], { encoding: "utf8", env });
}
