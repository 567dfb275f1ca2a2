import { credentialsProvider } from "./credentials-provider.ts";
import { fileProvider, newFileProvider } from "./file-provider.ts";
import type { KeyEnvironment, KeyProvider, ProviderDescription } from "./key-provider.ts";
import {
  areScryptParameters,
  newPassphraseProvider,
  passphraseProvider,
} from "./passphrase-provider.ts";
import { newPkcs11Provider, pkcs11Provider } from "./pkcs11-provider.ts";

/** Which provider a new key file shall use. */
export type ProviderChoice =
  | { readonly name: "file" }
  | { readonly name: "credentials"; readonly credential: string }
  | { readonly name: "passphrase" }
  | { readonly name: "pkcs11"; readonly uri: string };

/** What a person can choose from. */
export const providerChoices = "file, credentials:NAME, passphrase or a PKCS#11 URI";

/** The choice that a text names, or undefined. */
export function parseProviderChoice(text: string): ProviderChoice | undefined {
  const [name, rest] = splitOnce(text);
  if (name === "pkcs11") return { name, uri: text };
  if (name === "credentials" && rest !== undefined) return { name, credential: rest };
  if ((name === "file" || name === "passphrase") && rest === undefined) return { name };
  return undefined;
}

function splitOnce(text: string): readonly [string, string | undefined] {
  const at = text.indexOf(":");
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

/** The providers that one process uses. Each is opened once: a passphrase costs its time only once. */
export class KeyProviders {
  readonly environment: KeyEnvironment;
  readonly #opened = new Map<string, KeyProvider>();
  /** What undoes the making of keys in tokens, in its order. */
  readonly #made: (() => void)[] = [];

  constructor(environment: KeyEnvironment) {
    this.environment = environment;
  }

  /** The provider that a file in `folder` describes; throws a KeysError when its key can not be reached. */
  open(description: ProviderDescription, folder: string): KeyProvider {
    const name = JSON.stringify([folder, description]);
    const opened = this.#opened.get(name) ?? this.#open(description, folder);
    this.#opened.set(name, opened);
    return opened;
  }

  /** A provider for new files in `folder`: makes the key-encryption key where it is ours to make. */
  create(choice: ProviderChoice, folder: string): KeyProvider {
    switch (choice.name) {
      case "file":
        return newFileProvider(folder);
      case "credentials":
        return credentialsProvider(choice, this.environment);
      case "passphrase":
        return newPassphraseProvider(this.environment);
      case "pkcs11":
        return newPkcs11Provider(choice, this.environment, folder, this.made);
    }
  }

  /** A key was made in a token: takes what undoes that. */
  readonly made = (undo: () => void): void => {
    this.#made.push(undo);
  };

  /** Takes the keys away again that were made in tokens: what they were made for has failed. */
  undoMade(): void {
    for (const undo of this.#made.splice(0)) undo();
  }

  #open(description: ProviderDescription, folder: string): KeyProvider {
    switch (description.name) {
      case "file":
        return fileProvider(description, folder);
      case "credentials":
        return credentialsProvider(description, this.environment);
      case "passphrase":
        return passphraseProvider(description, this.environment);
      case "pkcs11":
        return pkcs11Provider(description, this.environment, folder);
    }
  }
}

const keysOf: Readonly<Record<ProviderDescription["name"], readonly string[]>> = {
  file: ["path"],
  credentials: ["credential"],
  passphrase: ["salt", "N", "r", "p"],
  pkcs11: ["uri"],
};

/** What a file says about its provider, or undefined when it says anything else. */
export function parseProviderDescription(value: unknown): ProviderDescription | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { name, ...parameters } = value as Readonly<Record<string, unknown>>;
  if (typeof name !== "string" || !Object.hasOwn(keysOf, name)) return undefined;
  const wanted = keysOf[name as ProviderDescription["name"]];
  if (Object.keys(parameters).sort().join() !== [...wanted].sort().join()) return undefined;
  const isRight =
    name === "passphrase"
      ? areScryptParameters(parameters)
      : Object.values(parameters).every((one) => typeof one === "string");
  return isRight ? (value as ProviderDescription) : undefined;
}
