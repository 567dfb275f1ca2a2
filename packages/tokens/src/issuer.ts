import type { Algorithm } from "./algorithms.ts";

/** The public half of a signing key, made anew from what an issuer published: no other member is kept. */
export interface IssuerKey {
  readonly kid: string;
  /** The one algorithm the issuer uses it for, if it says so. */
  readonly alg?: Algorithm;
  readonly jwk:
    | { readonly kty: "EC"; readonly crv: string; readonly x: string; readonly y: string }
    | { readonly kty: "OKP"; readonly crv: string; readonly x: string }
    | { readonly kty: "RSA"; readonly n: string; readonly e: string };
}

/** How somebody has to have logged in. */
export interface LoginDemand {
  /** `acr` is one of these. */
  readonly acr?: readonly string[] | undefined;
  /** `amr` holds all of these, such as `mfa`. */
  readonly amr?: readonly string[] | undefined;
}

/** Which role a claim gives to those who logged in as is asked for: exact values only. */
export interface RoleMapping extends LoginDemand {
  readonly role: string;
  /** The name of the issuer whose tokens it is about. */
  readonly issuer: string;
  /** The names on the way to the claim: one, or more where it lies inside of objects. */
  readonly claim: readonly string[];
  /** The text the claim is, or one of the texts of the list it is. */
  readonly value: string;
  /** The role is given only to a token that is bound to the certificate of the connection (RFC 8705). */
  readonly certificateBound?: boolean | undefined;
}

/** What a broker needs to know of an issuer of tokens to judge them by itself. Everything is JSON. */
export interface Issuer {
  /** `[a-z0-9-]{1,16}`: what the id of every subject of this issuer begins with. */
  readonly name: string;
  /** `iss`, exactly. */
  readonly issuer: string;
  /** `aud`, exactly and alone. */
  readonly audience: string;
  readonly algorithms: readonly Algorithm[];
  readonly typ: string;
  readonly maximumLifeSeconds: number;
  /** Claims that have to be texts, beside those that always have to be there. */
  readonly requiredClaims: readonly string[];
  /** Attributes that policy may use, and the claims they come from. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Control asks it about opaque tokens (RFC 7662). */
  readonly isAsked?: boolean;
  readonly keys: readonly IssuerKey[];
  /** Milliseconds since 1970: from then on the keys are too old to be believed. */
  readonly keysUntil: number;
}

/** Tokens that count no longer. Every part that is there has to agree. Everything is JSON. */
export interface TokenRevocation {
  /** The name of the issuer. */
  readonly issuer?: string | undefined;
  /** `person:...` or `app:...`. */
  readonly subject?: string | undefined;
  readonly jti?: string | undefined;
  /**
   * The session at the issuer, as OpenID Connect Back-Channel Logout names it. Beside a subject it means that session
   * of it, and its tokens that do not say of which they are.
   */
  readonly sid?: string | undefined;
  /** Milliseconds since 1970: tokens that were issued until then. */
  readonly issuedUntil: number;
  /** Milliseconds since 1970: from then on every such token has ended by itself. */
  readonly until: number;
}

export function isRevoked(
  token: {
    readonly issuer: string;
    readonly subject: string;
    readonly jti: string | undefined;
    readonly sid: string | undefined;
    readonly issuedAt: number;
  },
  revocations: readonly TokenRevocation[],
): boolean {
  return revocations.some(
    ({ issuer, subject, jti, sid, issuedUntil }) =>
      (issuer === undefined || issuer === token.issuer) &&
      (subject === undefined || subject === token.subject) &&
      (jti === undefined || jti === token.jti) &&
      (sid === undefined ||
        sid === token.sid ||
        (subject !== undefined && token.sid === undefined)) &&
      token.issuedAt <= issuedUntil,
  );
}
