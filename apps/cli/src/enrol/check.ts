import type { X509Certificate } from "node:crypto";
import {
  decodeCertificate,
  extendedKeyUsage,
  extensionOids,
  parseSpiffeId,
  sameBytes,
  subjectAltName,
  subjectAltNames,
  X509Error,
} from "@wardmq/x509";
import { Failure } from "../failure.ts";

/** What a certificate has to be for the device that asked for it. */
export interface Wanted {
  /** The device's uuid, where it is known before. */
  readonly id?: string | undefined;
  /** The identity that it had until now. */
  readonly spiffeId?: string | undefined;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** What the trusted server gave: roots and issuing CAs. */
  readonly authorities: readonly X509Certificate[];
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** A certificate that passed, with its path up to the root, which is left out. */
export interface Checked {
  readonly spiffeId: string;
  readonly path: readonly X509Certificate[];
}

/** Refuses a certificate that is not exactly what this device may use. */
export function checkIssued(issued: X509Certificate, wanted: Wanted): Checked {
  const { extensions, publicKey } = decode(issued);
  const extension = (oid: string) => extensions.find((one) => one.oid === oid)?.value;
  if (!sameBytes(publicKey, wanted.publicKey)) throw wrong("is for another key");
  const usage = extension(extensionOids.extendedKeyUsage);
  if (usage === undefined || !sameBytes(usage, extendedKeyUsage(["clientAuth"]).value) || issued.ca)
    throw wrong("is not for a client of TLS, and that alone");
  const spiffeId = onlyDevice(extension(extensionOids.subjectAltName));
  const isWanted =
    (wanted.id === undefined || parseSpiffeId(spiffeId).id === wanted.id) &&
    (wanted.spiffeId === undefined || spiffeId === wanted.spiffeId);
  if (!isWanted) throw wrong(`is for another device, ${spiffeId}`);
  if (!isValid(issued, wanted.now))
    throw wrong(
      `is not valid at the time of this device, ${new Date(wanted.now).toISOString()}`,
      "set the clock",
    );
  const path = pathOf(issued, wanted, 4);
  if (path === undefined) throw wrong("does not lead to a CA that is trusted");
  return { spiffeId, path };
}

function decode(issued: X509Certificate) {
  try {
    return decodeCertificate(issued.raw);
  } catch (error) {
    if (error instanceof X509Error) throw wrong("cannot be read");
    throw error;
  }
}

/** The SPIFFE ID of a device that is the only subjectAltName, byte for byte. */
function onlyDevice(value: Uint8Array | undefined): string {
  try {
    const [uri, ...more] = value === undefined ? [] : subjectAltNames(value, "uri");
    const isOnly =
      value !== undefined &&
      uri !== undefined &&
      more.length === 0 &&
      parseSpiffeId(uri).kind === "device" &&
      sameBytes(value, subjectAltName([{ uri }]).value);
    if (isOnly) return uri;
  } catch (error) {
    if (!(error instanceof X509Error)) throw error;
  }
  throw wrong("does not name exactly one device");
}

/** The certificate and the CAs above it below a root, or undefined where they lead to none. */
function pathOf(
  certificate: X509Certificate,
  { authorities, now }: Pick<Wanted, "authorities" | "now">,
  most: number,
): readonly X509Certificate[] | undefined {
  if (most === 0) return undefined;
  const issuers = authorities.filter(
    (one) =>
      one.ca &&
      isValid(one, now) &&
      certificate.checkIssued(one) &&
      certificate.verify(one.publicKey),
  );
  if (issuers.some(isRoot)) return [certificate];
  for (const issuer of issuers) {
    const rest = pathOf(issuer, { authorities, now }, most - 1);
    if (rest !== undefined) return [certificate, ...rest];
  }
  return undefined;
}

export function isRoot(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

function isValid({ validFrom, validTo }: X509Certificate, now: number): boolean {
  return Date.parse(validFrom) <= now && now <= Date.parse(validTo);
}

function wrong(why: string, hint = "nothing was stored; tell the operator of the deployment") {
  return new Failure(1, `the certificate that came back ${why}`, hint);
}
