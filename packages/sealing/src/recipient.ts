import {
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from "node:crypto";
import { SealError } from "./seal-error.ts";

/** A key that only the holder of a recipient's private key can find again. */
export interface KeyForRecipient {
  /** 32 octets, new for each call. */
  readonly key: Buffer;
  /** What the recipient needs beside the private key: SubjectPublicKeyInfo, DER. */
  readonly ephemeral: Buffer;
}

/** Makes a key for a recipient: X25519 or ECDH on P-256 with an ephemeral key, then HKDF-SHA-256 over both public keys. */
export function keyForRecipient(recipient: KeyObject): KeyForRecipient {
  const { publicKey, privateKey } = ephemeralLike(recipient);
  const ephemeral = spkiOf(publicKey);
  const secret = diffieHellman({ privateKey, publicKey: recipient });
  return { key: derive(secret, ephemeral, spkiOf(recipient)), ephemeral };
}

/** The key again, with the recipient's private key; throws a SealError when `ephemeral` is no key of its kind. */
export function keyOfRecipient(identity: KeyObject, ephemeral: Uint8Array): Buffer {
  try {
    const options = { key: Buffer.from(ephemeral), format: "der", type: "spki" } as const;
    const secret = diffieHellman({ privateKey: identity, publicKey: createPublicKey(options) });
    return derive(secret, ephemeral, spkiOf(createPublicKey(identity)));
  } catch {
    throw new SealError("ERR_SEAL_DAMAGED");
  }
}

/** Whether something can be sealed to this public key: X25519 or P-256. */
export function isRecipient(key: KeyObject): boolean {
  const { asymmetricKeyType, asymmetricKeyDetails } = key;
  return (
    asymmetricKeyType === "x25519" ||
    (asymmetricKeyType === "ec" && asymmetricKeyDetails?.namedCurve === "prime256v1")
  );
}

function ephemeralLike(recipient: KeyObject) {
  if (!isRecipient(recipient)) throw new SealError("ERR_SEAL_RECIPIENT");
  return recipient.asymmetricKeyType === "x25519"
    ? generateKeyPairSync("x25519")
    : generateKeyPairSync("ec", { namedCurve: "P-256" });
}

function spkiOf(key: KeyObject): Buffer {
  return key.export({ type: "spki", format: "der" });
}

function derive(secret: Buffer, ephemeral: Uint8Array, recipient: Uint8Array): Buffer {
  const salt = Buffer.concat([ephemeral, recipient]);
  return Buffer.from(hkdfSync("sha256", secret, salt, "wardmq sealed to a recipient", 32));
}
