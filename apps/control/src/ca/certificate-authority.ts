import { createHash, createPublicKey, randomBytes, randomInt, verify } from "node:crypto";
import {
  type Certificate,
  type CertificateFields,
  type CertificateProfileName,
  certificate,
  certificateFields,
  decodeCertificate,
  decodePublicKey,
  encodePem,
  type GeneralName,
  type PublishedAt,
  type SignatureAlgorithm,
  type Signer,
  sameBytes,
  signatureAlgorithms,
  subjectKeyIdentifierOf,
} from "@wardmq/x509";
import { Failure } from "../failure.ts";

/** Who signs: a certificate and the signer that holds its key. */
export interface Issuer {
  readonly certificate: Certificate;
  readonly signer: Signer;
  /** What its certificates say about where its CRL, its OCSP responder and its own certificate are. */
  readonly published?: PublishedAt;
}

/** What a new certificate is for: everything comes from a record, nothing from who asks. */
export interface CertificateOrder {
  readonly profile: CertificateProfileName;
  /** Name, DER. */
  readonly subject: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly subjectAltName?: readonly GeneralName[];
  readonly permittedUriHost?: string;
  readonly serialNumber: Uint8Array;
  readonly now: number;
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Method 1 of RFC 7093 section 2: the leftmost 160 bits of SHA-256 over the key's bits. */
export function keyIdentifierOf(publicKey: Uint8Array): Uint8Array {
  const { bits } = decodePublicKey(publicKey);
  return new Uint8Array(createHash("sha256").update(bits).digest().subarray(0, 20));
}

/** The name of a CA in files, paths and the registry: the key identifier of its certificate, lower-case hex. */
export function caIdOf(ca: Certificate): string {
  const keyIdentifier = subjectKeyIdentifierOf(ca);
  if (keyIdentifier === undefined) throw new Error("the CA has no key identifier");
  return Buffer.from(keyIdentifier).toString("hex");
}

/** 128 random bits, always written with 16 octets. */
export function randomSerialNumber(): Uint8Array {
  const octets = new Uint8Array(randomBytes(16));
  return octets[0] === 0 ? randomSerialNumber() : octets;
}

/** A certificate whose issuer is itself: a trust anchor. */
export async function issueRoot(
  subject: Uint8Array,
  signer: Signer,
  now: number,
): Promise<Certificate> {
  const keyIdentifier = keyIdentifierOf(signer.publicKey);
  const fields = certificateFields("rootCa", {
    serialNumber: randomSerialNumber(),
    issuer: subject,
    subject,
    authorityKeyIdentifier: keyIdentifier,
    subjectKeyIdentifier: keyIdentifier,
    publicKey: signer.publicKey,
    now,
    lifetimeShare: 1,
  });
  return decodeCertificate(await certificate(fields, signer));
}

/** What stands in a certificate of a profile that this issuer is going to sign. */
export function fieldsOf(issuer: Issuer, order: CertificateOrder): CertificateFields {
  const { profile, ...rest } = order;
  if (issuer.certificate.validity.notAfter <= order.now) {
    throw new Failure("ERR_CA", "the CA has expired", { hint: "make another deployment" });
  }
  const authorityKeyIdentifier = subjectKeyIdentifierOf(issuer.certificate);
  if (authorityKeyIdentifier === undefined) throw new Error("the issuer has no key identifier");
  return certificateFields(profile, {
    ...rest,
    ...(issuer.published === undefined ? {} : { published: issuer.published }),
    issuer: issuer.certificate.subject,
    authorityKeyIdentifier,
    subjectKeyIdentifier: keyIdentifierOf(order.publicKey),
    issuerNotAfter: issuer.certificate.validity.notAfter,
    // Spread, so that what was issued in one day does not expire in one day.
    lifetimeShare: randomInt(1_000_001) / 1_000_000,
  });
}

/** Signs one certificate of a profile. */
export async function issue(issuer: Issuer, order: CertificateOrder): Promise<Certificate> {
  return decodeCertificate(await certificate(fieldsOf(issuer, order), issuer.signer));
}

/** Whether `issuer` signed `issued`: names, key identifiers left aside, and the signature. */
export function isIssuedBy(issued: Certificate, issuer: Certificate): boolean {
  const { tbsCertificate, signature, signatureAlgorithm } = issued;
  return (
    sameBytes(issued.issuer, issuer.subject) &&
    signatureAlgorithm !== undefined &&
    verifies(tbsCertificate, signature, signatureAlgorithm, issuer.publicKey)
  );
}

/** Whether a signature is of this key, over these bytes; false for what is no signature and no key. */
export function verifies(
  bytes: Uint8Array,
  signature: Uint8Array,
  algorithm: SignatureAlgorithm,
  publicKey: Uint8Array,
): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: "der", type: "spki" });
    return verify(signatureAlgorithms[algorithm].hash, bytes, key, signature);
  } catch {
    return false; // a point that is not on its curve, a signature that is no signature
  }
}

export function certificatePem({ der }: { readonly der: Uint8Array }): string {
  return encodePem("CERTIFICATE", der);
}
