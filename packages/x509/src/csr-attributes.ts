import { contextTag, element, objectIdentifier, sequence, tags, unsignedInteger } from "./der.ts";

const idEcPublicKey = objectIdentifier("1.2.840.10045.2.1");
const secp256r1 = objectIdentifier("1.2.840.10045.3.1.7");
const ecdsaWithSha256 = objectIdentifier("1.2.840.10045.4.3.2");
/** id-aa-certificationRequestInfoTemplate, RFC 9908 section 3.4. */
const idTemplate = objectIdentifier("1.2.840.113549.1.9.16.2.61");

/**
 * What a certificate request should look like (CsrAttrs, RFC 7030 section 4.5.2 as RFC 9908 updates it): a P-256 key and
 * nothing else, since names and extensions come from the record. Said twice: as a template, and for clients older than
 * RFC 9908 as a key type and a signature algorithm.
 */
export function csrAttributes(): Uint8Array {
  const template = sequence(
    unsignedInteger(Uint8Array.of(0)),
    element(contextTag(0, "constructed"), sequence(idEcPublicKey, secp256r1)), // subjectPKInfo
    element(contextTag(1, "constructed")), // attributes: none
  );
  return sequence(
    sequence(idTemplate, element(tags.set, template)),
    sequence(idEcPublicKey, element(tags.set, secp256r1)),
    ecdsaWithSha256,
  );
}
