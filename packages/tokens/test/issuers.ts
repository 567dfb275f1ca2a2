import { createHash } from "node:crypto";
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from "jose";
import {
  type Issuer,
  type IssuerKey,
  parseJwkSet,
  type RoleMapping,
  type TokenSurroundings,
} from "../src/index.ts";

export const now = Date.UTC(2026, 10, 27, 12, 0, 0);
export const seconds = now / 1000;
export const fingerprint = createHash("sha256").update("certificate").digest("hex");

export const mapping: readonly RoleMapping[] = [
  { role: "nurse", issuer: "idp", claim: ["groups"], value: "nurses" },
];

/** The keys of a JWK Set that is one. */
export function keysIn(keys: readonly unknown[]): readonly IssuerKey[] {
  const parsed = parseJwkSet(JSON.stringify({ keys }));
  if (typeof parsed === "string") throw new Error(parsed);
  return parsed;
}

/** An issuer with one ES256 key, and what signs with it. */
export async function makeIssuer(changes: Partial<Issuer> = {}) {
  const pair = await generateKeyPair("ES256");
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: "k1" };
  const issuer: Issuer = {
    name: "idp",
    issuer: "https://idp.hospital.example",
    audience: "wardmq.hospital",
    algorithms: ["ES256", "RS256"],
    typ: "at+jwt",
    maximumLifeSeconds: 3_600,
    requiredClaims: ["client_id", "jti"],
    attributes: { ward: "ward" },
    keys: keysIn([jwk]),
    keysUntil: now + 60_000,
    ...changes,
  };
  return { issuer, jwk, ...pair };
}

export const goodHeader = { alg: "ES256", typ: "at+jwt", kid: "k1" };
export const goodClaims = {
  iss: "https://idp.hospital.example",
  aud: "wardmq.hospital",
  sub: "ann",
  client_id: "dashboard",
  jti: "t-1",
  iat: seconds - 10,
  exp: seconds + 600,
  groups: ["nurses", "staff"],
  ward: "icu-1",
};

export type Claims = Readonly<Record<string, unknown>>;

export function sign(key: CryptoKey, claims: Claims = {}, header: Claims = {}): Promise<string> {
  const all = { ...goodClaims, ...claims };
  return new SignJWT(JSON.parse(JSON.stringify(all)))
    .setProtectedHeader({ ...goodHeader, ...header } as { alg: string })
    .sign(key);
}

/** A token of parts that nobody would sign. */
export function assemble(header: unknown, claims: unknown, signature = "c2ln"): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part(header)}.${part(claims)}.${signature}`;
}

export function surroundings(
  issuer: Issuer,
  changes: Partial<TokenSurroundings> = {},
): TokenSurroundings {
  return {
    org: "hospital",
    issuers: [issuer],
    mapping,
    revocations: [],
    now,
    fingerprint: undefined,
    username: undefined,
    ...changes,
  };
}
