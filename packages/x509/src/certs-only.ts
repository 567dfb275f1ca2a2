import {
  contextTag,
  DerReader,
  element,
  elementsOf,
  objectIdentifier,
  sameBytes,
  sequence,
  tags,
  unsignedInteger,
} from "./der.ts";
import { X509Error } from "./x509-error.ts";

const idSignedData = objectIdentifier("1.2.840.113549.1.7.2");
const idData = objectIdentifier("1.2.840.113549.1.7.1");
const version1 = unsignedInteger(Uint8Array.of(1));
const noElements = element(tags.set);

/**
 * A certs-only CMS message (RFC 8951 section 3, RFC 5652 section 5.1): SignedData without content and without signers, so
 * that all it does is carry certificates. `certificates` in DER.
 */
export function certsOnly(certificates: readonly Uint8Array[]): Uint8Array {
  const signedData = sequence(
    version1,
    noElements, // digestAlgorithms
    sequence(idData), // encapContentInfo
    element(contextTag(0, "constructed"), ...certificates),
    noElements, // signerInfos
  );
  return sequence(idSignedData, element(contextTag(0, "constructed"), signedData));
}

/** The certificates, in DER, of a certs-only CMS message; its CRLs are passed over. */
export function decodeCertsOnly(der: Uint8Array): readonly Uint8Array[] {
  const message = new DerReader(der);
  const contentInfo = new DerReader(message.read(tags.sequence).content);
  message.end();
  const type = contentInfo.read(tags.objectIdentifier);
  if (!sameBytes(type.bytes, idSignedData)) throw new X509Error("ERR_X509_DER", "not SignedData");
  const explicit = new DerReader(contentInfo.read(contextTag(0, "constructed")).content);
  contentInfo.end();
  const signedData = new DerReader(explicit.read(tags.sequence).content);
  explicit.end();
  signedData.read(tags.integer);
  signedData.read(tags.set);
  signedData.read(tags.sequence);
  const found = signedData.readOptional(contextTag(0, "constructed"));
  if (found === undefined) return [];
  return elementsOf(found.content).map(({ bytes }) => bytes);
}
