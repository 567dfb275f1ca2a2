import {
  bitString,
  bitStringOctets,
  contextTag,
  type DerElement,
  DerReader,
  element,
  elementsOf,
  objectIdentifierText,
  sequence,
  tags,
  unsignedInteger,
} from "./der.ts";
import { decodeExtensions, type Extension } from "./extension.ts";
import {
  decodePublicKey,
  type PublicKey,
  type SignatureAlgorithm,
  signatureAlgorithmIdentifier,
  signatureAlgorithmOf,
  signatureFits,
} from "./public-key.ts";
import { X509Error } from "./x509-error.ts";

/** A PKCS#10 request: a public key, the proof that the requester holds the private one, and what else it asks for. */
export interface CertificateRequest {
  /** CertificationRequestInfo, DER: the bytes that are signed. */
  readonly certificationRequestInfo: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  readonly key: PublicKey;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
  /** Object identifiers of the attributes; that of `requestedExtensions` among them when there are any. */
  readonly attributes: readonly string[];
  readonly requestedExtensions: readonly Extension[];
}

/** RFC 2985 section 5.4. */
export const requestAttributes = {
  challengePassword: "1.2.840.113549.1.9.7",
  extensionRequest: "1.2.840.113549.1.9.14",
} as const;

const attributesTag = contextTag(0, "constructed");
const version1 = unsignedInteger(Uint8Array.of(0));

/**
 * Reads a request of RFC 2986. The subject it asks for is skipped: names come from the record of whom the certificate
 * is for. The signature is for the caller to verify, and what it asks for beyond its key is for the caller to refuse.
 */
export function decodeCertificateRequest(der: Uint8Array): CertificateRequest {
  const outer = new DerReader(der);
  const parts = new DerReader(outer.read(tags.sequence).content);
  outer.end();
  const info = parts.read(tags.sequence);
  const signatureAlgorithm = requestAlgorithmOf(parts.read(tags.sequence).bytes);
  const signature = bitStringOctets(parts.read(tags.bitString));
  parts.end();

  const reader = new DerReader(info.content);
  const version = reader.read(tags.integer).content;
  if (version.length !== 1 || version[0] !== 0) {
    throw new X509Error("ERR_X509_CERTIFICATE_REQUEST", "not version 1");
  }
  reader.read(tags.sequence);
  const publicKey = reader.read(tags.sequence).bytes;
  const asked = elementsOf(reader.readOptional(attributesTag)?.content ?? new Uint8Array());
  reader.end();
  const key = decodePublicKey(publicKey);
  if (signatureAlgorithm === undefined || !signatureFits(signatureAlgorithm, key.type)) {
    throw new X509Error("ERR_X509_CERTIFICATE_REQUEST", "signature algorithm does not fit the key");
  }
  const attributes = asked.map(decodeAttribute);
  if (new Set(attributes.map(({ type }) => type)).size !== attributes.length) {
    throw new X509Error("ERR_X509_CERTIFICATE_REQUEST", "an attribute stands there twice");
  }
  return {
    certificationRequestInfo: info.bytes,
    publicKey,
    key,
    signatureAlgorithm,
    signature,
    attributes: attributes.map(({ type }) => type),
    requestedExtensions: attributes
      .filter(({ type }) => type === requestAttributes.extensionRequest)
      .flatMap(({ value }) => decodeExtensions(value)),
  };
}

/**
 * Deviation: RFC 5758 section 3.2 wants no parameters with ECDSA, and tpm2-openssl 1.1 writes NULL; keys in a TPM are
 * worth it. The identifier stands outside of what is signed and is copied nowhere.
 */
function requestAlgorithmOf(identifier: Uint8Array): SignatureAlgorithm | undefined {
  const reader = new DerReader(new DerReader(identifier).read(tags.sequence).content);
  const oid = reader.read(tags.objectIdentifier).bytes;
  if (reader.readOptional(tags.null)?.content.length === 0) {
    const algorithm = signatureAlgorithmOf(sequence(oid));
    return algorithm?.startsWith("ecdsa") ? algorithm : undefined;
  }
  return signatureAlgorithmOf(identifier);
}

/** An attribute of exactly one value. */
function decodeAttribute({ tag, content }: DerElement): { type: string; value: Uint8Array } {
  if (tag !== tags.sequence) {
    throw new X509Error("ERR_X509_CERTIFICATE_REQUEST", "an attribute is no sequence");
  }
  const reader = new DerReader(content);
  const type = objectIdentifierText(reader.read(tags.objectIdentifier));
  const [value, ...more] = elementsOf(reader.read(tags.set).content);
  reader.end();
  if (value === undefined || more.length > 0) {
    throw new X509Error("ERR_X509_CERTIFICATE_REQUEST", "an attribute has not exactly one value");
  }
  return { type, value: value.bytes };
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
