import {
  asciiString,
  boolean,
  contextTag,
  type DerElement,
  DerReader,
  element,
  elementsOf,
  namedBits,
  objectIdentifier,
  objectIdentifierText,
  octetString,
  sequence,
  tags,
  unsignedInteger,
  unsignedOctets,
} from "./der.ts";
import { encodeGeneralName, type GeneralName } from "./name.ts";
import { X509Error } from "./x509-error.ts";

/** One extension: `value` is the DER inside its OCTET STRING. */
export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

/** RFC 5280 sections 4.2 and 5.2; id-pkix-ocsp-nocheck and the nonce are of RFC 6960 section 4. */
export const extensionOids = {
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  crlNumber: "2.5.29.20",
  reasonCode: "2.5.29.21",
  issuingDistributionPoint: "2.5.29.28",
  nameConstraints: "2.5.29.30",
  crlDistributionPoints: "2.5.29.31",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  authorityInfoAccess: "1.3.6.1.5.5.7.1.1",
  ocspNonce: "1.3.6.1.5.5.7.48.1.2",
  ocspNoCheck: "1.3.6.1.5.5.7.48.1.5",
} as const;

/** Bits of KeyUsage that our profiles use. */
const keyUsages = { digitalSignature: 0, keyCertSign: 5, cRLSign: 6 } as const;
export type KeyUsage = keyof typeof keyUsages;

const extendedKeyUsages = {
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  OCSPSigning: "1.3.6.1.5.5.7.3.9",
} as const;
export type ExtendedKeyUsage = keyof typeof extendedKeyUsages;

export interface BasicConstraints {
  readonly ca: boolean;
  readonly pathLenConstraint?: number;
}

export function encodeExtension({ oid, critical, value }: Extension): Uint8Array {
  const criticalFlag = critical ? [boolean(true)] : []; // FALSE is the default, and DER omits defaults
  return sequence(objectIdentifier(oid), ...criticalFlag, octetString(value));
}

export function basicConstraints({ ca, pathLenConstraint }: BasicConstraints): Extension {
  const pathLen =
    pathLenConstraint === undefined ? [] : [unsignedInteger(Uint8Array.of(pathLenConstraint))];
  const value = ca ? sequence(boolean(true), ...pathLen) : sequence();
  return { oid: extensionOids.basicConstraints, critical: true, value };
}

export function keyUsage(usages: readonly KeyUsage[]): Extension {
  const value = namedBits(usages.map((usage) => keyUsages[usage]));
  return { oid: extensionOids.keyUsage, critical: true, value };
}

export function extendedKeyUsage(usages: readonly ExtendedKeyUsage[]): Extension {
  const value = sequence(...usages.map((usage) => objectIdentifier(extendedKeyUsages[usage])));
  return { oid: extensionOids.extendedKeyUsage, critical: false, value };
}

/** Not critical because all our certificates have a subject (RFC 5280 section 4.2.1.6). */
export function subjectAltName(names: readonly GeneralName[]): Extension {
  const value = sequence(...names.map(encodeGeneralName));
  return { oid: extensionOids.subjectAltName, critical: false, value };
}

export function subjectKeyIdentifier(keyIdentifier: Uint8Array): Extension {
  const value = octetString(keyIdentifier);
  return { oid: extensionOids.subjectKeyIdentifier, critical: false, value };
}

export function authorityKeyIdentifier(keyIdentifier: Uint8Array): Extension {
  const value = sequence(element(contextTag(0, "primitive"), keyIdentifier));
  return { oid: extensionOids.authorityKeyIdentifier, critical: false, value };
}

/**
 * Permits URIs whose host is `uriHost`, and constrains no other kind of name.
 * Deviation: RFC 5280 section 4.2.1.10 wants it critical. TLS libraries of small devices do not know the extension and
 * would refuse the whole path of the server certificate; OpenSSL and BoringSSL enforce it either way.
 */
export function nameConstraints(uriHost: string): Extension {
  const base = asciiString(contextTag(6, "primitive"), uriHost);
  const permittedSubtrees = element(contextTag(0, "constructed"), sequence(base));
  return {
    oid: extensionOids.nameConstraints,
    critical: false,
    value: sequence(permittedSubtrees),
  };
}

/** One point: URIs of which each leads to the CRL of the issuer (RFC 5280 section 4.2.1.13). */
export function crlDistributionPoints(uris: readonly string[]): Extension {
  const names = uris.map((uri) => encodeGeneralName({ uri }));
  const fullName = element(contextTag(0, "constructed"), ...names);
  const distributionPoint = element(contextTag(0, "constructed"), fullName);
  return {
    oid: extensionOids.crlDistributionPoints,
    critical: false,
    value: sequence(sequence(distributionPoint)),
  };
}

/** Where to ask for the state of the certificate, and where its issuer's certificate lies (section 4.2.2.1). */
export function authorityInfoAccess(at: {
  readonly ocsp: readonly string[];
  readonly caIssuers: readonly string[];
}): Extension {
  const access = (method: string) => (uri: string) =>
    sequence(objectIdentifier(method), encodeGeneralName({ uri }));
  return {
    oid: extensionOids.authorityInfoAccess,
    critical: false,
    value: sequence(
      ...at.ocsp.map(access("1.3.6.1.5.5.7.48.1")),
      ...at.caIssuers.map(access("1.3.6.1.5.5.7.48.2")),
    ),
  };
}

/** The responder's certificate is not to be asked about, which would lead to itself (RFC 6960 section 4.2.2.2.1). */
export const ocspNoCheck: Extension = {
  oid: extensionOids.ocspNoCheck,
  critical: false,
  value: element(tags.null),
};

/** The value of an extension, when it is there. */
export function extensionValue(
  extensions: readonly Extension[],
  name: keyof typeof extensionOids,
): Uint8Array | undefined {
  return extensions.find(({ oid }) => oid === extensionOids[name])?.value;
}

/** The basicConstraints of a certificate; one without the extension is no CA (RFC 5280 section 4.2.1.9). */
export function basicConstraintsOf(extensions: readonly Extension[]): BasicConstraints {
  const value = extensionValue(extensions, "basicConstraints");
  if (value === undefined) return { ca: false };
  const outer = new DerReader(value);
  const reader = new DerReader(outer.read(tags.sequence).content);
  outer.end();
  const ca = reader.readOptional(tags.boolean)?.content[0] === 0xff;
  const pathLen = reader.readOptional(tags.integer);
  reader.end();
  if (pathLen === undefined) return { ca };
  const octets = unsignedOctets(pathLen);
  return { ca, pathLenConstraint: octets.length > 1 ? 255 : (octets[0] ?? 0) };
}

/** Whether keyUsage allows this; a certificate without the extension allows all of it (section 4.2.1.3). */
export function allowsKeyUsage(extensions: readonly Extension[], usage: KeyUsage): boolean {
  const value = extensionValue(extensions, "keyUsage");
  if (value === undefined) return true;
  const bit = keyUsages[usage];
  const [, ...octets] = new DerReader(value).read(tags.bitString).content;
  return (((octets[Math.floor(bit / 8)] ?? 0) << (bit % 8)) & 0x80) !== 0;
}

/** Whether extendedKeyUsage names this purpose: `anyExtendedKeyUsage`, or no extension at all, does not. */
export function namesExtendedKeyUsage(
  extensions: readonly Extension[],
  usage: ExtendedKeyUsage,
): boolean {
  const value = extensionValue(extensions, "extendedKeyUsage");
  if (value === undefined) return false;
  const purposes = elementsOf(new DerReader(value).read(tags.sequence).content);
  return purposes.some((purpose) => objectIdentifierText(purpose) === extendedKeyUsages[usage]);
}

/** The Extensions of a certificate, a CRL, a CRL entry or a request, from the SEQUENCE that holds them. */
export function decodeExtensions(sequenceBytes: Uint8Array): readonly Extension[] {
  const outer = new DerReader(sequenceBytes);
  const list = outer.read(tags.sequence).content;
  outer.end();
  const extensions = elementsOf(list).map(decodeExtension);
  const distinct = new Set(extensions.map(({ oid }) => oid)).size === extensions.length;
  if (extensions.length === 0 || !distinct) {
    throw new X509Error("ERR_X509_DER", "no extensions in the list, or one twice");
  }
  return extensions;
}

function decodeExtension({ tag, content }: DerElement): Extension {
  if (tag !== tags.sequence) throw new X509Error("ERR_X509_DER", "unexpected tag");
  const reader = new DerReader(content);
  const oid = objectIdentifierText(reader.read(tags.objectIdentifier));
  const flag = reader.readOptional(tags.boolean)?.content;
  if (flag !== undefined && !(flag.length === 1 && flag[0] === 0xff)) {
    throw new X509Error(
      "ERR_X509_DER",
      "a boolean that is not true stands where false is left out",
    );
  }
  const value = reader.read(tags.octetString).content;
  reader.end();
  return { oid, critical: flag !== undefined, value };
}
