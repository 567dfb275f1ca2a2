import {
  KeyFile,
  KeyProviders,
  keyEnvironment,
  type LocalSigner,
  openSigner as openSignerFile,
} from "@wardmq/keys";
import type { SealedPlace } from "@wardmq/sealing";
import { paths } from "./deployment.ts";
import { sealedStateFile } from "./files.ts";

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

/** What control seals apart from registry and events: INVARIANT: `rekey` gets all of it. */
export function sealedFilesOf(keys: KeyFile) {
  return {
    tokenRevocations: sealedStateFile(
      paths.tokenRevocations,
      controlPlace(keys, "token-revocations"),
    ),
  };
}

/** A Signer over the wrapped private key in a file. */
export function openSigner(path: string): LocalSigner {
  return openSignerFile(path, keyProviders);
}
