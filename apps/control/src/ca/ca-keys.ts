import { existsSync } from "node:fs";
import { join } from "node:path";
import { destroyFile, readPrivateKeyFile } from "@wardmq/keys";
import type { Certificate, Signer } from "@wardmq/x509";
import { caKeyPath, paths } from "../deployment.ts";
import { Failure } from "../failure.ts";
import { makeKeyLike, openSigner } from "../keys.ts";
import { caIdOf, type Issuer, keyIdentifierOf } from "./certificate-authority.ts";

/** Makes the key of a new CA where the key of its predecessor is, in a token or a file of its own name. */
export function makeCaKey(predecessor: Certificate): Signer {
  return makeKeyLike(keyPathOf(predecessor) ?? paths.feedKey, ({ publicKey }) =>
    caKeyPath(Buffer.from(keyIdentifierOf(publicKey)).toString("hex")),
  );
}

/** The Signer of a CA, when its key is here: in a file of its name, or, of the first CAs, where init put it. */
export function openCaSigner(ca: Certificate): Signer | undefined {
  const path = keyPathOf(ca);
  return path === undefined ? undefined : openSigner(path);
}

/** The root with its key, for one explicit command. */
export function openRoot(root: Certificate): Issuer {
  const signer = openCaSigner(root);
  if (signer !== undefined) return { certificate: root, signer };
  throw new Failure("ERR_ROOT_KEY", "the key of the root CA is not in the folder control", {
    hint: `bring it back for this step with wardmq root-key restore DIR --from FILE`,
  });
}

/** Destroys the key of a CA, if it is here. */
export function removeCaKey(ca: Certificate): void {
  const path = keyPathOf(ca);
  if (path !== undefined) destroyFile(path);
}

/** The file that has or names the key of a CA, in the deployment of the current folder or of another one. */
export function keyPathOf(ca: Certificate, folder = "."): string | undefined {
  return [caKeyPath(caIdOf(ca)), paths.issuingKey, paths.rootKey]
    .map((path) => join(folder, path))
    .find((path) => existsSync(path) && isKeyOf(ca, path));
}

/** Whether a file holds or names the key of a CA; the key is not opened for it. */
export function isKeyOf(ca: Certificate, path: string): boolean {
  return readPrivateKeyFile(path).publicKey === Buffer.from(ca.publicKey).toString("base64");
}
