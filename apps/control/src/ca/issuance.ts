import type { SecurityEvent } from "@wardmq/events";
import { type Certificate, certificate, decodeCertificate, encodeName } from "@wardmq/x509";
import { Failure } from "../failure.ts";
import type { Doing, Registry } from "../registry/registry.ts";
import type { RegistryChange } from "../registry/rows.ts";
import type { Authority } from "./authority.ts";
import {
  caIdOf,
  certificatePem,
  fieldsOf,
  randomSerialNumber,
  sha256Hex,
} from "./certificate-authority.ts";
import { checkRequest, decodeRequest, RequestRefused } from "./request-checks.ts";

/** What issuing acts on. */
export interface Issuing {
  readonly registry: Registry;
  readonly authority: () => Authority;
  readonly publisher: { publish(change: RegistryChange): () => Promise<unknown> };
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
}

export interface Issued {
  readonly certificate: Certificate;
  /** SHA-256 over the certificate, lower-case hex. */
  readonly fingerprint: string;
  /** As OpenSSL prints it. */
  readonly serialNumber: string;
  /** PEM: the certificate, then its issuer. */
  readonly certificateChain: string;
  /** PEM of the root CAs. */
  readonly trustAnchors: string;
}

/**
 * Issues a certificate for the key of a PKCS#10 request (DER, or PEM as text) to a registered subject, and binds it to the record:
 *
 *     look up the record -> read the request -> write the fields -> check the request -> record the intent
 *       -> sign -> record and bind the certificate -> tell the brokers
 *
 * Names come from the record, everything else from the profile. The intent stands before the signature exists: there is
 * no certificate that the history has never heard of. A refusal is an event that names the check.
 */
export async function issueToSubject(
  on: Issuing,
  subject: string,
  request: Uint8Array | string,
  doing: Doing,
): Promise<Issued> {
  try {
    return await issueChecked(on, subject, request, doing);
  } catch (error) {
    if (error instanceof Failure) recordRefusal(on, subject, error, doing);
    throw error;
  }
}

async function issueChecked(
  { registry, authority, publisher, record }: Issuing,
  subject: string,
  asked: Uint8Array | string,
  doing: Doing,
): Promise<Issued> {
  const { issuer, roots, ownKeys } = authority();
  const { kind, attributes, spiffeId } = registry.activeSubject(subject);
  const request = decodeRequest(asked);
  const fields = fieldsOf(issuer, {
    profile: kind,
    subject: encodeName({ commonName: attributes["id"] ?? "" }),
    subjectAltName: [{ uri: spiffeId }],
    publicKey: request.publicKey,
    serialNumber: randomSerialNumber(),
    now: doing.at,
  });
  const publicKeyHash = sha256Hex(request.publicKey);
  checkRequest({ request, publicKeyHash, extensions: fields.extensions, ownKeys });
  registry.refuseUsedKey(publicKeyHash, subject);
  registry.recordIntent(subject, serialNumberText(fields), publicKeyHash, doing);
  const issued = decodeCertificate(await certificate(fields, issuer.signer));
  const bound = {
    fingerprint: sha256Hex(issued.der),
    serialNumber: serialNumberText(issued),
    notAfter: issued.validity.notAfter,
  };
  const { notBefore } = issued.validity;
  const changed = registry.recordCertificate(
    {
      ...bound,
      subject,
      issuer: caIdOf(issuer.certificate),
      publicKeyHash,
      notBefore,
      der: issued.der,
    },
    doing,
  );
  await publisher.publish({ subjects: [changed] })();
  record({
    type: "certificate-issued",
    subject,
    certificate: {
      subject: spiffeId,
      issuer: "WardMQ issuing CA",
      serialNumber: bound.serialNumber,
      fingerprint: bound.fingerprint,
    },
    details: { actor: doing.actor },
  });
  return {
    ...bound,
    certificate: issued,
    certificateChain: certificatePem(issued) + certificatePem(issuer.certificate),
    trustAnchors: roots.join(""),
  };
}

/** As OpenSSL prints serial numbers. */
function serialNumberText({ serialNumber }: Pick<Certificate, "serialNumber">): string {
  return Buffer.from(serialNumber).toString("hex").toUpperCase();
}

/** The registry's refusals name their rule by their code, such as `key-revoked`. */
function recordRefusal({ record }: Issuing, subject: string, error: Failure, doing: Doing): void {
  const check =
    error instanceof RequestRefused
      ? error.check
      : error.code.replace(/^ERR_/, "").toLowerCase().replaceAll("_", "-");
  const details = { actor: doing.actor };
  record({ type: "certificate-refused", subject, check, why: error.message, details });
}
