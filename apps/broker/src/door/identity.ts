import type { PeerCertificate } from "node:tls";
import { printable } from "@wardmq/events";
import type { BoundCertificate, BrokerSettings, Proof } from "@wardmq/feed";
import { fingerprintOf, type Refusal, refuseNegotiated } from "@wardmq/tls";
import type { SubjectState, Subjects } from "../enforcement/subjects.ts";
import { nobody } from "../tokens/token-subjects.ts";
import type { ForeignCas, ForeignIdentity } from "./foreign-cas.ts";

/** What the TLS layer found out about a peer. */
export interface Handshake {
  /** Empty when the peer presented none. Cheaper on Bun than an X509Certificate, which costs a tenth of a connect. */
  readonly certificate: Partial<Pick<PeerCertificate, "fingerprint256" | "subjectaltname">>;
  /** The whole certificate, asked for only where its contents count: it is what makes a handshake dear on Bun. */
  readonly der: () => Uint8Array;
  /** As OpenSSL names it. */
  readonly cipherSuite: string;
  readonly isAuthorized: boolean;
  /** OpenSSL's or BoringSSL's name for what is wrong with the certification path. */
  readonly authorizationError: string | undefined;
  readonly serverName: string | undefined;
}

export type Identification =
  /** Without a certificate the subject is `nobody`, until a token says who it is. */
  | { readonly subject: SubjectState; readonly bound: BoundCertificate | undefined }
  | ForeignIdentity
  | Refusal;

/**
 * Who presents this certificate. Of ours the text is never parsed for an identity: it must be one that was bound to a
 * record, and its only subjectAltName the SPIFFE ID of that record, byte for byte. What no record knows may be of a
 * foreign CA, which has rules of its own.
 */
export function identify(
  handshake: Handshake,
  settings: Pick<BrokerSettings, "hosts" | "tls">,
  subjects: Subjects,
  proof: Proof,
  foreign: ForeignCas,
): Identification {
  const { certificate } = handshake;
  const refused = refuseNegotiated(handshake, settings);
  if (refused !== undefined) return refused;
  if (certificate.fingerprint256 === undefined) {
    if (proof === "token" || proof === "both") return { subject: nobody, bound: undefined };
    return { check: "client-certificate", why: "the client presented no certificate" };
  }
  if (!handshake.isAuthorized) {
    const reason = printable(handshake.authorizationError ?? "no reason was given", 80);
    return { check: "certification-path", why: `the certificate was not accepted: ${reason}` };
  }
  const fingerprint = fingerprintOf(certificate.fingerprint256);
  const found = subjects.byFingerprint(fingerprint);
  if (found === undefined || found.certificate.foreignCa !== undefined) {
    const theirs = foreign.identify(handshake.der, fingerprint, found?.certificate);
    if (theirs !== undefined) return theirs;
  }
  if (found === undefined) {
    return { check: "certificate-bound", why: "the certificate is not bound to any record" };
  }
  const { subject, certificate: bound } = found;
  if (bound.state !== "active") {
    return { check: "certificate-active", why: `the certificate is ${bound.state}` };
  }
  if (!subject.isAdmitted) {
    return { check: "subject-active", why: `the subject is ${subject.record.state}` };
  }
  if (certificate.subjectaltname !== `URI:${subject.record.spiffeId}`) {
    return {
      check: "subject-alt-name",
      why: "the certificate's subjectAltName is not exactly the SPIFFE ID of its record",
    };
  }
  return { subject, bound };
}
