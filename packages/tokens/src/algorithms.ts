/**
 * The signature algorithms of a token and the one kind of key each is for (RFC 7518, RFC 8037, RFC 9864): an algorithm
 * never meets a key of another kind, and those that sign with a shared secret or with nothing have no row.
 */
export const algorithms = {
  ES256: { kty: "EC", crv: "P-256" },
  ES384: { kty: "EC", crv: "P-384" },
  ES512: { kty: "EC", crv: "P-521" },
  EdDSA: { kty: "OKP", crv: "Ed25519" },
  Ed25519: { kty: "OKP", crv: "Ed25519" },
  PS256: { kty: "RSA", crv: undefined },
  PS384: { kty: "RSA", crv: undefined },
  PS512: { kty: "RSA", crv: undefined },
  RS256: { kty: "RSA", crv: undefined },
  RS384: { kty: "RSA", crv: undefined },
  RS512: { kty: "RSA", crv: undefined },
} as const;

export type Algorithm = keyof typeof algorithms;

export const algorithmNames = Object.keys(algorithms) as readonly Algorithm[];

/** What an issuer may sign with that the file says nothing about. */
export const defaultAlgorithms: readonly Algorithm[] = [
  "ES256",
  "ES384",
  "EdDSA",
  "PS256",
  "RS256",
];
