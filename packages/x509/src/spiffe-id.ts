import { isUuid, parseAttribute } from "./attribute.ts";
import { X509Error } from "./x509-error.ts";

/** An identity: `spiffe://<trust-domain>/device/<uuid>`, `.../service/<name>` or `.../operator/<name>`. */
export interface SpiffeId {
  readonly trustDomain: string;
  readonly kind: "device" | "service" | "operator";
  /** The uuid of a device, the name of a service or an operator. */
  readonly id: string;
}

/** `<environment>.<org>` in lower case, in the alphabet of SPIFFE trust domains. */
export function parseTrustDomain(text: string): string {
  const labels = text.split(".");
  const wellFormed = text.length <= 255 && labels.every((label) => /^[a-z0-9_-]+$/.test(label));
  // A single label would be no domain name, and name constraints need one.
  if (!wellFormed || labels.length < 2) {
    throw new X509Error("ERR_X509_SPIFFE_ID", "trust domain is not lower-case labels with dots");
  }
  return text;
}

/**
 * Whether every TLS library we run on can check a name constraint on this trust domain. BoringSSL refuses all clients of
 * a CA that permits a host which is no strict DNS name: `_`, a hyphen at an end, a number as last label.
 */
export function isConstrainableTrustDomain(trustDomain: string): boolean {
  const label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
  const lastLabel = "[a-z]([a-z0-9-]{0,61}[a-z0-9])?";
  return trustDomain.length <= 253 && new RegExp(`^(${label}\\.)+${lastLabel}$`).test(trustDomain);
}

/** No query, fragment, port, user, escape, or empty segment: an identity has one spelling. */
export function parseSpiffeId(text: string): SpiffeId {
  const [, trustDomain, kind, id] =
    /^spiffe:\/\/([^/]*)\/(device|service|operator)\/([^/]*)$/.exec(text) ?? [];
  if (trustDomain === undefined || id === undefined) throw new X509Error("ERR_X509_SPIFFE_ID");
  parseTrustDomain(trustDomain);
  if (kind === "device" && !isUuid(id)) {
    throw new X509Error("ERR_X509_SPIFFE_ID", "the device is not a lower-case uuid");
  }
  return { trustDomain, kind: kind as SpiffeId["kind"], id: parseAttribute(id) };
}

export function formatSpiffeId(spiffeId: SpiffeId): string {
  const text = `spiffe://${spiffeId.trustDomain}/${spiffeId.kind}/${spiffeId.id}`;
  parseSpiffeId(text);
  return text;
}
