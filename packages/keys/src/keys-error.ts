/** Everything that keeps a key from being used, one row each; codes are stable, docs/errors.md has the same rows. */
export const keysErrors = {
  ERR_KEY_MODE: "a private key or a credential can be read or written by others",
  ERR_KEY_FILE: "a key file is missing, can not be read or written, or is damaged",
  ERR_KEY_PROVIDER: "the key-encryption key can not be reached where the key file says it is",
  ERR_KEY_WRONG:
    "the key-encryption key is another one than the key file was made with, or the file is damaged",
} as const;

export type KeysErrorCode = keyof typeof keysErrors;

/** A key can not be used: a sentence that is safe to print, and what to do about it. */
export class KeysError extends Error {
  override readonly name = "KeysError";
  readonly code: KeysErrorCode;
  readonly hint: string;

  constructor(code: KeysErrorCode, message: string, hint: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
    this.hint = hint;
  }
}
