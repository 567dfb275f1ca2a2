import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { printable } from "@wardmq/events";
import type { BoundCertificate, ForeignCa } from "@wardmq/feed";
import type { Refusal } from "@wardmq/tls";
import {
  type Certificate,
  decodeCertificate,
  decodePem,
  identifyingFields,
  type OwnNames,
  readForeignCertificate,
  sameBytes,
  serialNumberHex,
  verifyingHashOf,
  X509Error,
} from "@wardmq/x509";
import type { SubjectState, Subjects } from "../enforcement/subjects.ts";

/** A foreign CA, made ready. */
export interface Anchor {
  readonly ca: ForeignCa;
  readonly certificate: Certificate;
  readonly key: KeyObject;
  readonly revoked: ReadonlySet<string>;
}

/** What of a certificate of a foreign CA is judged again for as long as its connection lives. */
interface Presented {
  readonly ca: ForeignCa;
  readonly fingerprint: string;
  readonly serialNumber: string;
  readonly value: string;
}

export interface ForeignIdentity {
  readonly subject: SubjectState;
  readonly bound: BoundCertificate;
  /** Why it counts no more, looked at anew. */
  readonly foreign: () => Refusal | undefined;
}

export interface ForeignCasParts {
  readonly subjects: Subjects;
  readonly own: () => OwnNames;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * The CAs of device fleets that were there before us. One of them says which record a certificate belongs to by its
 * mapping rule, for as long as its CRL is fresh; everything else about the device is what the record says.
 */
export class ForeignCas {
  readonly #parts: ForeignCasParts;
  #anchors: readonly Anchor[] = [];
  #lookedAt = 0;

  constructor(parts: ForeignCasParts) {
    this.#parts = parts;
  }

  /** PEM: where a certificationPath may end besides our own issuing CAs. */
  get trustAnchors(): readonly string[] {
    return this.#anchors.map(({ ca }) => ca.certificate);
  }

  /** Takes these in place of the former ones. */
  use(anchors: readonly Anchor[]): void {
    this.#anchors = anchors;
  }

  /** Whether the CRL of one has become too old since this was asked last. */
  becameStale(): boolean {
    const [since, now] = [this.#lookedAt, this.#parts.now()];
    this.#lookedAt = now;
    return this.#anchors.some(({ ca }) => ca.freshUntil > since && ca.freshUntil <= now);
  }

  /**
   * Who presents this certificate (DER) whose path the TLS layer has verified; undefined when no foreign CA has signed
   * it. `bound` is what the registry knows of it already.
   */
  identify(
    der: () => Uint8Array,
    fingerprint: string,
    bound: BoundCertificate | undefined,
  ): ForeignIdentity | Refusal | undefined {
    if (this.#anchors.length === 0 && bound === undefined) return undefined;
    const certificate = decodeOrNothing(der());
    const anchor = certificate && this.#anchors.find((one) => hasSigned(one, certificate));
    if (certificate === undefined || anchor === undefined) {
      if (bound?.foreignCa === undefined) return undefined;
      return { check: "foreign-ca", why: `${bound.foreignCa} is trusted no more` };
    }
    const { ca } = anchor;
    const read = readForeignCertificate(certificate, fingerprint, ca.mapping, this.#parts.own());
    if ("check" in read)
      return { check: read.check, why: `a certificate of ${ca.name} was refused: ${read.why}` };
    const serialNumber = serialNumberHex(certificate.serialNumber);
    const presented = { ca, fingerprint, serialNumber, value: read.value };
    const subject = this.#judge(presented);
    if ("check" in subject) return subject;
    return {
      subject,
      bound: { fingerprint, notAfter: certificate.validity.notAfter, state: "active" },
      foreign: () => {
        const now = this.#judge(presented);
        if ("check" in now) return now;
        return now === subject ? undefined : noLonger(presented);
      },
    };
  }

  /** The device that a certificate is for, or the rule that it fails now. */
  #judge(presented: Presented): SubjectState | Refusal {
    const { ca, fingerprint, serialNumber, value } = presented;
    const anchor = this.#anchors.find(
      (one) => one.ca.name === ca.name && one.ca.certificate === ca.certificate,
    );
    if (anchor === undefined) return { check: "foreign-ca", why: `${ca.name} is trusted no more` };
    const { freshUntil, site, mapping } = anchor.ca;
    if (freshUntil <= this.#parts.now()) return { check: "foreign-crl", why: whyStale(anchor.ca) };
    if (anchor.revoked.has(serialNumber)) {
      return { check: "foreign-revoked", why: `${ca.name} has revoked the certificate` };
    }
    const { subjects } = this.#parts;
    const found =
      mapping.equals === "uuid"
        ? [subjects.get(`device:${value}`)].filter((one) => one !== undefined)
        : subjects.byOrigin({ maker: mapping.maker, serial: value });
    const admitted = found.filter(({ isAdmitted }) => isAdmitted);
    const subject = admitted[0] ?? found[0];
    const { field, equals } = mapping;
    if (subject === undefined) {
      const why = `no record has the ${equals} that ${identifyingFields[field]} names: ${printable(value, 80)}`;
      return { check: "foreign-mapping", why };
    }
    if (admitted.length > 1) {
      const why = `${admitted.length} records have the ${equals} that ${identifyingFields[field]} names`;
      return { check: "foreign-mapping", why };
    }
    if (site !== undefined && subject.record.attributes["site"] !== site) {
      return { check: "foreign-site", why: `${ca.name} is trusted for the site ${site} only` };
    }
    if (!subject.isAdmitted) {
      return { check: "subject-active", why: `the subject is ${subject.record.state}` };
    }
    const state = subject.certificate(fingerprint)?.state ?? "active";
    if (state === "active") return subject;
    return { check: "certificate-active", why: `the certificate is ${state}` };
  }
}

/** Throws if the certificate of one can not be used. */
export function readForeignCas(all: readonly ForeignCa[]): readonly Anchor[] {
  return all.map(anchorOf);
}

function anchorOf(ca: ForeignCa): Anchor {
  const certificate = decodeCertificate(decodePem("CERTIFICATE", ca.certificate));
  const spki = Buffer.from(certificate.publicKey);
  const key = createPublicKey({ key: spki, format: "der", type: "spki" });
  return { ca, certificate, key, revoked: new Set(ca.revoked) };
}

function decodeOrNothing(der: Uint8Array): Certificate | undefined {
  try {
    return decodeCertificate(der);
  } catch (error) {
    if (error instanceof X509Error) return undefined;
    throw error;
  }
}

/** A path may have come over a CA below the foreign one: only what it has signed itself is in its CRL. */
function hasSigned({ certificate, key }: Anchor, leaf: Certificate): boolean {
  const hash = verifyingHashOf(leaf.signatureIdentifier);
  if (hash === undefined || !sameBytes(leaf.issuer, certificate.subject)) return false;
  try {
    return verify(hash, leaf.tbsCertificate, key, leaf.signature);
  } catch {
    return false; // an algorithm that the key is not for
  }
}

function whyStale({ name, freshUntil }: ForeignCa): string {
  if (freshUntil === 0) return `no CRL of ${name} was ever read`;
  return `the CRL of ${name} is too old: it was good until ${new Date(freshUntil).toISOString()}`;
}

function noLonger({ ca }: Presented): Refusal {
  return { check: "foreign-mapping", why: `${ca.name} says now that it is another device's` };
}
