import { spawnSync } from "node:child_process";
import { createPrivateKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { dirname, join, resolve } from "node:path";
import { printable } from "@wardmq/events";
import {
  destroyFile,
  destroyPkcs11Key,
  KeysError,
  keyEnvironment,
  keySigner,
  newPkcs11Signer,
  parsePkcs11Uri,
  pkcs11Signer,
  readPin,
  readPrivateText,
  writeNewFile,
} from "@wardmq/keys";
import {
  DerReader,
  decodePem,
  element,
  encodePem,
  type Signer,
  sequence,
  tags,
} from "@wardmq/x509";
import { Failure } from "../failure.ts";

/** Where a device keeps its key: what `--key` says. */
export type KeyStore =
  | { readonly name: "file" }
  | { readonly name: "tpm2" }
  | { readonly name: "pkcs11"; readonly uri: string };

/** A key of a device, as the key.pem of its folder has it or says where it is. */
export interface DeviceKey {
  /** What its successor is made in. */
  readonly store: KeyStore;
  readonly signer: Signer;
  /** How TLS uses it: its PEM, or what `openssl s_client` is told of a key that never comes out of its hardware. */
  readonly tls: { readonly pem: string } | OpensslKey;
}

/** Options of the program openssl that have it use a key in hardware. */
export interface OpensslKey {
  /** `folder` is the caller's alone, and gone after the connection. */
  readonly options: (folder: string) => readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export const keyStoreForms =
  "file, tpm2, or pkcs11:token=LABEL;object=LABEL?module-path=/PATH.so&pin-source=file:PATH";

export function parseKeyStore(text: string): KeyStore | undefined {
  if (text === "file" || text === "tpm2") return { name: text };
  if (!text.startsWith("pkcs11:")) return undefined;
  parsePkcs11Uri(text); // says what is wrong with it
  return { name: "pkcs11", uri: text };
}

/** Makes a P-256 key; gives what key.pem holds: the key, the key wrapped by its TPM, or where in a token it is. */
export function makeKey(store: KeyStore): string {
  switch (store.name) {
    case "file":
      return generateKeyPairSync("ec", { namedCurve: "P-256" })
        .privateKey.export({ type: "pkcs8", format: "pem" })
        .toString();
    case "tpm2":
      return openssl([
        "genpkey",
        ...tpm2Options,
        ...["-algorithm", "EC", "-pkeyopt", "group:P-256"],
      ]).toString("latin1");
    case "pkcs11": {
      // A key that is there is never overwritten, and the one before serves until the next has its certificate.
      const uri = store.uri.replace(
        /object=([^;?]*)/,
        `object=$1-${randomBytes(4).toString("hex")}`,
      );
      const found = withAbsolutePin(uri);
      ofKeys(() => newPkcs11Signer(found, "P-256", environment, ".", () => {})); // destroyKey undoes it
      return tokenPem(found);
    }
  }
}

/** Opens the key that a file holds or names. */
export function openKey(path: string): DeviceKey {
  const text = ofKeys(() => readPrivateText(path));
  if (text.startsWith(`-----BEGIN ${labels.tpm2}-----`)) return tpm2Key(path);
  const uri = tokenUri(text);
  if (uri !== undefined) return tokenKey(uri);
  return { store: { name: "file" }, signer: ofFile(text, path), tls: { pem: text } };
}

/** Destroys the file of a key, and in a token the key itself; gives a sentence where the token does not let it go. */
export function destroyKey(path: string): string | undefined {
  let left: string | undefined;
  try {
    const uri = tokenUri(readPrivateText(path));
    if (uri !== undefined) destroyPkcs11Key(uri, environment, dirname(path));
  } catch (error) {
    if (!(error instanceof KeysError)) throw error;
    left = `a former key is left in the token: ${error.message}`;
  }
  destroyFile(path);
  return left;
}

const environment = keyEnvironment(process.env);

/** Of PEM. That of a token is what the OpenSSL provider of pkcs11-provider reads as a key, too. */
const labels = { tpm2: "TSS2 PRIVATE KEY", token: "PKCS#11 PROVIDER URI" } as const;

/** Keys and signatures are the TPM's; digests and random numbers are not, for which it is far too slow. */
const tpm2Options = [
  ...["-provider", "tpm2", "-provider", "default"],
  ...["-propquery", "?provider=tpm2,tpm2.digest!=yes,tpm2.cipher!=yes,tpm2.rand!=yes"],
];

/** In TLS the TPM makes signatures alone: with its keys in the way of key exchange OpenSSL 3.0 has no NIST curve to offer. */
const tpm2TlsOptions = [
  ...["-provider", "default", "-provider", "tpm2"],
  ...["-propquery", "?tpm2.signature=yes"],
];

function tpm2Key(path: string): DeviceKey {
  const inFile = [...tpm2Options, "-in", path];
  return {
    store: { name: "tpm2" },
    signer: {
      algorithm: "ecdsa-with-SHA256",
      publicKey: new Uint8Array(openssl(["pkey", ...inFile, "-pubout", "-outform", "DER"])),
      sign: (bytes) =>
        new Uint8Array(openssl(["dgst", ...tpm2Options, "-sha256", "-sign", path], bytes)),
    },
    tls: { options: () => [...tpm2TlsOptions, "-key", path], environment: {} },
  };
}

function tokenKey(uri: string): DeviceKey {
  const { object, token, modulePath, pinSource } = ofKeys(() => parsePkcs11Uri(uri));
  const path = `token=${encodeURIComponent(token)};object=${encodeURIComponent(object)};type=private`;
  const options = (folder: string) => {
    const pin = join(folder, "pin"); // the engine takes the end of a line for a part of the PIN
    writeNewFile(pin, readPin(pinSource, environment, "."), 0o600);
    const key = `pkcs11:${path}?pin-source=file:${pin}`;
    return ["-engine", "pkcs11", "-keyform", "engine", "-key", key];
  };
  return {
    store: { name: "pkcs11", uri: uri.replace(/-[0-9a-f]{8}(?=[;?])/, "") },
    signer: ofKeys(() => pkcs11Signer(uri, environment, ".")),
    tls: { options, environment: { PKCS11_MODULE_PATH: modulePath } },
  };
}

/** The file of a PIN, from wherever the key is used later. */
function withAbsolutePin(uri: string): string {
  return uri.replace(/pin-source=file:([^&]*)/, (_, path: string) => {
    return `pin-source=file:${resolve(decodeURIComponent(path))}`;
  });
}

function tokenPem(uri: string): string {
  const about = Buffer.from("PKCS#11 Provider URI v1.0");
  const text = Buffer.from(uri);
  return encodePem(
    labels.token,
    sequence(element(tags.visibleString, about), element(tags.utf8String, text)),
  );
}

function tokenUri(pem: string): string | undefined {
  if (!pem.startsWith(`-----BEGIN ${labels.token}-----`)) return undefined;
  const reader = new DerReader(
    new DerReader(decodePem(labels.token, pem)).read(tags.sequence).content,
  );
  reader.read(tags.visibleString);
  return Buffer.from(reader.read(tags.utf8String).content).toString("utf8");
}

function ofFile(pem: string, path: string): Signer {
  try {
    return keySigner(createPrivateKey(pem));
  } catch {
    throw new Failure(2, `${printable(path)} holds no key`, "enrol again, with --force");
  }
}

function ofKeys<T>(use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (error instanceof KeysError) throw new Failure(2, error.message, error.hint);
    throw error;
  }
}

const longestOutput = 1024 * 1024;

/** What the program openssl prints; that it is missing or can not is a sentence. */
function openssl(words: readonly string[], input: Uint8Array = new Uint8Array()): Buffer {
  const { status, stdout, stderr, error } = spawnSync("openssl", words, {
    input,
    maxBuffer: longestOutput,
    timeout: 60_000,
  });
  if (status === 0 && stdout.length > 0) return stdout;
  throw opensslFailed(words[0] ?? "", error, String(stderr ?? ""));
}

export function opensslFailed(command: string, error: Error | undefined, said: string): Failure {
  if ((error as NodeJS.ErrnoException | undefined)?.code === "ENOENT") {
    const hint = "install openssl, and for keys in a TPM tpm2-openssl";
    return new Failure(2, "keys in hardware need the program openssl, which is not there", hint);
  }
  const last = said.trim().split("\n").at(-1) ?? "";
  return new Failure(
    1,
    `openssl ${command} could not use the key: ${printable(last, 300)}`,
    "a TPM needs tpm2-openssl and TPM2OPENSSL_TCTI or /dev/tpmrm0, a token libengine-pkcs11-openssl",
  );
}
