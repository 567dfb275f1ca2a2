/**
 * Holds a key-encryption key and wraps data keys with it. What comes out of `wrap` opens with the same provider and the
 * same associated data only. Everything is synchronous: it happens at start and when keys change.
 */
export interface KeyProvider {
  /** What a key file says about it: enough to find the key-encryption key again, and nothing secret. */
  readonly description: ProviderDescription;
  wrap(key: Uint8Array, associatedData: Uint8Array): Buffer;
  /** Throws a KeysError: ERR_KEY_PROVIDER when the key can not be reached, ERR_KEY_WRONG when it does not open this. */
  unwrap(wrapped: Uint8Array, associatedData: Uint8Array): Buffer;
}

/** Where a key-encryption key is. Paths are relative to the folder of the file that says so. */
export type ProviderDescription =
  | { readonly name: "file"; readonly path: string }
  | { readonly name: "credentials"; readonly credential: string }
  | {
      readonly name: "passphrase";
      /** 16 octets, hexadecimal. */
      readonly salt: string;
      /** RFC 7914: cost, block size, parallelization. */
      readonly N: number;
      readonly r: number;
      readonly p: number;
    }
  | {
      readonly name: "pkcs11";
      /** RFC 7512: which token and object; see pkcs11-uri.ts. */
      readonly uri: string;
    };

export type ProviderName = ProviderDescription["name"];

/** What of the surroundings of the process leads to keys. */
export interface KeyEnvironment {
  /** `$CREDENTIALS_DIRECTORY`, which systemd makes for a service. */
  readonly credentialsDirectory: string | undefined;
  /** The passphrase somebody gave this process, if anybody did. */
  readonly passphrase: () => string | undefined;
}

/** One finding per provider that keeps the key beside what it opens. */
export const weakerProviders: Readonly<Partial<Record<ProviderName, string>>> = {
  file: "the key-encryption key lies on the same disk as what it opens: whoever takes the disk has both",
};
