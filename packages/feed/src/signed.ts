import { FeedError } from "./feed-error.ts";
import type { FeedBody, SignedFeedMessage } from "./message.ts";

/** Separates these signatures from any other use of the key. */
const context = "wardmq-feed\0";

/** The longest line of the feed: a snapshot of some hundred thousand subjects. */
export const maximumFeedLineBytes = 256 * 1024 * 1024;

function signedBytes(body: string): Uint8Array {
  return Buffer.from(context + body, "utf8");
}

/** One message as a line, signed with Ed25519 by the `sign` passed in. */
export function encodeFeedMessage(body: FeedBody, sign: (bytes: Uint8Array) => Uint8Array): string {
  const text = JSON.stringify(body);
  const signature = Buffer.from(sign(signedBytes(text))).toString("base64");
  return `${JSON.stringify({ body: text, signature } satisfies SignedFeedMessage)}\n`;
}

/** The body of a line whose signature the `verify` passed in accepts; nothing of any other line is looked at. */
export function decodeFeedMessage(
  line: string,
  verify: (bytes: Uint8Array, signature: Uint8Array) => boolean,
): FeedBody {
  const message = parseObject(line);
  const { body, signature } = message;
  if (typeof body !== "string" || typeof signature !== "string")
    throw new FeedError("ERR_FEED_LINE");
  const octets = Buffer.from(signature, "base64");
  const canonical = octets.length === 64 && octets.toString("base64") === signature;
  if (!canonical || !verify(signedBytes(body), octets)) throw new FeedError("ERR_FEED_SIGNATURE");
  const signed = parseObject(body);
  const wellFormed =
    (signed["type"] === "snapshot" || signed["type"] === "change" || signed["type"] === "alive") &&
    typeof signed["lineage"] === "string" &&
    Number.isSafeInteger(signed["version"]) &&
    Number.isSafeInteger(signed["issuedAt"]);
  if (!wellFormed) throw new FeedError("ERR_FEED_LINE");
  // INVARIANT: control signs FeedBody values only; the signature vouches for the rest of the shape.
  return signed as unknown as FeedBody;
}

/** A line that is one JSON object. */
export function parseObject(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new FeedError("ERR_FEED_LINE", "not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FeedError("ERR_FEED_LINE", "not an object");
  }
  return value as Record<string, unknown>;
}
