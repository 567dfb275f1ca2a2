import type { Signer } from "./certificate.ts";
import { type RevocationReason, revocationReasons } from "./certificate-list.ts";
import {
  bitString,
  contextTag,
  type DerElement,
  DerReader,
  element,
  elementsOf,
  objectIdentifier,
  octetString,
  sequence,
  sequenceOf,
  tags,
  unsignedOctets,
} from "./der.ts";
import { decodeExtensions, encodeExtension, extensionOids } from "./extension.ts";
import { signatureAlgorithmIdentifier } from "./public-key.ts";
import { encodeGeneralizedTime } from "./time.ts";
import { X509Error } from "./x509-error.ts";

/** Which certificate is asked about: its issuer by two hashes, and its serial number (RFC 6960 section 4.1.1). */
export interface CertId {
  /** As it came: the answer repeats it. */
  readonly der: Uint8Array;
  /** Undefined for a hash that we do not compute: nobody knows that certificate. */
  readonly hash: "sha1" | "sha256" | undefined;
  readonly issuerNameHash: Uint8Array;
  readonly issuerKeyHash: Uint8Array;
  /** Magnitude, big-endian. */
  readonly serialNumber: Uint8Array;
}

export interface OcspRequest {
  readonly certIds: readonly CertId[];
  /** The value of the nonce extension, an OCTET STRING in DER. */
  readonly nonce: Uint8Array | undefined;
}

export type CertStatus =
  | { readonly is: "good" }
  | { readonly is: "unknown" }
  | { readonly is: "revoked"; readonly at: number; readonly reason: RevocationReason };

export interface SingleResponse {
  readonly certId: Uint8Array;
  readonly status: CertStatus;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
}

export interface OcspResponseFields {
  /** Name of the responder, DER: the subject of the first of `certificates`. */
  readonly responder: Uint8Array;
  readonly producedAt: number;
  readonly responses: readonly SingleResponse[];
  readonly nonce: Uint8Array | undefined;
  /** The responder's certificate, DER. */
  readonly certificate: Uint8Array;
}

/** With the AlgorithmIdentifier's parameters NULL (RFC 3279) or absent (RFC 5754): both are written by clients. */
const hashes: Readonly<Record<string, "sha1" | "sha256">> = {
  "300906052b0e03021a0500": "sha1",
  "300706052b0e03021a": "sha1",
  "300d06096086480165030402010500": "sha256",
  "300b0609608648016503040201": "sha256",
};

const version1 = contextTag(0, "constructed");
/** More are asked about one after the other. */
const maximumCertIds = 32;
/** RFC 9654 section 2.1. */
const maximumNonceOctets = 128;

/** Reads a request of RFC 6960 section 4.1; who signs it, if anybody, is of no interest: the answer is public. */
export function decodeOcspRequest(der: Uint8Array): OcspRequest {
  const outer = new DerReader(der);
  const parts = new DerReader(outer.read(tags.sequence).content);
  outer.end();
  const tbs = new DerReader(parts.read(tags.sequence).content);
  parts.readOptional(contextTag(0, "constructed"));
  parts.end();
  tbs.readOptional(version1);
  tbs.readOptional(contextTag(1, "constructed"));
  const requests = elementsOf(tbs.read(tags.sequence).content);
  const extensions = tbs.readOptional(contextTag(2, "constructed"))?.content;
  tbs.end();
  if (requests.length < 1 || requests.length > maximumCertIds) {
    throw new X509Error("ERR_X509_OCSP_REQUEST", `not 1 to ${maximumCertIds} certificates`);
  }
  return { certIds: requests.map(decodeRequest), nonce: extensions && nonceOf(extensions) };
}

function decodeRequest({ tag, content }: DerElement): CertId {
  if (tag !== tags.sequence) throw new X509Error("ERR_X509_OCSP_REQUEST", "no sequence");
  const certId = new DerReader(content).read(tags.sequence);
  const reader = new DerReader(certId.content);
  const hash = hashes[Buffer.from(reader.read(tags.sequence).bytes).toString("hex")];
  const issuerNameHash = reader.read(tags.octetString).content;
  const issuerKeyHash = reader.read(tags.octetString).content;
  const serialNumber = unsignedOctets(reader.read(tags.integer));
  reader.end();
  return { der: certId.bytes, hash, issuerNameHash, issuerKeyHash, serialNumber };
}

function nonceOf(extensions: Uint8Array): Uint8Array | undefined {
  const found = decodeExtensions(extensions).find(({ oid }) => oid === extensionOids.ocspNonce);
  if (found === undefined) return undefined;
  const reader = new DerReader(found.value);
  const { content, bytes } = reader.read(tags.octetString);
  reader.end();
  if (content.length < 1 || content.length > maximumNonceOctets) {
    throw new X509Error("ERR_X509_OCSP_REQUEST", "the nonce is not 1 to 128 octets");
  }
  return bytes;
}

/** OCSPResponseStatus of RFC 6960 section 4.2.1. */
const responseStatuses = {
  successful: 0,
  malformedRequest: 1,
  internalError: 2,
  tryLater: 3,
} as const;

/** An answer without an answer: unsigned, as the RFC has it. */
export function ocspErrorResponse(
  status: Exclude<keyof typeof responseStatuses, "successful">,
): Uint8Array {
  return sequence(element(tags.enumerated, Uint8Array.of(responseStatuses[status])));
}

/** A signed response of RFC 6960 section 4.2.1, in DER. */
export async function ocspResponse(
  { responder, producedAt, responses, nonce, certificate }: OcspResponseFields,
  signer: Signer,
): Promise<Uint8Array> {
  const extensions =
    nonce === undefined
      ? []
      : [encodeExtension({ oid: extensionOids.ocspNonce, critical: false, value: nonce })];
  const responseData = sequence(
    element(contextTag(1, "constructed"), responder),
    encodeGeneralizedTime(producedAt),
    sequenceOf(responses.map(encodeSingleResponse)),
    ...extensions.map((one) => element(contextTag(1, "constructed"), sequence(one))),
  );
  const basic = sequence(
    responseData,
    signatureAlgorithmIdentifier(signer.algorithm),
    bitString(await signer.sign(responseData)),
    element(contextTag(0, "constructed"), sequence(certificate)),
  );
  return sequence(
    element(tags.enumerated, Uint8Array.of(responseStatuses.successful)),
    element(
      contextTag(0, "constructed"),
      sequence(objectIdentifier("1.3.6.1.5.5.7.48.1.1"), octetString(basic)), // id-pkix-ocsp-basic
    ),
  );
}

function encodeSingleResponse(single: SingleResponse): Uint8Array {
  return sequence(
    single.certId,
    encodeStatus(single.status),
    encodeGeneralizedTime(single.thisUpdate),
    element(contextTag(0, "constructed"), encodeGeneralizedTime(single.nextUpdate)),
  );
}

function encodeStatus(status: CertStatus): Uint8Array {
  if (status.is === "good") return element(contextTag(0, "primitive"));
  if (status.is === "unknown") return element(contextTag(2, "primitive"));
  const code = element(tags.enumerated, Uint8Array.of(revocationReasons[status.reason]));
  const reason =
    status.reason === "unspecified" ? [] : [element(contextTag(0, "constructed"), code)];
  return element(contextTag(1, "constructed"), encodeGeneralizedTime(status.at), ...reason);
}
