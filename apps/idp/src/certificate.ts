import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import {
  basicConstraints,
  certificate,
  encodeName,
  encodePem,
  extendedKeyUsage,
  keyUsage,
  subjectAltName,
} from "@wardmq/x509";

const dayMs = 86_400_000;

/** A key and a certificate for localhost that only those trust who are told to. */
export async function selfSigned(now: number): Promise<{ key: string; certificate: string }> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
  const name = encodeName({ commonName: "WardMQ demo identity provider" });
  const der = await certificate(
    {
      serialNumber: Buffer.concat([Buffer.of(0x4f), randomBytes(15)]),
      issuer: name,
      validity: { notBefore: now - dayMs, notAfter: now + 7 * dayMs },
      subject: name,
      publicKey: spki,
      extensions: [
        basicConstraints({ ca: true, pathLenConstraint: 0 }),
        keyUsage(["digitalSignature", "keyCertSign"]),
        extendedKeyUsage(["serverAuth"]),
        subjectAltName([{ dns: "localhost" }]),
      ],
    },
    {
      algorithm: "ecdsa-with-SHA256",
      publicKey: spki,
      sign: (bytes) => sign("sha256", bytes, privateKey),
    },
  );
  return {
    key: String(privateKey.export({ type: "pkcs8", format: "pem" })),
    certificate: encodePem("CERTIFICATE", der),
  };
}
