import { type Algorithm, algorithms } from "./algorithms.ts";
import type { IssuerKey } from "./issuer.ts";
import { type Claims, claimOf } from "./parse-token.ts";

const noJwkSet = "what it sent is no JWK Set";
const mostKeys = 64;
const longestKeyId = 255;
const shortestModulusBits = 2_048;
const longestModulusBits = 8_192;
const coordinateBytes: Readonly<Record<string, number>> = {
  "P-256": 32,
  "P-384": 48,
  "P-521": 66,
  Ed25519: 32,
};

/**
 * The keys of a JWK Set (RFC 7517) that can sign tokens here, made anew from their public members. Keys for encryption,
 * of other kinds, too short or without a `kid` are left out, and so is one whose `kid` is there twice; a sentence for
 * what is no JWK Set, or too large a one.
 */
export function parseJwkSet(text: string): readonly IssuerKey[] | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return noJwkSet;
  }
  const keys = isObject(value) ? claimOf(value, "keys") : undefined;
  if (!Array.isArray(keys)) return noJwkSet;
  if (keys.length > mostKeys) return `its JWK Set has ${keys.length} keys, more than ${mostKeys}`;
  const parsed = keys.flatMap((key) => (isObject(key) ? (parseKey(key) ?? []) : []));
  const kids = parsed.map(({ kid }) => kid);
  return parsed.filter(({ kid }) => kids.indexOf(kid) === kids.lastIndexOf(kid));
}

function parseKey(given: Claims): IssuerKey | undefined {
  const text = (name: string) => {
    const value = claimOf(given, name);
    return typeof value === "string" ? value : undefined;
  };
  const kid = text("kid");
  if (kid === undefined || kid === "" || kid.length > longestKeyId) return undefined;
  if ((text("use") ?? "sig") !== "sig") return undefined;
  const operations = claimOf(given, "key_ops");
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) {
    return undefined;
  }
  const alg = text("alg");
  if (alg !== undefined && !Object.hasOwn(algorithms, alg)) return undefined;
  const jwk = publicMembers(text);
  if (jwk === undefined) return undefined;
  return { kid, ...(alg === undefined ? {} : { alg: alg as Algorithm }), jwk };
}

function publicMembers(text: (name: string) => string | undefined): IssuerKey["jwk"] | undefined {
  const [kty, crv = "", x = "", y = ""] = ["kty", "crv", "x", "y"].map(text);
  const size = coordinateBytes[crv];
  switch (kty) {
    case "EC":
      return crv.startsWith("P-") && bytesOf(x) === size && bytesOf(y) === size
        ? { kty, crv, x, y }
        : undefined;
    case "OKP":
      return crv === "Ed25519" && bytesOf(x) === size ? { kty, crv, x } : undefined;
    case "RSA": {
      const [given = "", e = ""] = ["n", "e"].map(text);
      const n = modulusOf(given);
      return n !== undefined && e === "AQAB" ? { kty, n, e } : undefined;
    }
  }
  return undefined;
}

/** A modulus without the zeros that some write before it (RFC 7518 section 6.3.1.1), which make none longer. */
function modulusOf(text: string): string | undefined {
  if (bytesOf(text) < 0) return undefined;
  const bytes = Buffer.from(text, "base64url");
  const modulus = bytes.subarray(bytes.findIndex((byte) => byte !== 0));
  const bits = modulus.length * 8 + 24 - Math.clz32(modulus[0] ?? 0);
  if (bits < shortestModulusBits || bits > longestModulusBits) return undefined;
  return modulus.toString("base64url");
}

/** How many bytes a text in base64url holds; -1 where it is none. */
function bytesOf(text: string): number {
  const bytes = Buffer.from(text, "base64url");
  return text !== "" && bytes.toString("base64url") === text ? bytes.length : -1;
}

function isObject(value: unknown): value is Claims {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
