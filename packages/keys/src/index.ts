export * from "./key-environment.ts";
export * from "./key-file.ts";
export * from "./key-provider.ts";
export * from "./key-providers.ts";
export * from "./keys-error.ts";
export {
  areScryptParameters,
  newScryptParameters,
  passphraseCredential,
  passphraseIdentity,
  refuseShort,
  type ScryptParameters,
} from "./passphrase-provider.ts";
export {
  destroyPkcs11Key,
  newPkcs11Signer,
  pkcs11Signer,
  type TokenKeyType,
} from "./pkcs11-signer.ts";
export { readPin } from "./pkcs11-token.ts";
export * from "./pkcs11-uri.ts";
export * from "./private-files.ts";
export * from "./private-key-file.ts";
export * from "./signer.ts";
