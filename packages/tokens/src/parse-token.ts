import { printable } from "@wardmq/events";

/** The longest token that is looked at. */
export const maximumTokenBytes = 8_192;

export type Claims = Readonly<Record<string, unknown>>;

/** The parts of a JSON Web Token in compact form (RFC 7515 section 7.1); nothing of it is believed yet. */
export interface ParsedToken {
  readonly header: Claims;
  readonly claims: Claims;
}

/** Splits and decodes a token; undefined for what is not of that form, one spelling of each value only. */
export function parseToken(text: string): ParsedToken | undefined {
  if (text.length > maximumTokenBytes) return undefined;
  const [header, claims, signature, ...more] = text.split(".");
  if (header === undefined || claims === undefined || signature === undefined || more.length > 0) {
    return undefined;
  }
  if (signature === "" || decodeBase64Url(signature) === undefined) return undefined;
  const decoded = [header, claims].map(decodeObject);
  const [head, body] = decoded;
  return head === undefined || body === undefined ? undefined : { header: head, claims: body };
}

/** What a text is that `parseToken` takes nothing from. Of the text itself it repeats the name of an algorithm at most. */
export function describeUnparsed(text: string): string {
  if (text.length > maximumTokenBytes) return "a text that is too long to look at";
  const [header = "", claims = "", signature, ...more] = text.split(".");
  if (signature === undefined) return claims === "" ? "one part" : "two parts";
  if (more.length > 0) return `${3 + more.length} parts`;
  const head = decodeObject(header);
  if (head === undefined) return "a first part that is none";
  if (decodeObject(claims) === undefined) return "a second part that is none";
  if (signature !== "") return "a signature that is not base64url";
  const alg = claimOf(head, "alg");
  return `no signature${typeof alg === "string" ? `, and the algorithm ${printable(alg, 20)}` : ""}`;
}

/** Whether a token is none that could be read here: it does not begin like a JWT, good or bad. */
export function isOpaque(text: string): boolean {
  if (text === "" || text.length > maximumTokenBytes) return false;
  return decodeObject(text.split(".", 1)[0] ?? "") === undefined;
}

/** A claim that is there under exactly this name; nothing that JavaScript puts into every object. */
export function claimOf(claims: Claims, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}

function decodeObject(part: string): Claims | undefined {
  const bytes = decodeBase64Url(part);
  if (bytes === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Claims)
      : undefined;
  } catch {
    return undefined;
  }
}

function decodeBase64Url(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}
