import { randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { printable } from "@wardmq/events";
import { type DataKey, KeyRing, newDataKey } from "@wardmq/sealing";
import { hasExactly, parseJsonFile } from "./json-file.ts";
import type { KeyProvider, ProviderDescription } from "./key-provider.ts";
import { type KeyProviders, parseProviderDescription } from "./key-providers.ts";
import { KeysError } from "./keys-error.ts";
import {
  endReplacement,
  readPrivateText,
  replaceSecretFile,
  writeNewFile,
} from "./private-files.ts";

/**
 * A data key in a key file:
 *
 *     current (seals) --rotate--> reading (opens) --destroy--> destroyed (a date is left)
 */
export type KeyEntry =
  | {
      readonly id: string;
      readonly state: "current" | "reading";
      /** ISO 8601. */
      readonly created: string;
      /** The data key, wrapped by the provider; base64. */
      readonly wrapped: string;
    }
  | {
      readonly id: string;
      readonly state: "destroyed";
      readonly created: string;
      readonly destroyed: string;
    };

/** What a key file holds: everything that is needed to open a store but the key-encryption key. */
export interface KeyFileContent {
  readonly about: string;
  readonly version: 1;
  /** What the keys are for, such as "control" or "broker". */
  readonly purpose: string;
  /** 32 hexadecimal digits, made with the file: the `store` of every place that its keys seal. */
  readonly store: string;
  readonly provider: ProviderDescription;
  readonly keys: readonly KeyEntry[];
}

/** A key file whose keys are not wrapped: it lives in memory and in sealed backups only. Keys are base64. */
export interface UnwrappedKeyFile extends Pick<KeyFileContent, "purpose" | "store"> {
  readonly keys: readonly (
    | (Omit<Extract<KeyEntry, { wrapped: string }>, "wrapped"> & { readonly key: string })
    | Extract<KeyEntry, { destroyed: string }>
  )[];
}

const about =
  "WardMQ data keys, wrapped. Without this file nothing opens that they seal. See docs/keys.md.";

/** The key ring of a store and the file that it lives in. One process owns it at a time. */
export class KeyFile {
  readonly #path: string;
  readonly #dataKeys: Map<string, DataKey>;
  readonly ring: KeyRing;
  readonly #provider: KeyProvider;
  #content: KeyFileContent;

  private constructor(
    path: string,
    provider: KeyProvider,
    content: KeyFileContent,
    dataKeys: readonly DataKey[],
  ) {
    this.#path = path;
    this.ring = new KeyRing(dataKeys, currentOf(content).id);
    this.#provider = provider;
    this.#content = content;
    this.#dataKeys = new Map(dataKeys.map((key) => [key.id, key]));
  }

  /** Makes a key file with one new key; there must be none yet. `now` in milliseconds since 1970. */
  static create(path: string, purpose: string, provider: KeyProvider, now: number): KeyFile {
    const store = randomBytes(16).toString("hex");
    const dataKey = newDataKey();
    const head = { about, version: 1, purpose, store, provider: provider.description } as const;
    const entry = wrapEntry(head, provider, dataKey, "current", isoOf(now));
    const content = { ...head, keys: [entry] };
    writeNewFile(path, textOf(content), 0o600);
    return new KeyFile(path, provider, content, [dataKey]);
  }

  /** Opens a key file as its owner, or says in a sentence what is wrong with it or its provider. */
  static open(path: string, purpose: string, providers: KeyProviders): KeyFile {
    endReplacement(path);
    return KeyFile.#open(path, purpose, providers);
  }

  /** The keys of a file that another process owns and may be changing: for a backup. */
  static unwrap(path: string, purpose: string, providers: KeyProviders): UnwrappedKeyFile {
    return KeyFile.#open(path, purpose, providers).#unwrapped();
  }

  static #open(path: string, purpose: string, providers: KeyProviders): KeyFile {
    const content = readKeyFile(path);
    if (content.purpose !== purpose)
      throw damaged(path, `is for ${printable(content.purpose)}, not for ${purpose}`);
    const provider = providers.open(content.provider, dirname(path));
    const dataKeys = content.keys.flatMap((entry) =>
      entry.state === "destroyed" ? [] : [unwrapEntry(path, content, provider, entry)],
    );
    return new KeyFile(path, provider, content, dataKeys);
  }

  /** Makes a key file on another host from the keys of this one, wrapped by a provider of that host. */
  static restore(path: string, unwrapped: UnwrappedKeyFile, provider: KeyProvider): void {
    const { purpose, store } = unwrapped;
    const head = { about, version: 1, purpose, store, provider: provider.description } as const;
    const keys = unwrapped.keys.map((one) => {
      if (one.state === "destroyed") return one;
      const { id, state, created, key } = one;
      return wrapEntry(head, provider, { id, key: Buffer.from(key, "base64") }, state, created);
    });
    writeNewFile(path, textOf({ ...head, keys }), 0o600);
    readKeyFile(path);
  }

  /** The id of the store, for places. */
  get store(): string {
    return this.#content.store;
  }

  get provider(): ProviderDescription {
    return this.#content.provider;
  }

  /** All keys there ever were, the current one first. */
  get entries(): readonly KeyEntry[] {
    return this.#content.keys;
  }

  /** The keys themselves: for a worker of this process that seals with a ring of its own. */
  get dataKeys(): readonly DataKey[] {
    return [...this.#dataKeys.values()];
  }

  /** Makes a new current key, writes it down, then lets the ring seal with it; gives its id. */
  rotate(now: number): string {
    const dataKey = this.#unusedKey();
    const entry = wrapEntry(this.#content, this.#provider, dataKey, "current", isoOf(now));
    const former = this.#content.keys.map((one) =>
      one.state === "current" ? { ...one, state: "reading" as const } : one,
    );
    this.#write({ ...this.#content, keys: [entry, ...former] });
    this.#dataKeys.set(dataKey.id, dataKey);
    this.ring.rotate(dataKey);
    return dataKey.id;
  }

  /** Destroys a former key: what it sealed can never be opened again. Its dates stay on record. */
  destroy(id: string, now: number): void {
    const entry = this.#content.keys.find((one) => one.id === id);
    if (entry?.state !== "reading") throw new Error(`${id} is no former key`);
    const destroyed = {
      id,
      state: "destroyed",
      created: entry.created,
      destroyed: isoOf(now),
    } as const;
    const keys = this.#content.keys.map((one) => (one.id === id ? destroyed : one));
    this.#write({ ...this.#content, keys });
    this.ring.forget(id);
    this.#dataKeys.get(id)?.key.fill(0);
    this.#dataKeys.delete(id);
  }

  /** What the file is to hold when another provider wraps the same keys; the store needs no change. */
  rewrapped(provider: KeyProvider): string {
    const head = { ...this.#content, provider: provider.description };
    const keys = this.#content.keys.map((one) => {
      const dataKey = this.#dataKeys.get(one.id);
      return one.state === "destroyed" || dataKey === undefined
        ? one
        : wrapEntry(head, provider, dataKey, one.state, one.created);
    });
    return textOf({ ...head, keys });
  }

  #unwrapped(): UnwrappedKeyFile {
    const { purpose, store, keys } = this.#content;
    const unwrapped = keys.map((one) => {
      if (one.state === "destroyed") return one;
      const { id, state, created } = one;
      const key = Buffer.from(this.#dataKeys.get(id)?.key ?? []).toString("base64");
      return { id, state, created, key };
    });
    return { purpose, store, keys: unwrapped };
  }

  #unusedKey(): DataKey {
    const dataKey = newDataKey();
    const isUsed = this.#content.keys.some(({ id }) => id === dataKey.id);
    return isUsed ? this.#unusedKey() : dataKey;
  }

  #write(content: KeyFileContent): void {
    replaceSecretFile(this.#path, textOf(content));
    this.#content = content;
  }
}

const isoOf = (now: number) => new Date(now).toISOString();
const textOf = (content: KeyFileContent) => `${JSON.stringify(content, undefined, 2)}\n`;

type Head = Pick<KeyFileContent, "purpose" | "store">;

/** Binds a wrapped key to its file and id, so that keys can not be exchanged between files. */
function associatedData({ purpose, store }: Head, id: string): Buffer {
  return Buffer.from(JSON.stringify(["wardmq data key", purpose, store, id]));
}

function wrapEntry(
  head: Head,
  provider: KeyProvider,
  { id, key }: DataKey,
  state: "current" | "reading",
  created: string,
): KeyEntry {
  const wrapped = provider.wrap(key, associatedData(head, id)).toString("base64");
  return { id, state, created, wrapped };
}

function unwrapEntry(
  path: string,
  head: Head,
  provider: KeyProvider,
  { id, wrapped }: Extract<KeyEntry, { wrapped: string }>,
): DataKey {
  try {
    const key = provider.unwrap(Buffer.from(wrapped, "base64"), associatedData(head, id));
    return { id, key };
  } catch (error) {
    if (!(error instanceof KeysError)) throw error;
    const message = `${printable(path)} can not be opened: ${error.message}`;
    throw new KeysError(error.code, message, error.hint, error);
  }
}

/** What a key file says, its keys still wrapped: for whoever wants to know its provider. */
export function readKeyFile(path: string): KeyFileContent {
  const content = parseContent(readPrivateText(path));
  if (content === undefined) throw damaged(path, "is damaged");
  return content;
}

function damaged(path: string, what: string): KeysError {
  const hint = "restore it from a backup: without it nothing opens that its keys have sealed";
  return new KeysError("ERR_KEY_FILE", `the key file ${printable(path)} ${what}`, hint);
}

function parseContent(text: string): KeyFileContent | undefined {
  const value = parseJsonFile(text);
  if (!hasExactly(value, ["about", "version", "purpose", "store", "provider", "keys"]))
    return undefined;
  const { version, purpose, store, provider, keys } = value;
  const isWhole =
    version === 1 &&
    typeof purpose === "string" &&
    isHex(store, 32) &&
    parseProviderDescription(provider) !== undefined &&
    Array.isArray(keys) &&
    keys.every(isEntry) &&
    keys.filter(({ state }) => state === "current").length === 1 &&
    new Set(keys.map(({ id }) => id)).size === keys.length;
  // INVARIANT: everything that the type says has been looked at.
  return isWhole ? (value as unknown as KeyFileContent) : undefined;
}

function isEntry(value: unknown): value is KeyEntry {
  const destroyed = ["id", "state", "created", "destroyed"];
  if (hasExactly(value, destroyed)) return value["state"] === "destroyed" && isHex(value["id"], 8);
  if (!hasExactly(value, ["id", "state", "created", "wrapped"])) return false;
  const { id, state, wrapped } = value;
  return (
    isHex(id, 8) && (state === "current" || state === "reading") && typeof wrapped === "string"
  );
}

function isHex(value: unknown, digits: number): boolean {
  return typeof value === "string" && value.length === digits && /^[0-9a-f]+$/.test(value);
}

function currentOf({ keys }: KeyFileContent): KeyEntry {
  const current = keys.find(({ state }) => state === "current");
  if (current === undefined) throw new Error("a key file without a current key was not refused");
  return current;
}
