import { createPublicKey, verify } from "node:crypto";
import {
  allowsKeyUsage,
  type Certificate,
  type CertificateList,
  decodeCertificateList,
  sameBytes,
  verifyingHashOf,
  X509Error,
} from "@wardmq/x509";

/** A CRL that was not taken: the rule it failed, and a sentence. */
export class CrlRefused extends Error {
  override readonly name = "CrlRefused";
  readonly check: string;

  constructor(check: string, why: string) {
    super(why);
    this.check = check;
  }
}

/** How far a maker's clock may be ahead of ours. */
const aheadMs = 5 * 60 * 1000;

type Check = readonly [
  name: string,
  holds: (list: CertificateList, on: Against) => boolean,
  why: string,
];

interface Against {
  readonly issuer: Certificate;
  /** The one that counts now. */
  readonly former: CertificateList | undefined;
  /** Undefined for one that was taken before: how old it is by now is looked at later. */
  readonly now: number | undefined;
}

const checks: readonly Check[] = [
  ["issuer", ({ issuer }, on) => sameBytes(issuer, on.issuer.subject), "it is of another CA"],
  [
    "key-usage",
    (_, { issuer }) => allowsKeyUsage(issuer.extensions, "cRLSign"),
    "the CA may not sign CRLs (keyUsage)",
  ],
  ["signature", (list, { issuer }) => isSigned(list, issuer), "its signature is not of the CA"],
  [
    "this-update",
    ({ thisUpdate }, { now = thisUpdate }) => thisUpdate <= now + aheadMs,
    "it is not in force yet",
  ],
  ["next-update", ({ nextUpdate }, { now = 0 }) => nextUpdate > now, "it is too old (nextUpdate)"],
  [
    "number",
    (list, { former }) => former === undefined || isNotBefore(list, former),
    "it is older than the one that was read before (CRL number, thisUpdate)",
  ],
];

/** Reads the CRL of a CA; throws a CrlRefused with the first rule it fails. */
export function acceptCrl(der: Uint8Array, on: Against): CertificateList {
  const list = decode(der);
  for (const [check, holds, why] of checks) {
    if (!holds(list, on)) throw new CrlRefused(check, why);
  }
  return list;
}

function decode(der: Uint8Array): CertificateList {
  try {
    return decodeCertificateList(der);
  } catch (error) {
    if (!(error instanceof X509Error)) throw error;
    throw new CrlRefused("crl", error.message);
  }
}

function isSigned(list: CertificateList, { publicKey }: Certificate): boolean {
  const hash = verifyingHashOf(list.signatureAlgorithm);
  if (hash === undefined) return false;
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: "der", type: "spki" });
    return verify(hash, list.tbsCertList, key, list.signature);
  } catch {
    return false; // an algorithm that the key is not for
  }
}

/** A number never goes back, nor away; without one, the time does not. */
function isNotBefore(list: CertificateList, former: CertificateList): boolean {
  if (list.thisUpdate < former.thisUpdate) return false;
  if (former.crlNumber === undefined) return true;
  return list.crlNumber !== undefined && list.crlNumber >= former.crlNumber;
}
