import { createPublicKey } from "node:crypto";
import { printable } from "@wardmq/events";
import { readPrivateText, replaceFile } from "@wardmq/keys";
import {
  type Certificate,
  decodeCertificate,
  decodePems,
  encodeGeneralName,
  encodeName,
  extensionOids,
  generalNamesOf,
  hostGeneralName,
  longestLifetimeMs,
  sameBytes,
} from "@wardmq/x509";
import { Failure } from "../failure.ts";
import { readText } from "../files.ts";
import type { Authority } from "./authority.ts";
import { certificatePem, isIssuedBy, issue, randomSerialNumber } from "./certificate-authority.ts";

/** Signs a certificate for the broker's key, with every host as a name, and its path up to the root. */
export async function issueServerCertificate(
  { issuer, cross }: ServerIssuer,
  publicKey: Uint8Array,
  hosts: readonly string[],
  now: number,
): Promise<string> {
  const issued = await issue(issuer, {
    profile: "server",
    subject: encodeName({ commonName: "WardMQ broker" }),
    subjectAltName: hosts.map(hostGeneralName),
    publicKey,
    serialNumber: randomSerialNumber(),
    now,
  });
  return [issued, issuer.certificate, ...cross].map(certificatePem).join("");
}

/** Who signs server certificates, and what stands behind the issuing CA in their path. */
export type ServerIssuer = Pick<Authority, "issuer" | "cross">;

/** Where the broker's key and certificate lie. */
export interface ServerFiles {
  readonly keyPath: string;
  readonly certificatePath: string;
}

/**
 * Issues the broker's certificate again when it is ours and less than a third of its life is left, its names are not
 * the hosts of the settings, or a former CA issued it. One from a foreign CA is the operator's: it is left alone. Tells
 * whether it was replaced.
 */
export async function renewServerCertificate(
  authority: Pick<Authority, "issuer" | "issuers" | "cross">,
  { keyPath, certificatePath }: ServerFiles,
  hosts: readonly string[],
  now: number,
): Promise<boolean> {
  const { issuer, issuers, cross } = authority;
  const [current, ...path] = decodeCertificates(certificatePath);
  const publicKey = publicKeyOf(keyPath);
  if (!sameBytes(current.publicKey, publicKey)) {
    throw new Failure(
      "ERR_SERVER_CERTIFICATE",
      "broker/server.pem does not belong to the key broker/server.key",
      {
        hint: "restore the two together",
      },
    );
  }
  const isOurs = issuers.some((one) => isIssuedBy(current, one));
  const { notBefore, notAfter } = current.validity;
  if (!isOurs) {
    if (notAfter >= now) return false;
    throw new Failure("ERR_SERVER_CERTIFICATE", `broker/server.pem expired on ${day(notAfter)}`, {
      hint: "put a new certificate there; control renews only those of its own CA",
    });
  }
  const isFresh =
    notBefore <= now && // else the clock went wrong when it was issued
    notAfter - now >= longestLifetimeMs("server") / 3 &&
    isIssuedBy(current, issuer.certificate) &&
    isSamePath(path, [issuer.certificate, ...cross]);
  if (isFresh && namesAre(current, hosts)) return false;
  replaceFile(
    certificatePath,
    await issueServerCertificate(authority, publicKey, hosts, now),
    0o600,
  );
  return true;
}

function isSamePath(path: readonly Certificate[], wanted: readonly Certificate[]): boolean {
  return (
    path.length === wanted.length &&
    wanted.every(({ der }, i) => sameBytes(der, path[i]?.der ?? der.subarray(1)))
  );
}

export const day = (milliseconds: number) => new Date(milliseconds).toISOString().slice(0, 10);

function namesAre(current: Certificate, hosts: readonly string[]): boolean {
  const found = current.extensions.find(({ oid }) => oid === extensionOids.subjectAltName);
  if (found === undefined) return false;
  const hex = (names: readonly Uint8Array[]) =>
    names.map((name) => Buffer.from(name).toString("hex")).sort();
  const wanted = hex(hosts.map((host) => encodeGeneralName(hostGeneralName(host))));
  return wanted.join() === hex(generalNamesOf(found.value)).join();
}

/** SubjectPublicKeyInfo of a private key's file: any key that TLS can use. */
function publicKeyOf(keyPath: string): Uint8Array {
  const text = readPrivateText(keyPath);
  try {
    return new Uint8Array(createPublicKey(text).export({ type: "spki", format: "der" }));
  } catch (cause) {
    throw new Failure("ERR_KEY", `${printable(keyPath)} holds no private key in PEM`, {
      hint: "restore it from a backup",
      cause,
    });
  }
}

/** The certificates of a PEM file: at least one. */
export function decodeCertificates(path: string): readonly [Certificate, ...Certificate[]] {
  const text = readText(path);
  try {
    const [first, ...more] = decodePems("CERTIFICATE", text).map(decodeCertificate);
    if (first === undefined) throw new Error("empty");
    return [first, ...more];
  } catch (cause) {
    throw new Failure("ERR_CERTIFICATE", `${printable(path)} holds no certificate in PEM`, {
      hint: "restore it from a backup",
      cause,
    });
  }
}
