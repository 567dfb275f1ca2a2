import { createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import { printable } from "@wardmq/events";
import { decodePublicKey, type Signer, signatureAlgorithms } from "@wardmq/x509";
import { Failure } from "../failure.ts";
import { readPrivateText } from "../files.ts";

/** A Signer whose key is in this process, so that it signs at once. */
export interface LocalSigner extends Signer {
  sign(tbs: Uint8Array): Uint8Array;
}

/** A Signer over a PKCS#8 PEM file that nobody but its owner may read. */
export function fileSigner(path: string): LocalSigner {
  const text = readPrivateText(path);
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: text, format: "pem" });
  } catch (cause) {
    throw new Failure("ERR_KEY", `${printable(path)} holds no private key in PEM`, {
      hint: "restore it from a backup",
      cause,
    });
  }
  return keySigner(key);
}

/** A Signer over a private key in memory. */
export function keySigner(key: KeyObject): LocalSigner {
  const publicKey = new Uint8Array(createPublicKey(key).export({ type: "spki", format: "der" }));
  const algorithm = decodePublicKey(publicKey).signatureAlgorithm;
  const { hash } = signatureAlgorithms[algorithm];
  return { algorithm, publicKey, sign: (tbs) => new Uint8Array(sign(hash, tbs, key)) };
}
