/** Every way a line of the feed can be wrong, one row each; codes are stable. */
export const feedErrors = {
  ERR_FEED_LINE_TOO_LONG: "a line is longer than allowed",
  ERR_FEED_LINE: "a line is not a message of the feed",
  ERR_FEED_SIGNATURE: "the signature of a feed message does not verify",
} as const;

export type FeedErrorCode = keyof typeof feedErrors;

/** The other side of the feed sent something that is not the feed; `detail` never holds what it sent. */
export class FeedError extends Error {
  override readonly name = "FeedError";
  readonly code: FeedErrorCode;

  constructor(code: FeedErrorCode, detail?: string) {
    super(detail === undefined ? feedErrors[code] : `${feedErrors[code]}: ${detail}`);
    this.code = code;
  }
}
