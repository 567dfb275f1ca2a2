import { createPrivateKey, type KeyObject } from "node:crypto";
import { dirname } from "node:path";
import { printable } from "@wardmq/events";
import { hasExactly, parseJsonFile } from "./json-file.ts";
import type { KeyProvider, ProviderDescription } from "./key-provider.ts";
import { type KeyProviders, parseProviderDescription } from "./key-providers.ts";
import { KeysError } from "./keys-error.ts";
import {
  endReplacement,
  readPrivateText,
  replaceSecretFile,
  writeNewFile,
} from "./private-files.ts";
import { keySigner, type LocalSigner, spkiOf } from "./signer.ts";

/** What the file of a private key holds. It opens with its provider alone, wherever it is kept. */
export interface PrivateKeyFileContent {
  readonly about: string;
  readonly version: 1;
  /** SubjectPublicKeyInfo, DER in base64: which key it is, for whoever can not open it. */
  readonly publicKey: string;
  readonly provider: ProviderDescription;
  /** The private key, PKCS#8 in DER, wrapped by the provider; base64. */
  readonly wrapped: string;
}

const about = "A private key of WardMQ, wrapped. See docs/keys.md.";

/** Writes a private key to a new file, wrapped. */
export function writePrivateKeyFile(path: string, key: KeyObject, provider: KeyProvider): void {
  writeNewFile(path, textOf(key, provider), 0o600);
}

/** The Signer of the private key in a file, or a KeysError. */
export function fileSigner(path: string, providers: KeyProviders): LocalSigner {
  const key = openPrivateKeyFile(path, providers);
  try {
    return keySigner(key);
  } catch (cause) {
    throw damaged(path, "holds a key that signs no certificates", cause);
  }
}

/** Wraps the private key of a file by another provider. */
export function rewrapPrivateKeyFile(
  path: string,
  providers: KeyProviders,
  provider: KeyProvider,
): void {
  replaceSecretFile(path, textOf(openPrivateKeyFile(path, providers), provider));
}

/** What the file of a private key says, the key still wrapped. */
export function readPrivateKeyFile(path: string): PrivateKeyFileContent {
  const content = parseJsonFile(readPrivateText(path));
  if (hasExactly(content, ["about", "version", "publicKey", "provider", "wrapped"])) {
    const { version, publicKey, provider, wrapped } = content;
    const isWhole =
      version === 1 &&
      typeof publicKey === "string" &&
      parseProviderDescription(provider) !== undefined &&
      typeof wrapped === "string";
    // INVARIANT: everything that the type says has been looked at.
    if (isWhole) return content as unknown as PrivateKeyFileContent;
  }
  throw damaged(path, "holds no wrapped private key");
}

/** The private key in a file, unwrapped. */
export function openPrivateKeyFile(path: string, providers: KeyProviders): KeyObject {
  endReplacement(path);
  const { provider, publicKey, wrapped } = readPrivateKeyFile(path);
  try {
    const opened = providers.open(provider, dirname(path));
    const pkcs8 = opened.unwrap(Buffer.from(wrapped, "base64"), associatedData(publicKey));
    const key = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
    pkcs8.fill(0);
    return key;
  } catch (error) {
    if (!(error instanceof KeysError)) throw error;
    const message = `${printable(path)} can not be opened: ${error.message}`;
    throw new KeysError(error.code, message, error.hint, error);
  }
}

function textOf(key: KeyObject, provider: KeyProvider): string {
  const publicKey = Buffer.from(spkiOf(key)).toString("base64");
  const pkcs8 = key.export({ type: "pkcs8", format: "der" });
  const wrapped = provider.wrap(pkcs8, associatedData(publicKey)).toString("base64");
  pkcs8.fill(0);
  const content: PrivateKeyFileContent = {
    about,
    version: 1,
    publicKey,
    provider: provider.description,
    wrapped,
  };
  return `${JSON.stringify(content, undefined, 2)}\n`;
}

/** Binds the private key to the public key that its file names. */
function associatedData(publicKey: string): Buffer {
  return Buffer.from(JSON.stringify(["wardmq private key", publicKey]));
}

function damaged(path: string, what: string, cause?: unknown): KeysError {
  const hint = "restore it from a backup";
  return new KeysError("ERR_KEY_FILE", `${printable(path)} ${what}`, hint, cause);
}
