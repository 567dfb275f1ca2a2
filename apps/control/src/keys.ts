import {
  KeyFile,
  KeyProviders,
  keyEnvironment,
  type LocalSigner,
  openSigner as openSignerFile,
} from "@wardmq/keys";
import { paths } from "./deployment.ts";

/** The providers of this process: credentials and passphrase are its own, whichever part asks for a key. */
export const keyProviders = new KeyProviders(keyEnvironment(process.env));

/** The key ring that seals what control keeps on the disk. */
export function openControlKeys(): KeyFile {
  return KeyFile.open(paths.controlKeys, "control", keyProviders);
}

/** A Signer over the wrapped private key in a file. */
export function openSigner(path: string): LocalSigner {
  return openSignerFile(path, keyProviders);
}
