import { createHash, generateKeyPairSync } from "node:crypto";
import { keySigner } from "@wardmq/keys";
import {
  type CertId,
  type Certificate,
  type CertStatus,
  decodeOcspRequest,
  decodePublicKey,
  encodeName,
  ocspErrorResponse,
  ocspResponse,
  type Signer,
  sameBytes,
  X509Error,
} from "@wardmq/x509";
import type { Registry } from "../registry/registry.ts";
import { caIdOf, type Issuer, issue, randomSerialNumber } from "./certificate-authority.ts";
import { reasonOf, registrySerialNumber } from "./revocation-lists.ts";

interface Responder {
  readonly issuer: Issuer;
  readonly caId: string;
  readonly signer: Signer;
  readonly certificate: Certificate;
}

export interface OcspResponderParts {
  /** The CAs that sign: each has a responder of its own. */
  readonly issuers: () => readonly Issuer[];
  readonly registry: Registry;
  /** Certificates of a CA that the registry does not hold, such as the broker's. */
  readonly isOwnCertificate: (caId: string, serialNumber: string) => boolean;
  readonly now: () => number;
}

/** An answer is what a CRL would be, and shorter: what was revoked since is told at once. */
const answerLifetimeMs = 60 * 60 * 1000;
const renewBeforeMs = 10 * 24 * 60 * 60 * 1000;

/**
 * Answers OCSP requests (RFC 6960) for the certificates of our CAs. The responder's key is made with the process and is
 * kept nowhere; each CA certifies it for OCSP alone.
 */
export class OcspResponder {
  readonly #parts: OcspResponderParts;
  readonly #signer = keySigner(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
  readonly #responders = new Map<string, Promise<Responder>>();

  constructor(parts: OcspResponderParts) {
    this.#parts = parts;
  }

  /** The response to a request, both in DER; bytes that are no request, or that ask about nobody of ours, too. */
  async answer(request: Uint8Array): Promise<Uint8Array> {
    try {
      const { certIds, nonce } = decodeOcspRequest(request);
      const asked = certIds.map((certId) => this.#issuerOf(certId));
      const issuer = asked.find((found) => found !== undefined) ?? this.#parts.issuers()[0];
      if (issuer === undefined) return ocspErrorResponse("tryLater");
      const responder = await this.#responderOf(issuer);
      const now = this.#parts.now();
      return await ocspResponse(
        {
          responder: responder.certificate.subject,
          certificate: responder.certificate.der,
          producedAt: now,
          nonce,
          responses: certIds.map((certId, at) => ({
            certId: certId.der,
            // One signature speaks for one CA: of the others nothing is known here.
            status:
              asked[at] === issuer ? this.#statusOf(responder.caId, certId) : { is: "unknown" },
            thisUpdate: now,
            nextUpdate: now + answerLifetimeMs,
          })),
        },
        responder.signer,
      );
    } catch (error) {
      if (error instanceof X509Error) return ocspErrorResponse("malformedRequest");
      throw error;
    }
  }

  #issuerOf({ hash, issuerNameHash, issuerKeyHash }: CertId): Issuer | undefined {
    if (hash === undefined) return undefined;
    const hashed = (bytes: Uint8Array) => new Uint8Array(createHash(hash).update(bytes).digest());
    return this.#parts
      .issuers()
      .find(
        ({ certificate: { subject, publicKey } }) =>
          sameBytes(hashed(subject), issuerNameHash) &&
          sameBytes(hashed(decodePublicKey(publicKey).bits), issuerKeyHash),
      );
  }

  #statusOf(caId: string, { serialNumber }: CertId): CertStatus {
    const serial = registrySerialNumber(serialNumber);
    const found = this.#parts.registry.certificateStatus(caId, serial);
    if (found !== undefined && found.state !== "active") {
      return { is: "revoked", at: found.changedAt, reason: reasonOf(found.state) };
    }
    if (found !== undefined || this.#parts.isOwnCertificate(caId, serial)) return { is: "good" };
    return { is: "unknown" };
  }

  async #responderOf(issuer: Issuer): Promise<Responder> {
    const caId = caIdOf(issuer.certificate);
    const known = await this.#responders.get(caId);
    const now = this.#parts.now();
    if (known !== undefined && known.certificate.validity.notAfter - now > renewBeforeMs)
      return known;
    const made = this.#certify(issuer, caId, now);
    this.#responders.set(caId, made);
    return made;
  }

  async #certify(issuer: Issuer, caId: string, now: number): Promise<Responder> {
    const serialNumber = randomSerialNumber();
    this.#parts.registry.recordChange("ocsp-responder.issue", { actor: "control", at: now });
    const certificate = await issue(issuer, {
      profile: "ocspResponder",
      subject: encodeName({ commonName: "WardMQ OCSP responder" }),
      publicKey: this.#signer.publicKey,
      serialNumber,
      now,
    });
    return { issuer, caId, signer: this.#signer, certificate };
  }
}
