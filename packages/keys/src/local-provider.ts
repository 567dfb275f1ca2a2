import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { KeyProvider, ProviderDescription } from "./key-provider.ts";
import { KeysError } from "./keys-error.ts";

const nonceLength = 12;
const tagLength = 16;

/**
 * A provider whose key-encryption key is 32 octets in this process: nonce, AES-256-GCM, tag. The nonces are random: a
 * key-encryption key wraps a handful of keys in its life.
 */
export function localProvider(
  description: ProviderDescription,
  keyEncryptionKey: () => Uint8Array,
  hint: string,
): KeyProvider {
  return {
    description,
    wrap: (key, associatedData) => {
      const nonce = randomBytes(nonceLength);
      const cipher = createCipheriv("aes-256-gcm", keyEncryptionKey(), nonce);
      cipher.setAAD(associatedData);
      return Buffer.concat([nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()]);
    },
    unwrap: (wrapped, associatedData) => {
      const key = keyEncryptionKey();
      try {
        const nonce = wrapped.subarray(0, nonceLength);
        const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagLength });
        decipher.setAAD(associatedData);
        decipher.setAuthTag(wrapped.subarray(-tagLength));
        const body = wrapped.subarray(nonceLength, -tagLength);
        return Buffer.concat([decipher.update(body), decipher.final()]);
      } catch (cause) {
        throw wrongKey(hint, cause);
      }
    },
  };
}

/** That a wrapped key does not open; whether the key or the file is the wrong one can not be told. */
export function wrongKey(hint: string, cause?: unknown): KeysError {
  const message = "the key-encryption key does not open this";
  return new KeysError("ERR_KEY_WRONG", message, hint, cause);
}
