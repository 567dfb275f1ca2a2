import {
  bitString,
  bitStringOctets,
  contextTag,
  DerReader,
  element,
  sameBytes,
  sequence,
  tags,
  unsignedInteger,
  unsignedOctets,
} from "./der.ts";
import { decodeExtensions, type Extension, encodeExtension, extensionOids } from "./extension.ts";
import {
  type SignatureAlgorithm,
  signatureAlgorithmIdentifier,
  signatureAlgorithmOf,
} from "./public-key.ts";
import { decodeTime, encodeTime } from "./time.ts";
import { X509Error } from "./x509-error.ts";

/** Signs with one key, wherever the key lives. ECDSA signatures are in DER. */
export interface Signer {
  readonly algorithm: SignatureAlgorithm;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  sign(tbs: Uint8Array): Promise<Uint8Array> | Uint8Array;
}

export interface Validity {
  /** Milliseconds since 1970, cut to the second. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** What stands in a certificate; nothing is checked against a profile here. */
export interface CertificateFields {
  /** Magnitude, big-endian, 1 to 20 octets with its sign. */
  readonly serialNumber: Uint8Array;
  /** Name, DER: byte for byte the subject of the issuer's certificate. */
  readonly issuer: Uint8Array;
  readonly validity: Validity;
  /** Name, DER. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  readonly extensions: readonly Extension[];
}

export interface Certificate extends CertificateFields {
  /** The whole certificate. */
  readonly der: Uint8Array;
  readonly tbsCertificate: Uint8Array;
  readonly signatureAlgorithm: SignatureAlgorithm | undefined;
  /** AlgorithmIdentifier of the signature, DER: of any algorithm. */
  readonly signatureIdentifier: Uint8Array;
  readonly signature: Uint8Array;
}

const versionTag = contextTag(0, "constructed");
const extensionsTag = contextTag(3, "constructed");
const version3 = element(versionTag, unsignedInteger(Uint8Array.of(2)));

/** TBSCertificate of RFC 5280 section 4.1, in DER. */
export function tbsCertificate(
  fields: CertificateFields,
  algorithm: SignatureAlgorithm,
): Uint8Array {
  const serialNumber = unsignedInteger(fields.serialNumber);
  const positive = fields.serialNumber.some((octet) => octet !== 0);
  if (!positive || serialNumber.length > 22) {
    throw new X509Error("ERR_X509_VALUE", "serial number is not positive or over 20 octets");
  }
  const extensions = element(extensionsTag, sequence(...fields.extensions.map(encodeExtension)));
  return sequence(
    version3,
    serialNumber,
    signatureAlgorithmIdentifier(algorithm),
    fields.issuer,
    sequence(encodeTime(fields.validity.notBefore), encodeTime(fields.validity.notAfter)),
    fields.subject,
    fields.publicKey,
    ...(fields.extensions.length > 0 ? [extensions] : []),
  );
}

/** A signed certificate, in DER. */
export async function certificate(fields: CertificateFields, signer: Signer): Promise<Uint8Array> {
  const tbs = tbsCertificate(fields, signer.algorithm);
  const signature = await signer.sign(tbs);
  return sequence(tbs, signatureAlgorithmIdentifier(signer.algorithm), bitString(signature));
}

/** Reads a version 3 certificate; its signature is for the caller to verify. */
export function decodeCertificate(der: Uint8Array): Certificate {
  const outer = new DerReader(der);
  const parts = new DerReader(outer.read(tags.sequence).content);
  outer.end();
  const tbs = parts.read(tags.sequence);
  const algorithm = parts.read(tags.sequence).bytes;
  const signature = bitStringOctets(parts.read(tags.bitString));
  parts.end();

  const reader = new DerReader(tbs.content);
  if (!sameBytes(reader.read(versionTag).bytes, version3)) {
    throw new X509Error("ERR_X509_CERTIFICATE", "not version 3");
  }
  const serialNumber = unsignedOctets(reader.read(tags.integer));
  if (!sameBytes(reader.read(tags.sequence).bytes, algorithm)) {
    throw new X509Error("ERR_X509_CERTIFICATE", "two different signature algorithms");
  }
  const issuer = reader.read(tags.sequence).bytes;
  const validity = decodeValidity(reader.read(tags.sequence).content);
  const subject = reader.read(tags.sequence).bytes;
  const publicKey = reader.read(tags.sequence).bytes;
  const listed = reader.readOptional(extensionsTag)?.content;
  const extensions = listed === undefined ? [] : decodeExtensions(listed);
  reader.end();
  return {
    der,
    tbsCertificate: tbs.bytes,
    signatureAlgorithm: signatureAlgorithmOf(algorithm),
    signatureIdentifier: algorithm,
    signature,
    serialNumber,
    issuer,
    validity,
    subject,
    publicKey,
    extensions,
  };
}

/** The key identifier of a certificate's own key (RFC 5280 section 4.2.1.2), when it has one. */
export function subjectKeyIdentifierOf(
  from: Pick<Certificate, "extensions">,
): Uint8Array | undefined {
  const found = from.extensions.find(({ oid }) => oid === extensionOids.subjectKeyIdentifier);
  return found && new DerReader(found.value).read(tags.octetString).content;
}

function decodeValidity(content: Uint8Array): Validity {
  const reader = new DerReader(content);
  const validity = { notBefore: decodeTime(reader.read()), notAfter: decodeTime(reader.read()) };
  reader.end();
  return validity;
}
