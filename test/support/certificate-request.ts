import { generateKeyPairSync, sign } from "node:crypto";
import { certificateRequest, encodePem } from "@wardmq/x509";

/** A new P-256 key and the PKCS#10 request for it, both in PEM, as a device would make them. */
export async function newCertificateRequest(): Promise<{ key: string; request: string }> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const request = await certificateRequest(spki, (bytes) => sign("sha256", bytes, privateKey));
  return {
    key: String(privateKey.export({ type: "pkcs8", format: "pem" })),
    request: encodePem("CERTIFICATE REQUEST", request),
  };
}
