import { FeedError } from "./feed-error.ts";
import type { FeedBody, Message } from "./message.ts";
import { type PackedSubject, packSubject, unpackSubject } from "./packed-subject.ts";
import type { SubjectRecord } from "./world.ts";

/** Separates these signatures from any other use of the key. */
const context = "wardmq-feed\0";

/** The longest line of the feed: a parsed policy of the largest size, with room. */
export const maximumFeedLineBytes = 32 * 1024 * 1024;

/** Subjects and certificates in one line: some hundred kB, which a broker takes in a few milliseconds. */
const maximumInLine = 1_000;

/**
 * One message as a line, `<signature> <body>`: the body is JSON, the signature Ed25519 over `wardmq-feed\0` and the
 * UTF-8 of the body, in base64. More subjects than fit in one line are cut with `partsOf` before.
 */
export function encodeFeedMessage(body: FeedBody, sign: (bytes: Uint8Array) => Uint8Array): string {
  const text = JSON.stringify(withSubjects(body, packSubject));
  const signature = Buffer.from(sign(signedBytes(text))).toString("base64");
  return `${signature} ${text}\n`;
}

/** Subjects in pieces that fit in one line each; the last one goes with the message itself and may be empty. */
export function partsOf(subjects: readonly SubjectRecord[]): readonly (readonly SubjectRecord[])[] {
  const parts: SubjectRecord[][] = [[]];
  let weight = 0;
  for (const subject of subjects) {
    weight += 1 + subject.certificates.length;
    if (weight > maximumInLine && parts.at(-1)?.length !== 0) {
      parts.push([]);
      weight = 1 + subject.certificates.length;
    }
    parts.at(-1)?.push(subject);
  }
  return parts;
}

function withSubjects<One, Other>(
  message: Message<One>,
  form: (subject: One) => Other,
): Message<Other> {
  return "subjects" in message ? { ...message, subjects: message.subjects.map(form) } : message;
}

function signedBytes(body: string): Uint8Array {
  return Buffer.from(context + body, "utf8");
}

/** The body of a line whose signature the `verify` passed in accepts; nothing of any other line is looked at. */
export function decodeFeedMessage(
  line: string,
  verify: (bytes: Uint8Array, signature: Uint8Array) => boolean,
): FeedBody {
  const space = line.indexOf(" ");
  if (space < 0) throw new FeedError("ERR_FEED_LINE");
  const [signature, body] = [line.slice(0, space), line.slice(space + 1)];
  const octets = Buffer.from(signature, "base64");
  const canonical = octets.length === 64 && octets.toString("base64") === signature;
  if (!canonical || !verify(signedBytes(body), octets)) throw new FeedError("ERR_FEED_SIGNATURE");
  const signed = parseObject(body);
  const wellFormed =
    types.has(signed["type"]) &&
    typeof signed["lineage"] === "string" &&
    Number.isSafeInteger(signed["version"]) &&
    Number.isSafeInteger(signed["issuedAt"]);
  if (!wellFormed) throw new FeedError("ERR_FEED_LINE");
  // INVARIANT: control signs FeedBody values only; the signature vouches for the rest of the shape.
  return withSubjects(signed as unknown as Message<PackedSubject>, unpackSubject);
}

const types: ReadonlySet<unknown> = new Set<FeedBody["type"]>([
  "subjects",
  "snapshot",
  "change",
  "alive",
  "introspected",
  "lift-ban",
  "bans",
  "rekey",
  "renew-server-certificate",
  "server-certificate",
  "server-certificate-refused",
]);

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
