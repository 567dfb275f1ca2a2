import type { CertificateFields, Validity } from "./certificate.ts";
import {
  authorityKeyIdentifier,
  type BasicConstraints,
  basicConstraints,
  type ExtendedKeyUsage,
  type Extension,
  extendedKeyUsage,
  type KeyUsage,
  keyUsage,
  nameConstraints,
  subjectAltName,
  subjectKeyIdentifier,
} from "./extension.ts";
import type { GeneralName } from "./name.ts";
import { parseSpiffeId } from "./spiffe-id.ts";
import { X509Error } from "./x509-error.ts";

const dayMs = 24 * 60 * 60 * 1000;

export interface CertificateProfile {
  readonly lifetimeMs: number;
  readonly basicConstraints: BasicConstraints;
  readonly keyUsage: readonly KeyUsage[];
  readonly extendedKeyUsage: readonly ExtendedKeyUsage[];
  /** Which names the subjectAltName holds: none, hosts only, or exactly one SPIFFE ID of this kind. */
  readonly subjectAltName: "none" | "hosts" | "device" | "service";
}

const issuerUsages: readonly KeyUsage[] = ["keyCertSign", "cRLSign"];

/** Every kind of certificate we issue, one row each; nothing else is ever signed. */
export const certificateProfiles = {
  rootCa: {
    lifetimeMs: 3650 * dayMs,
    basicConstraints: { ca: true },
    keyUsage: issuerUsages,
    extendedKeyUsage: [],
    subjectAltName: "none",
  },
  issuingCa: {
    lifetimeMs: 1095 * dayMs,
    basicConstraints: { ca: true, pathLenConstraint: 0 },
    keyUsage: issuerUsages,
    extendedKeyUsage: ["serverAuth", "clientAuth"],
    subjectAltName: "none",
  },
  server: {
    lifetimeMs: 30 * dayMs,
    basicConstraints: { ca: false },
    keyUsage: ["digitalSignature"],
    extendedKeyUsage: ["serverAuth"],
    subjectAltName: "hosts",
  },
  device: {
    lifetimeMs: 90 * dayMs,
    basicConstraints: { ca: false },
    keyUsage: ["digitalSignature"],
    extendedKeyUsage: ["clientAuth"],
    subjectAltName: "device",
  },
  service: {
    lifetimeMs: 90 * dayMs,
    basicConstraints: { ca: false },
    keyUsage: ["digitalSignature"],
    extendedKeyUsage: ["clientAuth"],
    subjectAltName: "service",
  },
} as const satisfies Record<string, CertificateProfile>;

export type CertificateProfileName = keyof typeof certificateProfiles;

export interface Issuance {
  readonly serialNumber: Uint8Array;
  /** Name, DER. */
  readonly issuer: Uint8Array;
  readonly authorityKeyIdentifier: Uint8Array;
  readonly subject: Uint8Array;
  readonly subjectKeyIdentifier: Uint8Array;
  readonly publicKey: Uint8Array;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** End of the issuer's own certificate: nothing outlives its issuer. */
  readonly issuerNotAfter?: number;
  readonly subjectAltName?: readonly GeneralName[];
  /** For an issuing CA: the trust domain whose URIs it may certify. */
  readonly permittedUriHost?: string;
}

/** Devices' clocks run behind; a certificate of this minute must not be "not yet valid" to them. */
const backdatedMs = 5 * 60 * 1000;

/** The fields of a certificate of this profile; refuses names that the profile does not have. */
export function certificateFields(
  name: CertificateProfileName,
  issuance: Issuance,
): CertificateFields {
  const profile: CertificateProfile = certificateProfiles[name];
  const names = issuance.subjectAltName ?? [];
  if (!namesFit(profile.subjectAltName, names)) throw new X509Error("ERR_X509_PROFILE", name);
  const extensions: readonly (Extension | undefined)[] = [
    basicConstraints(profile.basicConstraints),
    keyUsage(profile.keyUsage),
    profile.extendedKeyUsage.length > 0 ? extendedKeyUsage(profile.extendedKeyUsage) : undefined,
    subjectKeyIdentifier(issuance.subjectKeyIdentifier),
    authorityKeyIdentifier(issuance.authorityKeyIdentifier),
    names.length > 0 ? subjectAltName(names) : undefined,
    issuance.permittedUriHost ? nameConstraints(issuance.permittedUriHost) : undefined,
  ];
  return {
    serialNumber: issuance.serialNumber,
    issuer: issuance.issuer,
    validity: validityOf(profile, issuance),
    subject: issuance.subject,
    publicKey: issuance.publicKey,
    extensions: extensions.filter((extension) => extension !== undefined),
  };
}

/** Both ends count (RFC 5280 section 4.1.2.5), so the last second is one before the lifetime is over. */
function validityOf(profile: CertificateProfile, { now, issuerNotAfter }: Issuance): Validity {
  const notBefore = now - backdatedMs;
  const notAfter = notBefore + profile.lifetimeMs - 1000;
  return { notBefore, notAfter: Math.min(notAfter, issuerNotAfter ?? notAfter) };
}

function namesFit(
  wanted: CertificateProfile["subjectAltName"],
  names: readonly GeneralName[],
): boolean {
  if (wanted === "none") return names.length === 0;
  if (wanted === "hosts") return names.length > 0 && names.every((name) => !("uri" in name));
  const [name, ...more] = names;
  return (
    name !== undefined &&
    more.length === 0 &&
    "uri" in name &&
    parseSpiffeId(name.uri).kind === wanted
  );
}
