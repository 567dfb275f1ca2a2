import { X509Certificate } from "node:crypto";
import { printable } from "@wardmq/events";
import type { IssuerSettings } from "@wardmq/tokens";
import { IssuerUnavailable } from "./https-text.ts";

/** What may stand between the certificates of such a file is for people. */
const block = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** The certificates by which the HTTPS of an issuer is trusted; undefined where those of the runtime are. */
export function issuerCa(
  { caFile }: IssuerSettings,
  readFile: (path: string) => string,
): string | undefined {
  if (caFile === undefined) return undefined;
  const certificates = readFile(caFile).match(block) ?? [];
  if (certificates.length === 0 || !certificates.every(isCertificate)) {
    throw new IssuerUnavailable(`${printable(caFile)} holds no certificate in PEM`);
  }
  return certificates.join("\n");
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}
