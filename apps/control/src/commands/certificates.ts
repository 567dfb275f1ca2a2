import type { certificateCommands } from "@wardmq/commands";
import { decodeCertificateRequest, decodePem, encodeName, X509Error } from "@wardmq/x509";
import {
  certificatePem,
  issue,
  randomSerialNumber,
  sha256Hex,
  verifyProofOfPossession,
} from "../ca/certificate-authority.ts";
import { Failure } from "../failure.ts";
import type { HandlersOf } from "./handler.ts";

export const certificateHandlers: HandlersOf<typeof certificateCommands> = {
  credential: async (on, { subject, certificateRequest }, caller) => {
    const { registry, publisher, record } = on;
    const { issuer, roots, ownKeys } = on.authority();
    const { kind, attributes, spiffeId } = registry.activeSubject(subject);
    const request = parseCertificateRequest(certificateRequest);
    verifyProofOfPossession(request);
    const publicKeyHash = sha256Hex(request.publicKey);
    if (ownKeys.has(publicKeyHash)) {
      throw new Failure("ERR_KEY_IN_USE", "the public key is one of this deployment's own", {
        hint: "make a new key",
      });
    }
    registry.refuseUsedKey(publicKeyHash, subject);
    const serialNumber = randomSerialNumber();
    registry.recordIntent(subject, hexOf(serialNumber), publicKeyHash, caller);
    const issued = await issue(issuer, {
      profile: kind === "device" ? "device" : "service",
      subject: encodeName({ commonName: attributes["id"] ?? "" }),
      subjectAltName: [{ uri: spiffeId }],
      publicKey: request.publicKey,
      serialNumber,
      now: caller.at,
    });
    const bound = {
      fingerprint: sha256Hex(issued.der),
      serialNumber: hexOf(issued.serialNumber),
      notAfter: issued.validity.notAfter,
    };
    const { notBefore } = issued.validity;
    const changed = registry.recordCertificate(
      { ...bound, subject, publicKeyHash, notBefore, der: issued.der },
      caller,
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
      details: { actor: caller.actor },
    });
    return {
      certificateChain: certificatePem(issued) + certificatePem(issuer.certificate),
      trustAnchors: roots.join(""),
      certificate: { ...bound, state: "active" },
    };
  },
};

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex").toUpperCase(); // as OpenSSL prints serial numbers

function parseCertificateRequest(text: string) {
  try {
    return decodeCertificateRequest(decodePem("CERTIFICATE REQUEST", text));
  } catch (error) {
    if (!(error instanceof X509Error)) throw error;
    throw new Failure(
      "ERR_CERTIFICATE_REQUEST",
      `the certificate request is refused: ${error.message}`,
      {
        hint: "make a PKCS#10 request in PEM with a P-256, P-384 or Ed25519 key",
      },
    );
  }
}
