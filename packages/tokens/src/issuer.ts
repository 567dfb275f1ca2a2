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

/** By what a token can be revoked. */
interface Revocable {
  readonly issuer: string;
  readonly subject: string;
  readonly jti: string | undefined;
  readonly sid: string | undefined;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
}

type Part = "issuer" | "subject" | "jti" | "sid";
const parts: readonly Part[] = ["issuer", "subject", "jti", "sid"];
/** The `sid` of a token that does not say of which session it is; no entry has it by itself. */
const noSession = "";

/** Entries that name the same parts, found by these: of each the one that reaches furthest. */
interface Form {
  readonly names: readonly Part[];
  readonly latest: Map<string, TokenRevocation>;
}

const forgetMs = 60 * 60 * 1000;

/**
 * Revoked tokens, found by what they name: a hospital that logs out behind itself has tens of thousands of entries, and
 * every live token is looked for when one is added.
 */
export class Revocations {
  readonly #forms = new Map<string, Form>();
  #forgotAt = Number.NEGATIVE_INFINITY;

  constructor(entries: readonly TokenRevocation[] = []) {
    for (const entry of entries) this.#add(entry);
  }

  /** `now`: milliseconds since 1970. Entries whose tokens have ended by themselves go at times. */
  add(entries: readonly TokenRevocation[], now: number): void {
    for (const entry of entries) this.#add(entry);
    if (now - this.#forgotAt < forgetMs) return;
    this.#forgotAt = now;
    for (const { latest } of this.#forms.values()) {
      for (const [key, { until }] of latest) if (until <= now) latest.delete(key);
    }
  }

  /** What is known, to be added elsewhere. */
  entries(): readonly TokenRevocation[] {
    return [...this.#forms.values()].flatMap(({ latest }) => [...latest.values()]);
  }

  has(token: Revocable): boolean {
    const named = { ...token, sid: token.sid ?? noSession };
    for (const { names, latest } of this.#forms.values()) {
      const found = latest.get(keyOf(named, names));
      if (found !== undefined && token.issuedAt <= found.issuedUntil) return true;
    }
    return false;
  }

  #add(entry: TokenRevocation): void {
    this.#put(entry, entry);
    if (entry.subject === undefined || entry.sid === undefined) return;
    this.#put({ ...entry, sid: noSession }, entry);
  }

  #put(named: Pick<TokenRevocation, Part>, entry: TokenRevocation): void {
    const names = parts.filter((name) => named[name] !== undefined);
    const { latest } = this.#forms.get(names.join()) ?? this.#formOf(names);
    const key = keyOf(named, names);
    const { issuedUntil = Number.NEGATIVE_INFINITY } = latest.get(key) ?? {};
    if (entry.issuedUntil > issuedUntil) latest.set(key, entry);
  }

  #formOf(names: readonly Part[]): Form {
    const form = { names, latest: new Map() };
    this.#forms.set(names.join(), form);
    return form;
  }
}

export function isRevoked(
  token: Revocable,
  revocations: readonly TokenRevocation[] | Revocations,
): boolean {
  const all = revocations instanceof Revocations ? revocations : new Revocations(revocations);
  return all.has(token);
}

function keyOf(from: Pick<TokenRevocation, Part>, names: readonly Part[]): string {
  return names.map((name) => from[name]).join("\n");
}
