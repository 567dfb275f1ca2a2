import { existsSync } from "node:fs";
import { type Certificate, type PublishedAt, publishedBy } from "@wardmq/x509";
import { paths } from "../deployment.ts";
import { Failure } from "../failure.ts";
import { openCaSigner } from "./ca-keys.ts";
import {
  caIdOf,
  certificatePem,
  type Issuer,
  isIssuedBy,
  sha256Hex,
} from "./certificate-authority.ts";
import { day, decodeCertificates } from "./pem-file.ts";

/** The certification authority of a deployment. */
export interface Authority {
  /** Who signs now. */
  readonly issuer: Issuer;
  /** All issuing CAs whose key is here, the one that signs now first: each answers for what it has signed. */
  readonly signing: readonly Issuer[];
  /** PEM of the root CAs: what a client trusts. */
  readonly roots: readonly string[];
  /** PEM of the issuing CAs: where a broker lets the certificationPath of a client end. */
  readonly trustAnchors: readonly string[];
  /** What a client with a former root needs to come to the new one, behind the issuing CA in its path. */
  readonly cross: readonly Certificate[];
  /** All issuing CAs, former ones too. */
  readonly issuers: readonly Certificate[];
  /** SHA-256 of the public keys of the CAs, which nobody else may have. */
  readonly ownKeys: ReadonlySet<string>;
}

/**
 * Opens the CA after checking that its files belong together and are still good. The first certificate of
 * issuing-ca.pem signs; what stands behind the first of either file is trusted as well, for the time of a change of CA.
 */
export function openAuthority(now: number, published: PublishedAt): Authority {
  const roots = decodeCertificates(paths.rootCertificate);
  const issuers = decodeCertificates(paths.issuingCertificate);
  const signing = issuers.flatMap((certificate) => {
    const signer = openCaSigner(certificate);
    if (signer === undefined) return [];
    return [{ certificate, signer, published: publishedBy(caIdOf(certificate), published) }];
  });
  const [issuer] = signing;
  if (issuer === undefined || issuer.certificate !== issuers[0]) {
    throw new Failure("ERR_CA", "the key of the issuing CA is not in the folder control", {
      hint: `put its file ${paths.issuingKey} back; after wardmq restore, restore again with --ca-keys FOLDER`,
    });
  }
  for (const root of roots) refuseUnlessRoot(root, now);
  for (const issuer of issuers) refuseUnlessBelow(issuer, roots, now);
  return {
    issuer,
    signing,
    roots: roots.map(certificatePem),
    trustAnchors: issuers.map(certificatePem),
    cross: existsSync(paths.crossCertificate) ? decodeCertificates(paths.crossCertificate) : [],
    issuers,
    ownKeys: new Set([...roots, ...issuers].map(({ publicKey }) => sha256Hex(publicKey))),
  };
}

function refused(message: string): Failure {
  return new Failure("ERR_CA", message, { hint: "restore the folder control from a backup" });
}

function refuseUnlessRoot(root: Certificate, now: number): void {
  if (!isIssuedBy(root, root)) throw refused(`${paths.rootCertificate} holds what is no root CA`);
  refuseOutOfDate(paths.rootCertificate, root, now);
}

function refuseUnlessBelow(issuer: Certificate, roots: readonly Certificate[], now: number): void {
  if (!roots.some((root) => isIssuedBy(issuer, root))) {
    throw refused(`${paths.issuingCertificate} is not issued by ${paths.rootCertificate}`);
  }
  refuseOutOfDate(paths.issuingCertificate, issuer, now);
}

function refuseOutOfDate(path: string, { validity }: Certificate, now: number): void {
  if (validity.notBefore > now) {
    throw new Failure(
      "ERR_CLOCK",
      `${path} is valid from ${day(validity.notBefore)}, and the clock says ${day(now)}`,
      {
        hint: "set the clock of this machine",
      },
    );
  }
  if (validity.notAfter < now) throw refused(`${path} expired on ${day(validity.notAfter)}`);
}
