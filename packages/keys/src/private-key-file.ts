import { createPrivateKey, type KeyObject } from "node:crypto";
import { dirname } from "node:path";
import { printable } from "@wardmq/events";
import type { Signer } from "@wardmq/x509";
import { hasExactly, parseJsonFile } from "./json-file.ts";
import type { KeyProvider, ProviderDescription } from "./key-provider.ts";
import { type KeyProviders, parseProviderDescription } from "./key-providers.ts";
import { KeysError } from "./keys-error.ts";
import { newPkcs11Signer, pkcs11Signer, type TokenKeyType } from "./pkcs11-signer.ts";
import {
  endReplacement,
  readPrivateText,
  replaceSecretFile,
  writeNewFile,
} from "./private-files.ts";
import { keySigner, type LocalSigner, spkiOf } from "./signer.ts";

/** What the file of a private key holds. It opens with its provider or token alone, wherever it is kept. */
export type PrivateKeyFileContent = WrappedKey | TokenKey;

interface Head {
  readonly about: string;
  readonly version: 1;
  /** SubjectPublicKeyInfo, DER in base64: which key it is, for whoever can not open it. */
  readonly publicKey: string;
}

interface WrappedKey extends Head {
  readonly provider: ProviderDescription;
  /** The private key, PKCS#8 in DER, wrapped by the provider; base64. */
  readonly wrapped: string;
}

interface TokenKey extends Head {
  /** RFC 7512: where the private key is; it never leaves there. */
  readonly pkcs11: string;
}

const about = "A private key of WardMQ. See docs/keys.md.";

/** Writes a private key to a new file, wrapped. */
export function writePrivateKeyFile(path: string, key: KeyObject, provider: KeyProvider): void {
  writeNewFile(path, wrappedText(key, provider), 0o600);
}

/** Makes a key in a PKCS#11 token, and a new file that names it; gives its Signer. */
export function writeTokenKeyFile(
  path: string,
  uri: string,
  type: TokenKeyType,
  { environment, made }: KeyProviders,
): Signer {
  const signer = newPkcs11Signer(uri, type, environment, dirname(path), made);
  const publicKey = Buffer.from(signer.publicKey).toString("base64");
  writeNewFile(path, textOf({ about, version: 1, publicKey, pkcs11: uri }), 0o600);
  return signer;
}

/** The Signer of the private key that a file holds or names, or a KeysError. */
export function openSigner(path: string, providers: KeyProviders): Signer {
  endReplacement(path);
  const content = readPrivateKeyFile(path);
  const signer =
    "pkcs11" in content
      ? pkcs11Signer(content.pkcs11, providers.environment, dirname(path))
      : keySigner(unwrap(path, content, providers));
  if (Buffer.from(signer.publicKey).toString("base64") === content.publicKey) return signer;
  throw new KeysError(
    "ERR_KEY_WRONG",
    `the token holds another key than ${printable(path)} names`,
    "plug in the token that the file was made with",
  );
}

/** The Signer of the private key that a file holds, which signs at once. That it is in a token is a KeysError. */
export function openLocalSigner(path: string, providers: KeyProviders): LocalSigner {
  endReplacement(path);
  return keySigner(openPrivateKeyFile(path, providers));
}

/** The private key that a file holds. That it is in a token is a KeysError. */
export function openPrivateKeyFile(path: string, providers: KeyProviders): KeyObject {
  const content = readPrivateKeyFile(path);
  if ("wrapped" in content) return unwrap(path, content, providers);
  throw damaged(path, "names a key in a token, which never leaves there");
}

/** What the file of a private key is to hold when another provider wraps the same key. */
export function rewrappedPrivateKey(
  path: string,
  providers: KeyProviders,
  provider: KeyProvider,
): string {
  return wrappedText(openPrivateKeyFile(path, providers), provider);
}

/** Whether a file holds a private key in the clear, as WardMQ kept them before it wrapped keys. */
export function isPlainKeyFile(path: string): boolean {
  return /^-----BEGIN [A-Z ]*PRIVATE KEY-----/m.test(readPrivateText(path));
}

/** Wraps the private key that a file holds in the clear, and overwrites what lay there. */
export function wrapPlainKeyFile(path: string, provider: KeyProvider): void {
  replaceSecretFile(path, wrappedText(createPrivateKey(readPrivateText(path)), provider));
}

/** What the file of a private key says, the key still wrapped. */
export function readPrivateKeyFile(path: string): PrivateKeyFileContent {
  const content = parseJsonFile(readPrivateText(path));
  const head = ["about", "version", "publicKey"];
  const isWrapped =
    hasExactly(content, [...head, "provider", "wrapped"]) &&
    parseProviderDescription(content["provider"]) !== undefined &&
    typeof content["wrapped"] === "string";
  const isInToken =
    hasExactly(content, [...head, "pkcs11"]) && typeof content["pkcs11"] === "string";
  if (isWrapped || isInToken) {
    const { version, publicKey } = content;
    // INVARIANT: everything that the type says has been looked at.
    if (version === 1 && typeof publicKey === "string")
      return content as unknown as PrivateKeyFileContent;
  }
  throw damaged(path, "holds no wrapped private key");
}

function unwrap(path: string, content: WrappedKey, providers: KeyProviders): KeyObject {
  const { provider, publicKey, wrapped } = content;
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

function wrappedText(key: KeyObject, provider: KeyProvider): string {
  const publicKey = Buffer.from(spkiOf(key)).toString("base64");
  const pkcs8 = key.export({ type: "pkcs8", format: "der" });
  const wrapped = provider.wrap(pkcs8, associatedData(publicKey)).toString("base64");
  pkcs8.fill(0);
  return textOf({ about, version: 1, publicKey, provider: provider.description, wrapped });
}

const textOf = (content: PrivateKeyFileContent) => `${JSON.stringify(content, undefined, 2)}\n`;

/** Binds the private key to the public key that its file names. */
function associatedData(publicKey: string): Buffer {
  return Buffer.from(JSON.stringify(["wardmq private key", publicKey]));
}

function damaged(path: string, what: string): KeysError {
  const hint = "restore it from a backup";
  return new KeysError("ERR_KEY_FILE", `${printable(path)} ${what}`, hint);
}
