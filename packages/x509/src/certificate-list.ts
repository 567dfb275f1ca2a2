import type { Signer } from "./certificate.ts";
import {
  bitString,
  bitStringOctets,
  boolean,
  contextTag,
  DerReader,
  element,
  elementsOf,
  sameBytes,
  sequence,
  tags,
  unsignedInteger,
  unsignedOctets,
} from "./der.ts";
import {
  authorityKeyIdentifier,
  decodeExtensions,
  type Extension,
  encodeExtension,
  extensionOids,
} from "./extension.ts";
import { signatureAlgorithmIdentifier } from "./public-key.ts";
import { decodeTime, encodeTime } from "./time.ts";
import { X509Error } from "./x509-error.ts";

/** CRLReason of RFC 5280 section 5.3.1; `unspecified` is left out of a CRL, as the RFC wants it. */
export const revocationReasons = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  privilegeWithdrawn: 9,
} as const;
export type RevocationReason = keyof typeof revocationReasons;

export interface RevokedCertificate {
  /** Magnitude, big-endian. */
  readonly serialNumber: Uint8Array;
  /** Milliseconds since 1970, cut to the second. */
  readonly revocationDate: number;
  readonly reason: RevocationReason;
}

/** A full CRL of everything one CA has issued: the CA knows no other kind of certificate than `scope`. */
export interface CertificateListFields {
  /** Name, DER: byte for byte the subject of the CA's certificate. */
  readonly issuer: Uint8Array;
  readonly authorityKeyIdentifier: Uint8Array;
  /** Grows with every CRL of this issuer. */
  readonly crlNumber: number;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  readonly scope: "userCertificates" | "caCertificates";
  readonly revoked: readonly RevokedCertificate[];
}

const version2 = unsignedInteger(Uint8Array.of(1));
const extensionsTag = contextTag(0, "constructed");

/** The bits of IssuingDistributionPoint, RFC 5280 section 5.2.5, by their context tags. */
const scopes = { userCertificates: 1, caCertificates: 2 } as const;

/** A signed CRL of RFC 5280 section 5, in DER. */
export async function certificateList(
  fields: CertificateListFields,
  signer: Signer,
): Promise<Uint8Array> {
  const algorithm = signatureAlgorithmIdentifier(signer.algorithm);
  const extensions = [
    authorityKeyIdentifier(fields.authorityKeyIdentifier),
    crlNumber(fields.crlNumber),
    issuingDistributionPoint(fields.scope),
  ];
  const tbs = sequence(
    version2,
    algorithm,
    fields.issuer,
    encodeTime(fields.thisUpdate),
    encodeTime(fields.nextUpdate),
    ...(fields.revoked.length > 0 ? [encodeEntries(fields.revoked)] : []), // an empty list is left out
    element(extensionsTag, sequence(...extensions.map(encodeExtension))),
  );
  return sequence(tbs, algorithm, bitString(await signer.sign(tbs)));
}

function crlNumber(number: number): Extension {
  const octets = Buffer.alloc(6);
  octets.writeUIntBE(number, 0, 6);
  return { oid: extensionOids.crlNumber, critical: false, value: unsignedInteger(octets) };
}

/** Critical, as section 5.2.5 wants it; without a name, so that the CRL counts wherever it was fetched. */
function issuingDistributionPoint(scope: CertificateListFields["scope"]): Extension {
  const flag = element(contextTag(scopes[scope], "primitive"), boolean(true).subarray(2));
  return { oid: extensionOids.issuingDistributionPoint, critical: true, value: sequence(flag) };
}

/** 22 octets of serial number, 15 of time, 14 of reason, and the headers: an entry is never longer. */
const longestEntry = 64;

/**
 * Hot path: revokedCertificates of section 5.1.2.6, for a hundred thousand entries in one buffer. They share some
 * reasons and many a second, so both are encoded once.
 */
function encodeEntries(revoked: readonly RevokedCertificate[]): Uint8Array {
  const reasons = Object.entries(revocationReasons).map(([reason, code]) => [
    reason,
    code === revocationReasons.unspecified ? new Uint8Array() : reasonExtension(code),
  ]) as readonly (readonly [RevocationReason, Uint8Array])[];
  const reasonOf = new Map(reasons);
  const times = new Map<number, Uint8Array>();
  const octets = new Uint8Array(revoked.length * longestEntry);
  let at = 0;
  for (const { serialNumber, revocationDate, reason } of revoked) {
    const second = Math.floor(revocationDate / 1000);
    let time = times.get(second);
    if (time === undefined) {
      time = encodeTime(second * 1000);
      times.set(second, time);
    }
    const start = at;
    octets[at] = tags.sequence;
    at = writeSerialNumber(octets, at + 2, serialNumber);
    octets.set(time, at);
    at += time.length;
    const extension = reasonOf.get(reason) ?? new Uint8Array();
    octets.set(extension, at);
    at += extension.length;
    octets[start + 1] = at - start - 2;
  }
  return element(tags.sequence, octets.subarray(0, at));
}

/** Writes an INTEGER as `unsignedInteger` makes it, and gives where it ends. */
function writeSerialNumber(octets: Uint8Array, at: number, magnitude: Uint8Array): number {
  let from = 0;
  while (from < magnitude.length - 1 && magnitude[from] === 0) from += 1;
  const sign = (magnitude[from] ?? 0) >= 0x80 ? 1 : 0;
  const length = magnitude.length - from + sign;
  if (magnitude.length === 0 || length > 21) {
    throw new X509Error("ERR_X509_VALUE", "serial number is empty or over 20 octets");
  }
  octets[at] = tags.integer;
  octets[at + 1] = length;
  octets.set(magnitude.subarray(from), at + 2 + sign);
  return at + 2 + length;
}

function reasonExtension(code: number): Uint8Array {
  const value = element(tags.enumerated, Uint8Array.of(code));
  return sequence(encodeExtension({ oid: extensionOids.reasonCode, critical: false, value }));
}

/** A CRL that says everything about the user certificates of its issuer: what a broker may rely on. */
export interface CertificateList {
  readonly tbsCertList: Uint8Array;
  /** AlgorithmIdentifier, DER. */
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  /** Name, DER. */
  readonly issuer: Uint8Array;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** Undefined when there is none, or one beyond 48 bits. */
  readonly crlNumber: number | undefined;
  /** Serial numbers as lower-case hex of their magnitude. */
  readonly revokedSerialNumbers: readonly string[];
}

/**
 * Reads a CRL, ours or another CA's; its signature is for the caller to verify. Refused is what tells less than all:
 * a CRL without an end, a delta CRL, an indirect one, one for some reasons or for CA certificates only, and every
 * critical extension we do not know.
 */
export function decodeCertificateList(der: Uint8Array): CertificateList {
  const outer = new DerReader(der);
  const parts = new DerReader(outer.read(tags.sequence).content);
  outer.end();
  const tbs = parts.read(tags.sequence);
  const signatureAlgorithm = parts.read(tags.sequence).bytes;
  const signature = bitStringOctets(parts.read(tags.bitString));
  parts.end();

  const reader = new DerReader(tbs.content);
  const version = reader.readOptional(tags.integer)?.bytes;
  if (version !== undefined && !sameBytes(version, version2)) throw refused("not version 2");
  if (!sameBytes(reader.read(tags.sequence).bytes, signatureAlgorithm)) {
    throw refused("two different signature algorithms");
  }
  const issuer = reader.read(tags.sequence).bytes;
  const thisUpdate = decodeTime(reader.read());
  if (reader.nextTag !== tags.utcTime && reader.nextTag !== tags.generalizedTime) {
    throw refused("it does not say when the next one comes (nextUpdate)");
  }
  const nextUpdate = decodeTime(reader.read());
  const entries = reader.readOptional(tags.sequence)?.content ?? new Uint8Array();
  const listed = reader.readOptional(extensionsTag)?.content;
  reader.end();
  const extensions = listed === undefined ? [] : decodeExtensions(listed);
  refusePartial(extensions);
  return {
    tbsCertList: tbs.bytes,
    signatureAlgorithm,
    signature,
    issuer,
    thisUpdate,
    nextUpdate,
    crlNumber: crlNumberOf(extensions),
    revokedSerialNumbers: decodeEntries(entries),
  };
}

/** The form serial numbers have in `revokedSerialNumbers`, from the magnitude of one. */
export function serialNumberHex(magnitude: Uint8Array): string {
  return Buffer.from(magnitude.buffer, magnitude.byteOffset, magnitude.length).toString("hex");
}

function crlNumberOf(extensions: readonly Extension[]): number | undefined {
  const found = extensions.find(({ oid }) => oid === extensionOids.crlNumber);
  if (found === undefined) return undefined;
  const octets = unsignedOctets(new DerReader(found.value).read(tags.integer));
  return octets.length > 6 ? undefined : Buffer.from(octets).readUIntBE(0, octets.length);
}

const refused = (why: string) => new X509Error("ERR_X509_CRL", why);

function refusePartial(extensions: readonly Extension[]): void {
  for (const { oid, critical, value } of extensions) {
    if (oid === extensionOids.issuingDistributionPoint) refusePartialScope(value);
    else if (critical) throw refused(`critical extension ${oid}`); // a delta CRL has one as well
  }
}

function refusePartialScope(value: Uint8Array): void {
  const outer = new DerReader(value);
  for (const { tag } of elementsOf(outer.read(tags.sequence).content)) {
    const isName = tag === contextTag(0, "constructed");
    const isOnlyUserCertificates = tag === contextTag(scopes.userCertificates, "primitive");
    if (!isName && !isOnlyUserCertificates) {
      throw refused("it is indirect, or only for some reasons or for no user certificates");
    }
  }
  outer.end();
}

/**
 * Hot path: the serial numbers of a hundred thousand entries. Times and extensions that stood in an entry before are
 * not decoded again.
 */
function decodeEntries(content: Uint8Array): readonly string[] {
  const seen = new Set<string>();
  const once = (bytes: Uint8Array, check: () => void) => {
    const key = Buffer.from(bytes).toString("latin1");
    if (seen.has(key)) return;
    check();
    seen.add(key);
  };
  const entries = new DerReader(content);
  const serialNumbers: string[] = [];
  while (entries.nextTag !== undefined) {
    const reader = new DerReader(entries.read(tags.sequence).content);
    serialNumbers.push(serialNumberHex(unsignedOctets(reader.read(tags.integer))));
    const time = reader.read();
    once(time.bytes, () => decodeTime(time));
    const extensions = reader.readOptional(tags.sequence)?.bytes;
    reader.end();
    if (extensions !== undefined) once(extensions, () => refuseCriticalEntry(extensions));
  }
  return serialNumbers;
}

/** An entry of a full CRL has no critical extension that we would have to know. */
function refuseCriticalEntry(extensions: Uint8Array): void {
  for (const { oid, critical } of decodeExtensions(extensions)) {
    if (critical && oid !== extensionOids.reasonCode) {
      throw refused(`critical extension ${oid} of an entry`);
    }
  }
}
