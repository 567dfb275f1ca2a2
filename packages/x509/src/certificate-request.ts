import {
  bitString,
  bitStringOctets,
  contextTag,
  DerReader,
  element,
  sequence,
  tags,
  unsignedInteger,
} from "./der.ts";
import {
  decodePublicKey,
  type PublicKey,
  type SignatureAlgorithm,
  signatureAlgorithmIdentifier,
  signatureAlgorithmOf,
} from "./public-key.ts";
import { X509Error } from "./x509-error.ts";

/** What we take from a PKCS#10 request: a public key, and the proof that the requester holds the private one. */
export interface CertificateRequest {
  /** CertificationRequestInfo, DER: the bytes that are signed. */
  readonly certificationRequestInfo: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  readonly key: PublicKey;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
}

const attributesTag = contextTag(0, "constructed");
const version1 = unsignedInteger(Uint8Array.of(0));

/**
 * Reads a request of RFC 2986. The subject and the attributes it asks for are skipped: names come from the record of
 * whom the certificate is for. The signature is for the caller to verify.
 */
export function decodeCertificateRequest(der: Uint8Array): CertificateRequest {
  const outer = new DerReader(der);
  const parts = new DerReader(outer.read(tags.sequence).content);
  outer.end();
  const info = parts.read(tags.sequence);
  const signatureAlgorithm = signatureAlgorithmOf(parts.read(tags.sequence).bytes);
  const signature = bitStringOctets(parts.read(tags.bitString));
  parts.end();

  const reader = new DerReader(info.content);
  const version = reader.read(tags.integer).content;
  if (version.length !== 1 || version[0] !== 0) {
    throw new X509Error("ERR_X509_CERTIFICATE_REQUEST", "not version 1");
  }
  reader.read(tags.sequence);
  const publicKey = reader.read(tags.sequence).bytes;
  reader.readOptional(attributesTag);
  reader.end();
  const key = decodePublicKey(publicKey);
  const fits = signatureAlgorithm?.startsWith("ecdsa") === key.type.startsWith("P-");
  if (signatureAlgorithm === undefined || !fits) {
    throw new X509Error("ERR_X509_CERTIFICATE_REQUEST", "signature algorithm does not fit the key");
  }
  return { certificationRequestInfo: info.bytes, publicKey, key, signatureAlgorithm, signature };
}

/** A PKCS#10 request in DER with an empty subject: it carries the key `publicKey` (SPKI) and proves to hold it. */
export async function certificateRequest(
  publicKey: Uint8Array,
  sign: (bytes: Uint8Array) => Promise<Uint8Array> | Uint8Array,
): Promise<Uint8Array> {
  const { signatureAlgorithm } = decodePublicKey(publicKey);
  const info = sequence(version1, sequence(), publicKey, element(attributesTag));
  const signature = await sign(info);
  return sequence(info, signatureAlgorithmIdentifier(signatureAlgorithm), bitString(signature));
}
