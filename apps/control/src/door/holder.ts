import type { X509Certificate } from "node:crypto";
import { fingerprintOf, type Refusal } from "@wardmq/tls";
import type { Registry } from "../registry/registry.ts";
import type { RegisteredSubject } from "../registry/rows.ts";

/** Whose active certificate this is, or the rule it fails: asked at the door, and again for every request. */
export function heldBy(
  registry: Registry,
  certificate: X509Certificate,
): RegisteredSubject | Refusal {
  const fingerprint = fingerprintOf(certificate.fingerprint256);
  const holder = registry.holderOf(fingerprint);
  if (holder === undefined) {
    return { check: "certificate-bound", why: "the certificate is not bound to any record" };
  }
  const bound = holder.certificates.find((one) => one.fingerprint === fingerprint);
  if (bound?.state !== "active") {
    return { check: "certificate-active", why: "the certificate is not active" };
  }
  if (holder.state !== "active") {
    return { check: "subject-active", why: `${holder.id} is ${holder.state}` };
  }
  if (certificate.subjectAltName !== `URI:${holder.spiffeId}`) {
    return {
      check: "subject-alt-name",
      why: "the certificate's subjectAltName is not exactly the SPIFFE ID of its record",
    };
  }
  return holder;
}
