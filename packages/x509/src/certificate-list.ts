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
  sequenceOf,
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
  /** Magnitude in hex, two digits for each octet. */
  readonly serialNumber: string;
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
  /** What `encodeRevoked` made, one or more parts; none when nothing is revoked. */
  readonly revoked: readonly Uint8Array[];
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
    ...(fields.revoked.some(({ length }) => length > 0) ? [sequenceOf(fields.revoked)] : []), // an empty list is left out
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

/** 23 octets of serial number, 17 of time, 14 of reason, and the header: an entry is never longer. */
const longestEntry = 64;

/** Empty for `unspecified`, which is left out. */
const reasonExtensions = new Map(
  Object.entries(revocationReasons).map(([reason, code]) => [
    reason as RevocationReason,
    code === revocationReasons.unspecified ? new Uint8Array() : reasonExtension(code),
  ]),
);

/**
 * Hot path: entries of revokedCertificates, RFC 5280 section 5.1.2.6. A list of a hundred thousand is encoded in parts,
 * so that others have a turn in between.
 */
export function encodeRevoked(revoked: readonly RevokedCertificate[]): Uint8Array {
  const octets = Buffer.allocUnsafe(revoked.length * longestEntry);
  let at = 0;
  for (const { serialNumber, revocationDate, reason } of revoked) {
    const start = at;
    octets[at] = tags.sequence;
    at = writeSerialNumber(octets, at + 2, serialNumber);
    at = writeAll(octets, at, encodeTime(revocationDate));
    at = writeAll(octets, at, reasonExtensions.get(reason) ?? new Uint8Array());
    octets[start + 1] = at - start - 2;
  }
  return octets.subarray(0, at);
}

/** `set` costs more than a few octets do. */
function writeAll(octets: Uint8Array, at: number, some: Uint8Array): number {
  for (let i = 0; i < some.length; i += 1) octets[at + i] = some[i] ?? 0;
  return at + some.length;
}

/** Writes an INTEGER as `unsignedInteger` makes it from the magnitude in hex, and gives where it ends. */
function writeSerialNumber(octets: Buffer, at: number, hex: string): number {
  const magnitude = hex.replace(/^(00)+(?=..)/, "");
  const sign = magnitude.charCodeAt(0) >= eight ? 1 : 0;
  const length = magnitude.length / 2 + sign;
  octets[at] = tags.integer;
  octets[at + 1] = length;
  octets[at + 2] = 0;
  const written =
    magnitude.length === 0 || magnitude.length > 40
      ? 0
      : octets.write(magnitude, at + 2 + sign, "hex");
  if (written === 0 || written + sign !== length) {
    throw new X509Error("ERR_X509_VALUE", "serial number is no hex, empty or over 20 octets");
  }
  return at + 2 + length;
}

/** Hexadecimal digits from 8 on, upper or lower case, have their highest bit set. */
const eight = 0x38;

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
  const { entries, extensions, ...list } = decodeAllButEntries(der);
  refusePartial(extensions);
  return { ...list, revokedSerialNumbers: decodeEntries(entries) };
}

/**
 * When a CRL of our own is from, until when it is good, and its number: all that the next one depends on. Its scope is
 * not looked at: a root's lists CA certificates only.
 */
export function decodeCertificateListTimes(
  der: Uint8Array,
): Pick<CertificateList, "thisUpdate" | "nextUpdate" | "crlNumber"> {
  const { thisUpdate, nextUpdate, crlNumber } = decodeAllButEntries(der);
  return { thisUpdate, nextUpdate, crlNumber };
}

function decodeAllButEntries(der: Uint8Array): Omit<CertificateList, "revokedSerialNumbers"> & {
  readonly entries: Uint8Array;
  readonly extensions: readonly Extension[];
} {
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
  return {
    tbsCertList: tbs.bytes,
    signatureAlgorithm,
    signature,
    issuer,
    thisUpdate,
    nextUpdate,
    crlNumber: crlNumberOf(extensions),
    entries,
    extensions,
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

/** Hot path: the serial numbers of a hundred thousand entries. Extensions that stood in one before are not decoded again. */
function decodeEntries(content: Uint8Array): readonly string[] {
  const seen = new Set<string>();
  const entries = new DerReader(content);
  const serialNumbers: string[] = [];
  while (entries.nextTag !== undefined) {
    const reader = new DerReader(entries.read(tags.sequence).content);
    serialNumbers.push(serialNumberHex(unsignedOctets(reader.read(tags.integer))));
    decodeTime(reader.read());
    const extensions = reader.readOptional(tags.sequence)?.bytes;
    reader.end();
    if (extensions === undefined) continue;
    const key = Buffer.from(extensions).toString("latin1");
    if (!seen.has(key)) refuseCriticalEntry(extensions);
    seen.add(key);
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
