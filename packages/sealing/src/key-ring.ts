import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import { padding, unpad } from "./padding.ts";
import { SealError } from "./seal-error.ts";

/** 32 random octets and the name they go by: 8 hexadecimal digits. */
export interface DataKey {
  readonly id: string;
  readonly key: Uint8Array;
}

/** A kind of place in one store. `store` tells deployments and copies apart: take a random id made with the store. */
export interface Place {
  /** What the bytes are for, such as "broker-state". */
  readonly purpose: string;
  readonly store: string;
  readonly table: string;
}

/** Seals and opens what lies at one kind of place. `row` says where exactly: what is sealed for one opens at no other. */
export interface SealedPlace {
  /** Under the current key. One call costs a cipher's set-up (some 12 us on Node, 2 us on Bun): seal by the batch. */
  seal(row: string | Uint8Array, bytes: Uint8Array): Buffer;
  /** Under whichever key of the ring sealed it; throws a SealError when that is not known, or a bit differs. */
  open(row: string | Uint8Array, sealed: Uint8Array): Buffer;
  /**
   * HMAC-SHA-256 of a name, to find a row by without naming it: 32 octets, different for each place and each key. A row
   * that is sealed again under a new key gets a new one; until then it is found under the key that it was made with.
   */
  lookup(name: string | Uint8Array, keyId?: string): Buffer;
}

const version = 1;
const tagLength = 16;
const keyLength = 32;
const saltLength = 16;
/** version, key id, salt of the segment, number in the segment. */
const header = {
  version: 0,
  keyId: 1,
  salt: 5,
  number: 5 + saltLength,
  end: 5 + saltLength + 4,
} as const;
/** Segments whose keys are kept for reading: a process makes one of them for 2^32 seals. */
const cachedSegments = 256;

/** How many octets more than its padded plaintext a sealed row has. */
export const sealOverhead = header.end + tagLength;

/** The id of the key that sealed these bytes: rows of a former key are sealed again, then it can be destroyed. */
export function keyIdOf(sealed: Uint8Array): string {
  if (sealed.length < sealOverhead || sealed[header.version] !== version)
    throw new SealError("ERR_SEAL_DAMAGED");
  return Buffer.from(sealed.buffer, sealed.byteOffset + header.keyId, 4).toString("hex");
}

/** A new data key. */
export function newDataKey(): DataKey {
  return { id: randomBytes(4).toString("hex"), key: randomBytes(keyLength) };
}

/** A run of seals under one derived key, numbered from 0. */
interface Segment {
  readonly key: KeyObject;
  readonly head: Buffer;
  number: number;
}

/**
 * The data keys of a store: one that seals, and older ones that are needed for reading until everything is sealed again.
 *
 * A nonce never repeats under a key. Each ring takes 128 random bits, derives a key of its own from the data key and
 * them (HKDF-SHA-256), and counts nonces under it (the deterministic construction of NIST SP 800-38D section 8.2.1); it
 * begins the next segment after 2^32. The count lives in memory only, so there is nothing that a crash, a restored
 * backup or a rolled back disk could turn back: the next ring counts under another key. With random 96-bit nonces
 * under the data key itself, a broker that seals 40,000 messages a second would have to change the key every day.
 */
export class KeyRing {
  readonly #keys = new Map<string, KeyObject>();
  readonly #segments = new Map<string, KeyObject>();
  readonly #sealsPerSegment: number;
  #currentId = "";
  #segment: Segment | undefined;

  constructor(keys: readonly DataKey[], currentId: string, sealsPerSegment = 2 ** 32) {
    this.#sealsPerSegment = sealsPerSegment;
    for (const key of keys) this.#add(key);
    this.#setCurrent(currentId);
  }

  /** The id of the key that seals. */
  get currentId(): string {
    return this.#currentId;
  }

  /** The ids of all keys, also of those that only read. */
  get ids(): readonly string[] {
    return [...this.#keys.keys()];
  }

  /** Seals with a new key from here on; the former ones go on reading. */
  rotate(key: DataKey): void {
    this.#add(key);
    this.#setCurrent(key.id);
  }

  /** Forgets a former key: what it sealed can not be opened any more. */
  forget(id: string): void {
    if (id === this.#currentId)
      throw new SealError("ERR_SEAL_KEY_RING", `${id} is the current key`);
    this.#keys.delete(id);
    this.#segments.clear();
  }

  /** The place's sealing, opening and looking up; it follows the ring when keys change. */
  at(place: Place): SealedPlace {
    const prefix = encodePlace(place);
    const lookupKeys = new Map<string, KeyObject>();
    return {
      seal: (row, bytes) => this.#seal(prefix, row, bytes),
      open: (row, sealed) => this.#open(prefix, row, sealed),
      lookup: (name, keyId = this.#currentId) => {
        const dataKey = this.#key(keyId);
        const key = lookupKeys.get(keyId) ?? derive(dataKey, prefix, "wardmq lookup");
        lookupKeys.set(keyId, key);
        return createHmac("sha256", key).update(name).digest();
      },
    };
  }

  #seal(prefix: Buffer, row: string | Uint8Array, bytes: Uint8Array): Buffer {
    const { key, head, number } = this.#nextSegment();
    const sealedHead = Buffer.from(head);
    sealedHead.writeUInt32BE(number, header.number);
    const cipher = createCipheriv("aes-256-gcm", key, nonceOf(sealedHead), {
      authTagLength: tagLength,
    });
    cipher.setAAD(associatedData(prefix, row));
    const body = cipher.update(bytes);
    const end = cipher.update(padding(bytes.length));
    cipher.final();
    return Buffer.concat([sealedHead, body, end, cipher.getAuthTag()]);
  }

  #open(prefix: Buffer, row: string | Uint8Array, given: Uint8Array): Buffer {
    const sealed = Buffer.from(given.buffer, given.byteOffset, given.length);
    const decipher = createDecipheriv(
      "aes-256-gcm",
      this.#segmentKey(keyIdOf(sealed), sealed),
      nonceOf(sealed),
      { authTagLength: tagLength },
    );
    decipher.setAAD(associatedData(prefix, row));
    decipher.setAuthTag(sealed.subarray(sealed.length - tagLength));
    const padded = decipher.update(sealed.subarray(header.end, sealed.length - tagLength));
    try {
      decipher.final();
    } catch {
      throw new SealError("ERR_SEAL_DAMAGED");
    }
    const bytes = unpad(padded);
    if (bytes === undefined) throw new SealError("ERR_SEAL_DAMAGED");
    return bytes;
  }

  /** The segment to seal with, its number counted up. */
  #nextSegment(): Segment {
    const current = this.#segment;
    if (current !== undefined && current.number + 1 < this.#sealsPerSegment) {
      current.number += 1;
      return current;
    }
    const head = Buffer.alloc(header.end);
    head[header.version] = version;
    head.write(this.#currentId, header.keyId, "hex");
    head.set(randomBytes(saltLength), header.salt);
    this.#segment = { key: this.#segmentKey(this.#currentId, head), head, number: 0 };
    return this.#segment;
  }

  #segmentKey(id: string, head: Buffer): KeyObject {
    const salt = head.subarray(header.salt, header.number);
    const name = `${id}${salt.toString("latin1")}`;
    const known = this.#segments.get(name);
    if (known !== undefined) return known;
    const key = derive(this.#key(id), salt, "wardmq seal");
    if (this.#segments.size >= cachedSegments) this.#segments.clear();
    this.#segments.set(name, key);
    return key;
  }

  #key(id: string): KeyObject {
    const key = this.#keys.get(id);
    if (key === undefined) throw new SealError("ERR_SEAL_KEY_UNKNOWN", id);
    return key;
  }

  #add({ id, key }: DataKey): void {
    if (!/^[0-9a-f]{8}$/.test(id) || key.length !== keyLength || this.#keys.has(id))
      throw new SealError("ERR_SEAL_KEY_RING", "a key has another form, or comes twice");
    this.#keys.set(id, createSecretKey(key));
  }

  #setCurrent(id: string): void {
    if (!this.#keys.has(id)) throw new SealError("ERR_SEAL_KEY_RING", "the current key is missing");
    this.#currentId = id;
    this.#segment = undefined;
  }
}

function derive(key: KeyObject, salt: Uint8Array, info: string): KeyObject {
  const bytes = Buffer.from(hkdfSync("sha256", key, salt, info, keyLength));
  const derived = createSecretKey(bytes);
  bytes.fill(0);
  return derived;
}

/** 96 bits: zeros and the number in the segment. */
function nonceOf(sealed: Buffer): Buffer {
  const nonce = Buffer.alloc(12);
  sealed.copy(nonce, 8, header.number, header.end);
  return nonce;
}

/** INVARIANT: two places never have the same encoding: each part stands behind its length. */
function encodePlace({ purpose, store, table }: Place): Buffer {
  return Buffer.concat(
    [purpose, store, table].flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(Buffer.byteLength(part));
      return [length, Buffer.from(part)];
    }),
  );
}

/** The version, the place and, last, the row. Key id, salt and number decide key and nonce, and so are bound as well. */
function associatedData(prefix: Buffer, row: string | Uint8Array): Buffer {
  const rowBytes = typeof row === "string" ? Buffer.from(row) : row;
  const bytes = Buffer.allocUnsafe(1 + prefix.length + rowBytes.length);
  bytes[0] = version;
  bytes.set(prefix, 1);
  bytes.set(rowBytes, 1 + prefix.length);
  return bytes;
}
