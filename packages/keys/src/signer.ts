import { createPublicKey, type KeyObject, sign } from "node:crypto";
import { decodePublicKey, type Signer, signatureAlgorithms } from "@wardmq/x509";

/**
 * Signs with a private key that it never gives away. `publicKey` is a SubjectPublicKeyInfo in DER, `algorithm` how it
 * signs; a signature of ECDSA is DER as X.509 wants it. The key is in this process: it signs at once.
 */
export interface LocalSigner extends Signer {
  sign(tbs: Uint8Array): Uint8Array;
}

/** A Signer over a private key in memory. Throws an X509Error for a kind of key that we do not certify. */
export function keySigner(key: KeyObject): LocalSigner {
  const publicKey = spkiOf(key);
  const algorithm = decodePublicKey(publicKey).signatureAlgorithm;
  const { hash } = signatureAlgorithms[algorithm];
  return { algorithm, publicKey, sign: (tbs) => new Uint8Array(sign(hash, tbs, key)) };
}

/** The SubjectPublicKeyInfo of a private key, DER. */
export function spkiOf(key: KeyObject): Uint8Array {
  return new Uint8Array(createPublicKey(key).export({ type: "spki", format: "der" }));
}
