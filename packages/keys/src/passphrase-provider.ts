import { createPrivateKey, type KeyObject, randomBytes, scryptSync } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readCredential } from "./credentials-provider.ts";
import type { KeyEnvironment, KeyProvider, ProviderDescription } from "./key-provider.ts";
import { KeysError } from "./keys-error.ts";
import { localProvider } from "./local-provider.ts";

type Description = Extract<ProviderDescription, { name: "passphrase" }>;
export type ScryptParameters = Omit<Description, "name">;

/** The name of the credential that may hold the passphrase. */
export const passphraseCredential = "wardmq-passphrase";

const shortestPassphrase = 12;

/** 128 MiB and some 0.3 s for each guess (RFC 7914). */
export function newScryptParameters(): ScryptParameters {
  return { salt: randomBytes(16).toString("hex"), N: 2 ** 17, r: 8, p: 1 };
}

/** A key-encryption key made from a passphrase. It is asked for when the first key is wrapped or unwrapped. */
export function passphraseProvider(
  description: Description,
  environment: KeyEnvironment,
): KeyProvider {
  let key: Buffer | undefined;
  const derive = () => {
    key ??= scryptKey(passphraseOf(environment), description);
    return key;
  };
  return localProvider(description, derive, "give the passphrase that it was made with");
}

/** A provider for a passphrase that is long enough to be used from now on. */
export function newPassphraseProvider(environment: KeyEnvironment): KeyProvider {
  refuseShort(passphraseOf(environment));
  return passphraseProvider({ name: "passphrase", ...newScryptParameters() }, environment);
}

/** Throws when a new passphrase could be guessed. */
export function refuseShort(passphrase: string): void {
  if ([...passphrase].length >= shortestPassphrase) return;
  throw new KeysError(
    "ERR_KEY_PROVIDER",
    `the passphrase has less than ${shortestPassphrase} characters`,
    "take some words that nobody would guess",
  );
}

/** 32 octets. The parameters come from a file: `areScryptParameters` has bounded them. */
function scryptKey(passphrase: string, { salt, N, r, p }: ScryptParameters): Buffer {
  const maxmem = 128 * N * r + 1024 * 1024 * (p + 1);
  return scryptSync(passphrase.normalize("NFC"), Buffer.from(salt, "hex"), 32, { N, r, p, maxmem });
}

/** PKCS#8 of X25519 (RFC 8410 section 7) up to the 32 octets of the key. */
const x25519Pkcs8 = Buffer.from("302e020100300506032b656e04220420", "hex");

/** The X25519 private key that a passphrase is: whoever knows the passphrase is the recipient. */
export function passphraseIdentity(passphrase: string, parameters: ScryptParameters): KeyObject {
  const key = Buffer.concat([x25519Pkcs8, scryptKey(passphrase, parameters)]);
  return createPrivateKey({ key, format: "der", type: "pkcs8" });
}

/** Whether these are parameters that neither weaken the passphrase nor stop the machine. */
export function areScryptParameters(
  value: Readonly<Record<string, unknown>>,
): value is ScryptParameters & Readonly<Record<string, unknown>> {
  const { salt, N, r, p } = value;
  return (
    typeof salt === "string" &&
    /^[0-9a-f]{32}$/.test(salt) &&
    typeof N === "number" &&
    [14, 15, 16, 17, 18, 19, 20].some((exponent) => N === 2 ** exponent) &&
    r === 8 &&
    (p === 1 || p === 2 || p === 4)
  );
}

/** From a credential, else what was given to the process: never from an argument or the environment. */
function passphraseOf(environment: KeyEnvironment): string {
  const { credentialsDirectory } = environment;
  const isCredential =
    credentialsDirectory !== undefined &&
    existsSync(join(credentialsDirectory, passphraseCredential));
  const given = isCredential
    ? readCredential(environment, passphraseCredential).toString("utf8")
    : environment.passphrase();
  const passphrase = given?.replace(/\r?\n$/, "");
  if (passphrase !== undefined && passphrase !== "") return passphrase;
  throw new KeysError(
    "ERR_KEY_PROVIDER",
    "the keys are protected by a passphrase, and none was given",
    `type it at a terminal, give it through the descriptor that WARDMQ_PASSPHRASE_FD names, or as the credential ${passphraseCredential}`,
  );
}
