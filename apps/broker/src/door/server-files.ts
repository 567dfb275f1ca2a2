import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** The server's key or certificate cannot be used: one sentence for the operator. */
export class CredentialFault extends Error {}

const keyFile = "broker/server.key";
const certificateFile = "broker/server.pem";

/** Reads the server's key and certificate, refusing what would only fail at the first handshake. */
export function readServerFiles(
  directory: string,
  hosts: readonly string[],
  now: number,
): { readonly key: string; readonly certificate: string } {
  const key = read(directory, keyFile);
  const mode = statSync(join(directory, keyFile)).mode & 0o777;
  if ((mode & 0o077) !== 0) {
    throw new CredentialFault(
      `${keyFile} may be read by others (mode ${mode.toString(8)}): chmod 600 it, and replace the key if others had access`,
    );
  }
  const certificate = read(directory, certificateFile);
  const leaf = parse(certificate);
  if (!matches(leaf, key)) {
    throw new CredentialFault(
      `${certificateFile} does not belong to ${keyFile}: replace both together`,
    );
  }
  if (Date.parse(leaf.validTo) <= now) {
    throw new CredentialFault(
      `${certificateFile} expired on ${leaf.validTo}: start control, which renews it, or put a new one in its place`,
    );
  }
  const missing = hosts.filter((host) => !covers(leaf, host));
  if (missing.length > 0) {
    throw new CredentialFault(
      `${certificateFile} does not name ${missing.join(", ")}: hosts in wardmq.yaml and the certificate must agree`,
    );
  }
  return { key, certificate };
}

/** Changes when either file does. */
export function serverFilesStamp(directory: string): string {
  try {
    return [keyFile, certificateFile]
      .map((file) => statSync(join(directory, file)))
      .map(({ mtimeMs, size, ino }) => `${mtimeMs}.${size}.${ino}`)
      .join(" ");
  } catch {
    return ""; // between two renames: the next look finds them
  }
}

function read(directory: string, file: string): string {
  try {
    return readFileSync(join(directory, file), "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CredentialFault(
      `${file} cannot be read (${code}): wardmq init makes it, and its owner must run the broker`,
    );
  }
}

function parse(certificate: string): X509Certificate {
  try {
    return new X509Certificate(certificate);
  } catch {
    throw new CredentialFault(
      `${certificateFile} holds no certificate: PEM, the server's first, then its issuing CAs`,
    );
  }
}

function matches(leaf: X509Certificate, key: string): boolean {
  try {
    return leaf.checkPrivateKey(createPrivateKey(key));
  } catch {
    throw new CredentialFault(`${keyFile} holds no private key that can be read: PEM, PKCS#8`);
  }
}

/** Hosts are DNS names: a client sends no server name for an IP address. */
function covers(leaf: X509Certificate, host: string): boolean {
  return leaf.checkHost(host) !== undefined;
}
