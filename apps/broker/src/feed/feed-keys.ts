import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";

const pemForm = /-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----/g;

/**
 * Whose signatures the feed may bear: the keys of one file. A key that signs names its successor in the feed itself, so
 * that it can be replaced while brokers run, and those that were away in between still know one that names the next.
 */
export class FeedKeys {
  readonly #path: string;
  #keys: readonly KeyObject[];

  /** Throws when the file cannot be read or holds no Ed25519 key. */
  constructor(path: string) {
    this.#path = path;
    this.#keys = parseKeys([readFileSync(path, "utf8")]);
  }

  readonly verify = (bytes: Uint8Array, signature: Uint8Array): boolean =>
    this.#keys.some((key) => verify(null, bytes, key, signature));

  /** Takes these keys (PEM) in place of the former ones, and keeps them; throws, and changes nothing, if one is none. */
  use(pems: readonly string[]): void {
    const keys = parseKeys(pems);
    if (keys.length === this.#keys.length && keys.every((key, i) => this.#keys[i]?.equals(key))) {
      return;
    }
    const text = keys.map((key) => key.export({ type: "spki", format: "pem" })).join("");
    const half = `${this.#path}.new`;
    const file = openSync(half, "w", 0o644);
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(half, this.#path);
    this.#keys = keys;
  }
}

function parseKeys(pems: readonly string[]): readonly KeyObject[] {
  const keys = pems.flatMap((pem) => pem.match(pemForm) ?? []).map((pem) => createPublicKey(pem));
  const isWrong = keys.some((key) => key.asymmetricKeyType !== "ed25519");
  if (keys.length === 0 || isWrong) throw new Error("the keys of the feed are no Ed25519 keys");
  return keys;
}
