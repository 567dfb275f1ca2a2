/** Every way sealing and opening can fail, one row each; codes are stable. */
export const sealErrors = {
  ERR_SEAL_KEY_UNKNOWN: "the bytes are sealed under a key that is not in the key ring",
  ERR_SEAL_DAMAGED: "the sealed bytes are damaged, cut off, or belong to another place",
  ERR_SEAL_KEY_RING: "the keys make no key ring",
  ERR_SEAL_RECIPIENT: "the recipient has no x25519 or p-256 key",
} as const;

export type SealErrorCode = keyof typeof sealErrors;

/** Nothing was opened; `detail` names a key or a place of ours, never what was sealed. */
export class SealError extends Error {
  override readonly name = "SealError";
  readonly code: SealErrorCode;

  constructor(code: SealErrorCode, detail?: string) {
    super(detail === undefined ? sealErrors[code] : `${sealErrors[code]}: ${detail}`);
    this.code = code;
  }
}
