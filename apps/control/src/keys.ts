import { generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { readdirSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import {
  isPlainKeyFile,
  KeyFile,
  KeyProviders,
  keyEnvironment,
  keySigner,
  type LocalSigner,
  openLocalSigner as openLocalSignerFile,
  openSigner as openSignerFile,
  readPrivateKeyFile,
  writePrivateKeyFile,
  writeTokenKeyFile,
} from "@wardmq/keys";
import type { SealedPlace } from "@wardmq/sealing";
import type { Signer } from "@wardmq/x509";
import { paths } from "./deployment.ts";

/** The providers of this process: credentials and passphrase are its own, whichever part asks for a key. */
export const keyProviders = new KeyProviders(keyEnvironment(process.env));

/** The key ring that seals what control keeps on the disk. */
export function openControlKeys(): KeyFile {
  return KeyFile.open(paths.controlKeys, "control", keyProviders);
}

/** Seals one kind of thing that control keeps. */
export function controlPlace({ ring, store }: KeyFile, table: string): SealedPlace {
  return ring.at({ purpose: "control", store, table });
}

/** The files that hold a private key, wrapped; what is in a token is none of them. */
export function wrappedKeyFiles(): readonly string[] {
  return ["broker", "control"]
    .flatMap((folder) => readdirSync(folder).map((name) => ({ folder, name })))
    .filter(({ name }) => /^[^.].*\.key$/.test(name) && name !== "kek.key")
    .map(({ folder, name }) => `${folder}/${name}`)
    .filter((path) => !isOperatorsKey(path) && "wrapped" in readPrivateKeyFile(path))
    .sort();
}

/** A key that an operator has put there for the broker's own listeners, before the broker has wrapped it. */
const isOperatorsKey = (path: string) => path === paths.serverKey && isPlainKeyFile(path);

/** A Signer over the private key that a file holds or names. */
export function openSigner(path: string): Signer {
  return openSignerFile(path, keyProviders);
}

/** A Signer over the private key that a file holds: it signs at once. */
export function openLocalSigner(path: string): LocalSigner {
  return openLocalSignerFile(path, keyProviders);
}

/** Writes a private key to a new file, wrapped by the provider of the key in the file `like`. */
export function writeKeyLike(like: string, path: string, key: KeyObject): void {
  const content = readPrivateKeyFile(like);
  // A key that is born here is in no token: the key that signs the feed tells which provider this deployment uses.
  const { provider } = "pkcs11" in content ? wrappedKey(paths.feedKey) : content;
  writePrivateKeyFile(path, key, keyProviders.open(provider, dirname(path)));
}

/** Makes a P-256 key where the one of the file `like` is, in a token or a file; `pathOf` gives its file. */
export function makeKeyLike(like: string, pathOf: (signer: Signer) => string): Signer {
  const content = readPrivateKeyFile(like);
  if ("pkcs11" in content) {
    const uri = content.pkcs11.replace(
      /object=[^;?]*/,
      `object=wardmq-${randomBytes(8).toString("hex")}`,
    );
    const half = `${like}.new`;
    const signer = writeTokenKeyFile(half, uri, "P-256", keyProviders);
    renameSync(half, pathOf(signer));
    return signer;
  }
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signer = keySigner(privateKey);
  writeKeyLike(like, pathOf(signer), privateKey);
  return signer;
}

function wrappedKey(path: string) {
  const content = readPrivateKeyFile(path);
  if ("pkcs11" in content) throw new Error(`${path} names a key in a token`);
  return content;
}
