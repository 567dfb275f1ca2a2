import {
  asciiString,
  boolean,
  contextTag,
  element,
  namedBits,
  objectIdentifier,
  octetString,
  sequence,
  unsignedInteger,
} from "./der.ts";
import { encodeGeneralName, type GeneralName } from "./name.ts";

/** One extension: `value` is the DER inside its OCTET STRING. */
export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

/** RFC 5280 section 4.2.1. */
export const extensionOids = {
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
} as const;

/** Bits of KeyUsage that our profiles use. */
export const keyUsages = { digitalSignature: 0, keyCertSign: 5, cRLSign: 6 } as const;
export type KeyUsage = keyof typeof keyUsages;

export const extendedKeyUsages = {
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
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
