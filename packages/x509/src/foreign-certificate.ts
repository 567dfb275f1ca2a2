import { isUuid } from "./attribute.ts";
import type { Certificate } from "./certificate.ts";
import {
  allowsKeyUsage,
  basicConstraintsOf,
  extensionValue,
  namesExtendedKeyUsage,
} from "./extension.ts";
import { nameValues, subjectAltNames } from "./name.ts";
import { isAcceptedForeignKey, verifyingHashOf } from "./public-key.ts";
import { X509Error } from "./x509-error.ts";

/** What of a certificate of a foreign CA may say whose it is, one row each. */
export const identifyingFields = {
  "common-name": "the commonName of its subject",
  "serial-number": "the serialNumber of its subject",
  "san-uri": "the URI of its subjectAltName",
  "san-dns": "the DNS name of its subjectAltName",
  fingerprint: "its SHA-256 fingerprint",
} as const;
export type IdentifyingField = keyof typeof identifyingFields;

/** A field of the certificate equals the uuid of a record, or the serial number that one maker gave the device. */
export type MappingRule =
  | { readonly field: IdentifyingField; readonly equals: "uuid" }
  | { readonly field: IdentifyingField; readonly equals: "serial"; readonly maker: string };

/** To whom no certificate of a foreign CA may belong by its name. */
export interface OwnNames {
  readonly org: string;
  readonly trustDomain: string;
}

/** The rule that a certificate fails, and a sentence; text of the certificate is never in it. */
export interface ForeignRefusal {
  readonly check: string;
  readonly why: string;
}

type Checked = Pick<Certificate, "extensions" | "publicKey" | "signatureIdentifier">;
type Check = readonly [name: string, holds: (one: Checked, own: OwnNames) => boolean, why: string];

/** What our own profiles see to, asked of a certificate that somebody else has written. */
const leafChecks: readonly Check[] = [
  [
    "foreign-algorithm",
    ({ signatureIdentifier }) => verifyingHashOf(signatureIdentifier) !== undefined,
    "its signature is neither ECDSA, Ed25519 or ML-DSA nor RSA with SHA-2 (PKCS #1 v1.5)",
  ],
  [
    "foreign-key",
    ({ publicKey }) => isAcceptedForeignKey(publicKey),
    "its key is neither P-256, P-384, Ed25519 or ML-DSA nor RSA with 2048 to 8192 bits",
  ],
  [
    "foreign-basic-constraints",
    ({ extensions }) => !basicConstraintsOf(extensions).ca,
    "it is a certificate of a CA",
  ],
  [
    "foreign-key-usage",
    ({ extensions }) => allowsKeyUsage(extensions, "digitalSignature"),
    "its keyUsage does not have digitalSignature",
  ],
  [
    "foreign-extended-key-usage",
    ({ extensions }) => namesExtendedKeyUsage(extensions, "clientAuth"),
    "its extendedKeyUsage does not name clientAuth",
  ],
  [
    "foreign-own-name",
    ({ extensions }, own) => {
      const names = extensionValue(extensions, "subjectAltName");
      return names === undefined || !subjectAltNames(names, "uri").some((uri) => isOwn(uri, own));
    },
    "it claims a SPIFFE ID of this organisation, which only its own CA may certify",
  ],
];

/**
 * Reads who a certificate of a foreign CA is for, after the rules that every client certificate keeps. That it is signed
 * by that CA, in its time and not revoked, is for the caller to see to. The text is that of the certificate: nobody may
 * print it as it is.
 */
export function readForeignCertificate(
  certificate: Certificate,
  fingerprint: string,
  rule: MappingRule,
  own: OwnNames,
): { readonly value: string } | ForeignRefusal {
  try {
    for (const [check, holds, why] of leafChecks) {
      if (!holds(certificate, own)) return { check, why };
    }
    return mappedValue(certificate, fingerprint, rule);
  } catch (error) {
    if (!(error instanceof X509Error)) throw error;
    return { check: "foreign-certificate", why: error.message };
  }
}

function mappedValue(
  certificate: Certificate,
  fingerprint: string,
  { field, equals }: MappingRule,
): { readonly value: string } | ForeignRefusal {
  const refused = (why: string) => ({ check: "foreign-mapping", why });
  const [value, ...more] = valuesOf(certificate, fingerprint, field);
  if (value === undefined) return refused(`it has nothing that is ${identifyingFields[field]}`);
  if (more.length > 0) return refused(`it has more than one that is ${identifyingFields[field]}`);
  if (equals === "serial") return { value };
  const uuid = (field === "san-uri" ? value.replace(/^urn:uuid:/i, "") : value).toLowerCase();
  if (isUuid(uuid)) return { value: uuid };
  return refused(`${identifyingFields[field]} is no uuid`);
}

function valuesOf(
  { subject, extensions }: Certificate,
  fingerprint: string,
  field: IdentifyingField,
): readonly string[] {
  if (field === "fingerprint") return [fingerprint];
  if (field === "common-name") return nameValues(subject, "commonName");
  if (field === "serial-number") return nameValues(subject, "serialNumber");
  const names = extensionValue(extensions, "subjectAltName");
  return names === undefined ? [] : subjectAltNames(names, field === "san-uri" ? "uri" : "dns");
}

/** In every environment of the organisation; a trust domain that is not spelt as one counts as ours. */
function isOwn(uri: string, { org, trustDomain }: OwnNames): boolean {
  const [, authority] = /^spiffe:(?:\/\/)?([^/?#]*)/i.exec(uri) ?? [];
  if (authority === undefined) return false;
  const domain = authority.toLowerCase();
  const isPlain = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(domain);
  return !isPlain || domain === trustDomain || `.${domain}`.endsWith(`.${org.toLowerCase()}`);
}
