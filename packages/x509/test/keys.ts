import { spawnSync } from "node:child_process";
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import {
  type CertificateFields,
  decodePublicKey,
  encodeName,
  type Signer,
  signatureAlgorithms,
} from "../src/index.ts";

export type TestKey = "P-256" | "P-384" | "Ed25519" | "RSA" | "P-521";

/** A fresh key pair of each kind a person may come with. */
export function newKey(type: TestKey = "P-256"): {
  readonly privateKey: KeyObject;
  readonly publicKey: Uint8Array;
} {
  const { privateKey, publicKey } =
    type === "RSA"
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : type === "Ed25519"
        ? generateKeyPairSync("ed25519")
        : generateKeyPairSync("ec", { namedCurve: type });
  return {
    privateKey,
    publicKey: new Uint8Array(publicKey.export({ type: "spki", format: "der" })),
  };
}

export function signerOf({ privateKey, publicKey }: ReturnType<typeof newKey>): Signer {
  const algorithm = decodePublicKey(publicKey).signatureAlgorithm;
  const { hash } = signatureAlgorithms[algorithm];
  return { algorithm, publicKey, sign: (tbs) => new Uint8Array(sign(hash, tbs, privateKey)) };
}

export function keyIdentifier(publicKey: Uint8Array): Uint8Array {
  return new Uint8Array(
    createHash("sha256").update(decodePublicKey(publicKey).bits).digest().subarray(0, 20),
  );
}

export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
export const bytes = (text: string) => new Uint8Array(Buffer.from(text.replace(/\s/g, ""), "hex"));

/** Fields of some certificate; what a test is about is replaced. */
export function someFields(publicKey: Uint8Array): CertificateFields {
  return {
    serialNumber: bytes("01"),
    issuer: encodeName({ commonName: "issuer" }),
    validity: { notBefore: Date.UTC(2026, 0, 1), notAfter: Date.UTC(2027, 0, 1) },
    subject: encodeName({ commonName: "subject" }),
    publicKey,
    extensions: [],
  };
}

/** Why tests against OpenSSL are skipped; false when it is there. */
export const opensslIsMissing: string | false =
  spawnSync("openssl", ["version"]).status === 0 ? false : "openssl is not installed";

/** Runs openssl and gives all it says, with its exit code. */
export function openssl(...words: readonly string[]): {
  readonly code: number | null;
  readonly said: string;
} {
  const { status, stdout, stderr } = spawnSync("openssl", words, { encoding: "utf8", input: "" });
  return { code: status, said: stdout + stderr };
}
