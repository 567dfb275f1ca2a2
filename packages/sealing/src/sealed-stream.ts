import { createCipheriv, createDecipheriv } from "node:crypto";
import { SealError } from "./seal-error.ts";

/** How many octets of plaintext each chunk of a stream holds; the last one may hold less. */
export const streamChunkLength = 64 * 1024;
const tagLength = 16;
/** How long a sealed chunk is; the last one may be shorter. */
export const sealedChunkLength = streamChunkLength + tagLength;

/**
 * Seals a stream chunk by chunk with AES-256-GCM: the nonce counts and marks the last chunk (STREAM of Hoang,
 * Reyhanitabar, Rogaway and Vizar, 2015), so that a chunk that is missing, moved or cut off is noticed. `key` must be
 * new for each stream; `head` is what stands before it in the clear, and is bound to every chunk.
 */
export class StreamSealer {
  readonly #key: Uint8Array;
  readonly #head: Uint8Array;
  #count = 0;

  constructor(key: Uint8Array, head: Uint8Array) {
    this.#key = key;
    this.#head = head;
  }

  seal(chunk: Uint8Array, isLast: boolean): Buffer {
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonceOf(this.#count, isLast));
    this.#count += 1;
    cipher.setAAD(this.#head);
    return Buffer.concat([cipher.update(chunk), cipher.final(), cipher.getAuthTag()]);
  }
}

/** Opens what a StreamSealer sealed; a chunk that is not the next one is a SealError. */
export class StreamOpener {
  readonly #key: Uint8Array;
  readonly #head: Uint8Array;
  #count = 0;

  constructor(key: Uint8Array, head: Uint8Array) {
    this.#key = key;
    this.#head = head;
  }

  open(sealed: Uint8Array, isLast: boolean): Buffer {
    if (sealed.length < tagLength) throw new SealError("ERR_SEAL_DAMAGED");
    const nonce = nonceOf(this.#count, isLast);
    const decipher = createDecipheriv("aes-256-gcm", this.#key, nonce, {
      authTagLength: tagLength,
    });
    this.#count += 1;
    decipher.setAAD(this.#head);
    decipher.setAuthTag(sealed.subarray(-tagLength));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(0, -tagLength)), decipher.final()]);
    } catch {
      throw new SealError("ERR_SEAL_DAMAGED");
    }
  }
}

/** 96 bits: the number of the chunk, and whether it is the last. */
function nonceOf(count: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(count, 5, 6);
  nonce[11] = isLast ? 1 : 0;
  return nonce;
}
