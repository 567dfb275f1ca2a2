import { readdirSync } from "node:fs";
import { join } from "node:path";
import { printable } from "@wardmq/events";
import { type KeyProvider, openPrivateKeyFile, writePrivateKeyFile } from "@wardmq/keys";
import { isKeyOf, keyPathOf } from "../ca/ca-keys.ts";
import { caIdOf } from "../ca/certificate-authority.ts";
import { decodeCertificates } from "../ca/pem-file.ts";
import { caKeyPath, paths } from "../deployment.ts";
import { Failure, systemCode } from "../failure.ts";
import { keyProviders } from "../keys.ts";

/**
 * Takes over keys of CAs of the deployment in `folder` that were kept in another folder: opened by the provider that they
 * were wrapped by, and wrapped by one of this host. The key of the CA that signs has to be there afterwards.
 */
export function takeKeptCaKeys(folder: string, keptIn: string, provider: KeyProvider): void {
  const kept = keyFilesIn(keptIn);
  const cas = [paths.issuingCertificate, paths.rootCertificate].flatMap((path) =>
    decodeCertificates(join(folder, path)),
  );
  for (const ca of cas) {
    const path = kept.find((one) => isKeyOf(ca, one));
    if (path === undefined || keyPathOf(ca, folder) !== undefined) continue;
    const key = openPrivateKeyFile(path, keyProviders);
    writePrivateKeyFile(join(folder, caKeyPath(caIdOf(ca))), key, provider);
  }
  if (hasIssuingKey(folder)) return;
  throw new Failure(
    "ERR_CA",
    `no file in ${printable(keptIn, 1000)} holds the key of the issuing CA`,
    {
      hint: "put the control/issuing-ca.key there that belonged to the deployment when it was backed up",
    },
  );
}

/** Whether the deployment in `folder` has the key of the CA that signs: nothing is served without it. */
export function hasIssuingKey(folder: string): boolean {
  const [signing] = decodeCertificates(join(folder, paths.issuingCertificate));
  return keyPathOf(signing, folder) !== undefined;
}

function keyFilesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(".key") && name !== "kek.key")
      .map((name) => join(folder, name));
  } catch (cause) {
    const why = systemCode(cause);
    if (why === undefined) throw cause;
    throw new Failure("ERR_BACKUP_FILE", `cannot read ${printable(folder, 1000)}: ${why}`, {
      hint: "name the folder that the keys of the CAs are kept in",
      cause,
    });
  }
}
