import type { CertificateFields, Validity } from "./certificate.ts";
import {
  authorityInfoAccess,
  authorityKeyIdentifier,
  type BasicConstraints,
  basicConstraints,
  crlDistributionPoints,
  type ExtendedKeyUsage,
  type Extension,
  extendedKeyUsage,
  type KeyUsage,
  keyUsage,
  nameConstraints,
  ocspNoCheck,
  subjectAltName,
  subjectKeyIdentifier,
} from "./extension.ts";
import type { GeneralName } from "./name.ts";
import { parseSpiffeId, type SpiffeId } from "./spiffe-id.ts";
import { X509Error } from "./x509-error.ts";

const dayMs = 24 * 60 * 60 * 1000;

/** Whole days; a certificate gets a lifetime between the two. */
interface Lifetime {
  readonly leastDays: number;
  readonly mostDays: number;
}

export interface CertificateProfile {
  readonly lifetime: Lifetime;
  readonly basicConstraints: BasicConstraints;
  readonly keyUsage: readonly KeyUsage[];
  readonly extendedKeyUsage: readonly ExtendedKeyUsage[];
  /** Which names the subjectAltName holds: none, hosts only, or exactly one SPIFFE ID of this kind. */
  readonly subjectAltName: "none" | "hosts" | SpiffeId["kind"];
  /** Whether it says where the CRL and the OCSP responder of its issuer are, when the deployment publishes them. */
  readonly isPublished: boolean;
  readonly other: readonly Extension[];
}

const issuerUsages: readonly KeyUsage[] = ["keyCertSign", "cRLSign"];

const endEntity = {
  basicConstraints: { ca: false },
  keyUsage: ["digitalSignature"],
  isPublished: true,
  other: [],
} as const;

/** Of those who connect: lifetimes differ, so that a fleet enrolled in a day does not expire in a day. */
const client = {
  ...endEntity,
  lifetime: { leastDays: 45, mostDays: 90 },
  extendedKeyUsage: ["clientAuth"],
} as const;

/** Every kind of certificate we issue, one row each; nothing else is ever signed. */
export const certificateProfiles = {
  rootCa: {
    lifetime: { leastDays: 3650, mostDays: 3650 },
    basicConstraints: { ca: true },
    keyUsage: issuerUsages,
    extendedKeyUsage: [],
    subjectAltName: "none",
    isPublished: false,
    other: [],
  },
  issuingCa: {
    lifetime: { leastDays: 1095, mostDays: 1095 },
    basicConstraints: { ca: true, pathLenConstraint: 0 },
    keyUsage: issuerUsages,
    // Not OCSPSigning: it would make the CA a responder of the root.
    extendedKeyUsage: ["serverAuth", "clientAuth"],
    subjectAltName: "none",
    isPublished: true,
    other: [],
  },
  server: {
    ...endEntity,
    lifetime: { leastDays: 30, mostDays: 30 },
    extendedKeyUsage: ["serverAuth"],
    subjectAltName: "hosts",
  },
  ocspResponder: {
    ...endEntity,
    lifetime: { leastDays: 30, mostDays: 30 },
    extendedKeyUsage: ["OCSPSigning"],
    subjectAltName: "none",
    isPublished: false,
    other: [ocspNoCheck],
  },
  device: { ...client, subjectAltName: "device" },
  service: { ...client, subjectAltName: "service" },
  operator: { ...client, subjectAltName: "operator" },
} as const satisfies Record<string, CertificateProfile>;

/** The common name of every server certificate that control signs; one with another is the operator's own. */
export const serverCommonName = "WardMQ broker";

/** The longest a certificate of this profile lives. */
export function longestLifetimeMs(name: CertificateProfileName): number {
  return certificateProfiles[name].lifetime.mostDays * dayMs;
}

/** When two thirds of a certificate's life are over: time for the next one. Milliseconds since 1970. */
export function renewalAt({ notBefore, notAfter }: Validity): number {
  return notBefore + ((notAfter - notBefore) * 2) / 3;
}

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
  /** Where the lifetime lies between the least and the most of the profile, 0 to 1. */
  readonly lifetimeShare: number;
  /** Where the issuer's CRL, its OCSP responder and its own certificate are. */
  readonly published?: PublishedAt;
}

/** URIs; what is nowhere has none. */
export interface PublishedAt {
  readonly crl: readonly string[];
  readonly ocsp: readonly string[];
  readonly caIssuers: readonly string[];
}

/** The addresses for certificates of one CA: `{ca}` stands for its key identifier in hex. */
export function publishedBy(ca: string, { crl, ocsp, caIssuers }: PublishedAt): PublishedAt {
  const ofCa = (uris: readonly string[]) => uris.map((uri) => uri.replaceAll("{ca}", ca));
  return { crl: ofCa(crl), ocsp: ofCa(ocsp), caIssuers: ofCa(caIssuers) };
}

const nowhere: PublishedAt = { crl: [], ocsp: [], caIssuers: [] };

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
  const { crl, ...access } = (profile.isPublished && issuance.published) || nowhere;
  const isAccessible = access.ocsp.length + access.caIssuers.length > 0;
  const extensions: readonly (Extension | undefined)[] = [
    basicConstraints(profile.basicConstraints),
    keyUsage(profile.keyUsage),
    profile.extendedKeyUsage.length > 0 ? extendedKeyUsage(profile.extendedKeyUsage) : undefined,
    subjectKeyIdentifier(issuance.subjectKeyIdentifier),
    authorityKeyIdentifier(issuance.authorityKeyIdentifier),
    names.length > 0 ? subjectAltName(names) : undefined,
    issuance.permittedUriHost ? nameConstraints(issuance.permittedUriHost) : undefined,
    crl.length > 0 ? crlDistributionPoints(crl) : undefined,
    isAccessible ? authorityInfoAccess(access) : undefined,
    ...profile.other,
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
function validityOf({ lifetime }: CertificateProfile, issuance: Issuance): Validity {
  const { now, issuerNotAfter, lifetimeShare } = issuance;
  const notBefore = now - backdatedMs;
  const days = lifetime.leastDays + (lifetime.mostDays - lifetime.leastDays) * lifetimeShare;
  const notAfter = notBefore + Math.floor((days * dayMs) / 1000) * 1000 - 1000;
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
