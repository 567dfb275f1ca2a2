import { setTimeout as delay } from "node:timers/promises";
import type { SecurityEvent } from "@wardmq/events";
import {
  type Certificate,
  type CertificateFields,
  certificate,
  decodeCertificate,
  encodeName,
} from "@wardmq/x509";
import { Failure } from "../failure.ts";
import type { Doing, Registry } from "../registry/registry.ts";
import type { RegisteredSubject, RegistryChange } from "../registry/rows.ts";
import type { Authority } from "./authority.ts";
import {
  caIdOf,
  certificatePem,
  fieldsOf,
  randomSerialNumber,
  sha256Hex,
} from "./certificate-authority.ts";
import { checkRequest, decodeRequest, RequestRefused } from "./request-checks.ts";
import type { ServerCertificates } from "./server-certificates.ts";

/** What issuing acts on. */
export interface Issuing {
  readonly registry: Registry;
  readonly authority: () => Authority;
  /** Those of brokers, whose keys no subject may have. */
  readonly servers: Pick<ServerCertificates, "hasKey">;
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

/** Who asks for a certificate, and who is to hear what came of it. */
interface Order {
  readonly subject: string;
  /** PKCS#10: DER, or PEM as text. */
  readonly request: Uint8Array | string;
  readonly doing: Doing;
  readonly issued: (issued: Issued) => void;
  readonly refused: (error: unknown) => void;
}

/** An order whose request has passed every check. */
interface Accepted extends Order {
  readonly spiffeId: string;
  readonly fields: CertificateFields;
  readonly publicKeyHash: string;
}

interface Signed extends Accepted {
  readonly certificate: Certificate;
}

/** A commit takes about as long. */
const gatheringMs = 3;
/** Some ten milliseconds of work; then others have a turn. */
const mostTogether = 32;
/** How long the next ones wait for brokers to confirm those before. */
const patienceMs = 50;

/**
 * Issues certificates to registered subjects, and binds them to their records:
 *
 *     look up the record -> read the request -> write the fields -> check the request -> record the intent
 *       -> sign -> record and bind the certificate -> tell the brokers
 *
 * Names come from the record, everything else from the profile. The intent stands before the signature exists: there is
 * no certificate that the history has never heard of. What is asked for at about the same time takes each step
 * together: a fleet that enrols costs two commits and one change of the feed for many certificates, not for each.
 */
export class Issuance {
  readonly #on: Issuing;
  readonly #waiting: Order[] = [];
  #isWorking = false;

  constructor(on: Issuing) {
    this.#on = on;
  }

  /** Settles when the certificate is recorded and the brokers know it. A refusal is a Failure, and an event that names the check. */
  issue(subject: string, request: Uint8Array | string, doing: Doing): Promise<Issued> {
    return new Promise((issued, refused) => {
      this.#waiting.push({ subject, request, doing, issued, refused });
      if (!this.#isWorking) void this.#work();
    });
  }

  async #work(): Promise<void> {
    this.#isWorking = true;
    while (this.#waiting.length > 0) {
      await delay(gatheringMs);
      const orders = this.#waiting.splice(0, mostTogether);
      try {
        await issueTogether(this.#on, orders);
      } catch (error) {
        for (const order of orders) refuse(this.#on, order, error);
      }
    }
    this.#isWorking = false;
  }
}

async function issueTogether(on: Issuing, orders: readonly Order[]): Promise<void> {
  const { registry, publisher } = on;
  const authority = on.authority();
  const accepted = unlessRefused(on, orders, (order) => accept(on, authority, order));
  registry.together(() => {
    for (const { subject, fields, publicKeyHash, doing } of accepted)
      registry.recordIntent(subject, serialNumberText(fields), publicKeyHash, doing);
  });
  const signed = await Promise.all(
    accepted.map(async (order) => {
      const der = await certificate(order.fields, authority.issuer.signer);
      return { ...order, certificate: decodeCertificate(der) };
    }),
  );
  const bound = registry.together(() =>
    unlessRefused(on, signed, (order) => ({ order, subject: bind(registry, authority, order) })),
  );
  if (bound.length === 0) return;
  const confirmed = publisher.publish({ subjects: bound.map(({ subject }) => subject) })();
  const handed = confirmed
    .then(() => {
      for (const { order } of bound) hand(on, authority, order);
    })
    .catch((error: unknown) => {
      for (const { order } of bound) refuse(on, order, error);
    });
  // More is asked for meanwhile. A broker that does not answer delays these, and no others.
  await Promise.race([handed, delay(patienceMs, undefined, { ref: false })]);
}

/** What came of those that were not refused; of the others they and the events hear. */
function unlessRefused<One extends Order, Result>(
  on: Issuing,
  orders: readonly One[],
  step: (order: One) => Result,
): readonly Result[] {
  return orders.flatMap((order) => {
    try {
      return [step(order)];
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      refuse(on, order, error);
      return [];
    }
  });
}

function refuse({ record }: Issuing, order: Order, error: unknown): void {
  if (error instanceof Failure) recordRefusal(record, order, error);
  order.refused(error);
}

function accept(
  { registry, servers }: Issuing,
  { issuer, ownKeys }: Authority,
  order: Order,
): Accepted {
  const { kind, attributes, spiffeId } = registry.activeSubject(order.subject);
  const request = decodeRequest(order.request);
  const fields = fieldsOf(issuer, {
    profile: kind,
    subject: encodeName({ commonName: attributes["id"] ?? "" }),
    subjectAltName: [{ uri: spiffeId }],
    publicKey: request.publicKey,
    serialNumber: randomSerialNumber(),
    now: order.doing.at,
  });
  const publicKeyHash = sha256Hex(request.publicKey);
  const isOwn = { has: (hash: string) => ownKeys.has(hash) || servers.hasKey(hash) };
  checkRequest({ request, publicKeyHash, extensions: fields.extensions, ownKeys: isOwn });
  registry.refuseUsedKey(publicKeyHash, order.subject);
  return { ...order, spiffeId, fields, publicKeyHash };
}

function bind(registry: Registry, { issuer }: Authority, order: Signed): RegisteredSubject {
  const { subject, certificate, publicKeyHash, doing } = order;
  const { der, validity } = certificate;
  return registry.recordCertificate(
    {
      subject,
      ...namesOf(certificate),
      issuer: caIdOf(issuer.certificate),
      publicKeyHash,
      ...validity,
      der,
    },
    doing,
  );
}

/** The certificate is known everywhere: it may leave. */
function hand({ record }: Issuing, { issuer, roots }: Authority, order: Signed): void {
  const { subject, spiffeId, certificate, doing } = order;
  const names = namesOf(certificate);
  record({
    type: "certificate-issued",
    subject,
    certificate: { subject: spiffeId, issuer: "WardMQ issuing CA", ...names },
    details: { actor: doing.actor },
  });
  order.issued({
    ...names,
    certificate,
    certificateChain: certificatePem(certificate) + certificatePem(issuer.certificate),
    trustAnchors: roots.join(""),
  });
}

function namesOf(certificate: Certificate): Pick<Issued, "fingerprint" | "serialNumber"> {
  return {
    fingerprint: sha256Hex(certificate.der),
    serialNumber: serialNumberText(certificate),
  };
}

/** As OpenSSL prints serial numbers. */
function serialNumberText({ serialNumber }: Pick<Certificate, "serialNumber">): string {
  return Buffer.from(serialNumber).toString("hex").toUpperCase();
}

/** The registry's refusals name their rule by their code, such as `key-revoked`. */
function recordRefusal(record: Issuing["record"], { subject, doing }: Order, error: Failure): void {
  const check =
    error instanceof RequestRefused
      ? error.check
      : error.code.replace(/^ERR_/, "").toLowerCase().replaceAll("_", "-");
  const details = { actor: doing.actor };
  record({ type: "certificate-refused", subject, check, why: error.message, details });
}
