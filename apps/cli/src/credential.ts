import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CertificateSummary } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import { certificateRequest, encodePem } from "@wardmq/x509";
import { ask } from "./ask.ts";
import { Failure, systemCode } from "./failure.ts";

/** What a credential's folder holds. */
export const credentialFiles = ["key.pem", "cert.pem", "ca.pem"] as const;

/**
 * Makes a key in the folder `out`, has control of the current deployment certify it, and puts certificate, path and
 * trust anchors beside it. The key never leaves the folder; a folder that holds a credential is left as it is.
 */
export async function makeCredential(subject: string, out: string): Promise<CertificateSummary> {
  const existing = credentialFiles.find((file) => existsSync(join(out, file)));
  if (existing !== undefined) throw alreadyThere(join(out, existing));
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const keyFile = join(out, "key.pem");
  writeKey(out, keyFile, privateKey.export({ type: "pkcs8", format: "pem" }));
  try {
    const request = await requestPem(privateKey, publicKey);
    const result = subject.startsWith("operator:")
      ? await ask("operator.credential", { operator: subject, certificateRequest: request })
      : await ask("credential", { subject, certificateRequest: request });
    writeFileSync(join(out, "cert.pem"), result.certificateChain, { flag: "wx", mode: 0o644 });
    writeFileSync(join(out, "ca.pem"), result.trustAnchors, { flag: "wx", mode: 0o644 });
    return result.certificate;
  } catch (error) {
    rmSync(keyFile, { force: true }); // a key without a certificate is good for nothing
    throw error;
  }
}

async function requestPem(privateKey: KeyObject, publicKey: KeyObject): Promise<string> {
  const spki = new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
  const proof = (bytes: Uint8Array) => new Uint8Array(sign("sha256", bytes, privateKey));
  return encodePem("CERTIFICATE REQUEST", await certificateRequest(spki, proof));
}

function writeKey(out: string, keyFile: string, pem: string | Buffer): void {
  try {
    mkdirSync(out, { recursive: true, mode: 0o700 });
    writeFileSync(keyFile, pem, { flag: "wx", mode: 0o600 });
  } catch (cause) {
    const code = systemCode(cause);
    if (code === "EEXIST" && existsSync(keyFile)) throw alreadyThere(keyFile);
    const isFile = code === "EEXIST" || code === "ENOTDIR";
    const why = isFile ? "it is, or lies below, a file" : (code ?? "failed");
    const message = `cannot make the folder ${printable(out)}: ${why}`;
    throw new Failure(1, message, "name a folder that you may write to with --out");
  }
}

function alreadyThere(path: string): Failure {
  return new Failure(
    1,
    `${printable(path)} is there already and is not overwritten`,
    "choose another --out",
  );
}
