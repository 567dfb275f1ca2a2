import { printable } from "@wardmq/events";
import { compactVerify, errors, importJWK } from "jose";
import { type Algorithm, algorithms } from "./algorithms.ts";
import {
  type Issuer,
  type IssuerKey,
  isRevoked,
  type Revocations,
  type RoleMapping,
  type TokenRevocation,
} from "./issuer.ts";
import {
  type Claims,
  claimOf,
  describeUnparsed,
  maximumTokenBytes,
  parseToken,
} from "./parse-token.ts";
import { type MappedRole, mappedRoles, type Narrowing, narrowingOf } from "./roles.ts";
import { subjectIdOf } from "./subject-id.ts";

/** The world a token is judged in. */
export interface TokenSurroundings {
  readonly org: string;
  readonly issuers: readonly Issuer[];
  /** Which claims give which roles: the policy's. */
  readonly mapping: readonly RoleMapping[];
  readonly revocations: readonly TokenRevocation[] | Revocations;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** SHA-256 of the certificate of this connection, lower-case hex; undefined where it has none. */
  readonly fingerprint: string | undefined;
  /** Nobody knows which certificate it would have: where a token is explained without one. */
  readonly isCertificateUnknown?: boolean;
  /** The MQTT User Name that came with it. */
  readonly username: string | undefined;
  /** What its issuer said of a token that is opaque. */
  readonly introspected?: Introspected | undefined;
}

/** The answer of an issuer about a token that says nothing by itself (RFC 7662 section 2.2). */
export interface Introspected {
  /** The name of the issuer that was asked. */
  readonly issuer: string;
  readonly claims: Claims;
}

/**
 * What a check found; undefined where an earlier check took away what it would look at. Whether it passes is undefined
 * where that is not known.
 */
type Finding = { readonly passed: boolean | undefined; readonly found: string } | undefined;

interface Check {
  /** What has to be true, for a person. */
  readonly expected: (token: Examined, where: TokenSurroundings) => string;
  readonly look: (token: Examined, where: TokenSurroundings) => Finding | Promise<Finding>;
  /** The claim is about a person, so what was found stays out of events. */
  readonly isPersonal?: true;
  /** Only tokens of this form have what it looks at. */
  readonly of?: "JWT" | "opaque";
}

/** A token on its way through the checks: each adds what later ones need. */
export interface Examined {
  readonly text: string;
  header?: Claims;
  claims?: Claims;
  issuer?: Issuer;
  algorithm?: Algorithm;
  key?: IssuerKey;
  isBound?: boolean;
  id?: string;
  kind?: "person" | "app";
  narrowing?: Narrowing;
  roles?: readonly string[];
  attributes?: Readonly<Record<string, string>>;
}

/** How far the clocks of an issuer and ours may differ. */
export const clockSkewSeconds = 5;
const longestSubject = 255;
const attributeForm = /^[A-Za-z0-9_-]{1,64}$/;

/** Parameters that would bring a key, or a meaning that we do not know, along with the token (RFC 7515 section 4.1). */
const refusedParameters = ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"] as const;

/**
 * What a token has to be, one row each, in the order in which it is looked at: what costs nothing first, the signature
 * when nothing else is wrong. `wardmq token explain` and the broker read the same rows.
 */
export const tokenChecks = {
  size: {
    expected: () => `at most ${maximumTokenBytes} characters`,
    look: ({ text }) => ({
      passed: text.length <= maximumTokenBytes,
      found: `${text.length} characters`,
    }),
  },
  introspection: {
    of: "opaque",
    expected: () => "active, as its issuer says",
    look: async (token, { issuers, introspected }) => {
      const issuer = issuers.find(({ name }) => name === introspected?.issuer);
      if (introspected === undefined || issuer === undefined) return undefined;
      token.issuer = issuer;
      const { claims } = introspected;
      const isActive = claimOf(claims, "active") === true;
      if (isActive) {
        // Without a resource owner a client acts for itself; a token without an id is known by its hash.
        const isOfNobody = claimOf(claims, "username") === undefined;
        const sub = isOfNobody ? claimOf(claims, "client_id") : undefined;
        token.claims = { sub, jti: await hashOf(token.text), ...claims };
      }
      return { passed: isActive, found: isActive ? "active" : "not active" };
    },
  },
  structure: {
    of: "JWT",
    expected: () => "a signed JWT: three base64url parts, the first two JSON objects",
    look: (token) => {
      const parsed = parseToken(token.text);
      if (parsed === undefined) return { passed: false, found: describeUnparsed(token.text) };
      token.header = parsed.header;
      token.claims = parsed.claims;
      return { passed: true, found: "a JWT" };
    },
  },
  header: {
    of: "JWT",
    expected: () => "no key and no extension in the header",
    look: ({ header }) => {
      if (header === undefined) return undefined;
      const bad = refusedParameters.filter((name) => Object.hasOwn(header, name));
      return { passed: bad.length === 0, found: bad.length === 0 ? "none" : bad.join(", ") };
    },
  },
  iss: {
    expected: (_, { issuers }) => {
      const known = issuers.map(({ issuer }) => issuer).join(" or ");
      return known === ""
        ? "an issuer of issuers.yaml whose tokens count here, and none is"
        : known;
    },
    look: (token, { issuers, introspected }) => {
      if (token.claims === undefined) return undefined;
      const iss = claimOf(token.claims, "iss");
      if (introspected !== undefined) {
        // RFC 7662 section 2.2 lets it out: it is the issuer that was asked.
        return { passed: iss === undefined || iss === token.issuer?.issuer, found: show(iss) };
      }
      const issuer = issuers.find((one) => one.issuer === iss);
      if (issuer !== undefined) token.issuer = issuer;
      return { passed: issuer !== undefined, found: show(iss) };
    },
  },
  typ: {
    of: "JWT",
    expected: ({ issuer }) => issuer?.typ ?? "at+jwt",
    look: ({ header, issuer }) => {
      if (header === undefined || issuer === undefined) return undefined;
      const typ = claimOf(header, "typ");
      const passed = typeof typ === "string" && mediaType(typ) === mediaType(issuer.typ);
      return { passed, found: show(typ) };
    },
  },
  alg: {
    of: "JWT",
    expected: ({ issuer }) => issuer?.algorithms.join(" or ") ?? "an algorithm of the issuer",
    look: (token) => {
      if (token.header === undefined || token.issuer === undefined) return undefined;
      const alg = claimOf(token.header, "alg");
      const algorithm = token.issuer.algorithms.find((one) => one === alg);
      if (algorithm !== undefined) token.algorithm = algorithm;
      return { passed: algorithm !== undefined, found: show(alg) };
    },
  },
  kid: {
    of: "JWT",
    expected: ({ issuer, algorithm }) =>
      issuer === undefined || algorithm === undefined
        ? "a key of the issuer"
        : `one of its ${issuer.keys.filter((key) => suits(key, algorithm)).length} keys for ${algorithm}`,
    look: (token) => {
      const { header, issuer, algorithm } = token;
      if (header === undefined || issuer === undefined || algorithm === undefined) return undefined;
      const kid = claimOf(header, "kid");
      const key = issuer.keys.find((one) => one.kid === kid && suits(one, algorithm));
      if (key !== undefined) token.key = key;
      return { passed: key !== undefined, found: show(kid) };
    },
  },
  "key-age": {
    of: "JWT",
    expected: () => "keys that were fetched recently enough",
    look: ({ issuer }, { now }) =>
      issuer === undefined
        ? undefined
        : {
            passed: now < issuer.keysUntil,
            found: `keys believed until ${time(issuer.keysUntil)}`,
          },
  },
  aud: {
    expected: ({ issuer }) => issuer?.audience ?? "the audience of the issuer",
    look: ({ claims, issuer }) => {
      if (claims === undefined || issuer === undefined) return undefined;
      const aud = claimOf(claims, "aud");
      // More than one audience means more than one place that could use the token here.
      const only = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud;
      return { passed: only === issuer.audience, found: show(aud) };
    },
  },
  exp: {
    expected: (_, { now }) => `after ${time(now)}`,
    look: ({ claims }, { now }) => {
      const exp = claims && claimOf(claims, "exp");
      return claims && { passed: isTime(exp) && exp * 1000 > now, found: showTime(exp) };
    },
  },
  nbf: {
    expected: (_, { now }) => `absent, or not after ${time(now)} (${clockSkewSeconds} s allowed)`,
    look: ({ claims }, { now }) => {
      const nbf = claims && claimOf(claims, "nbf");
      return claims && { passed: nbf === undefined || isPast(nbf, now), found: showTime(nbf) };
    },
  },
  iat: {
    expected: (_, { now }) => `not after ${time(now)} (${clockSkewSeconds} s allowed)`,
    look: ({ claims }, { now }) => {
      const iat = claims && claimOf(claims, "iat");
      return claims && { passed: isPast(iat, now), found: showTime(iat) };
    },
  },
  life: {
    expected: ({ issuer }) =>
      issuer === undefined
        ? "no longer than the issuer's maximum"
        : `at most ${issuer.maximumLifeSeconds} s from iat to exp`,
    look: ({ claims, issuer }) => {
      if (claims === undefined || issuer === undefined) return undefined;
      const [iat, exp] = [claimOf(claims, "iat"), claimOf(claims, "exp")];
      if (!isTime(iat) || !isTime(exp)) return undefined;
      const life = exp - iat;
      return { passed: life > 0 && life <= issuer.maximumLifeSeconds, found: `${life} s` };
    },
  },
  sub: {
    isPersonal: true,
    expected: () => `a text of 1 to ${longestSubject} characters`,
    look: async (token) => {
      const { claims, issuer } = token;
      if (claims === undefined || issuer === undefined) return undefined;
      const sub = show(claimOf(claims, "sub"));
      const subject = await subjectOf(claims, issuer);
      if (subject === undefined) return { passed: false, found: sub };
      Object.assign(token, subject);
      return { passed: true, found: `${sub}, here ${subject.kind}:${subject.id}` };
    },
  },
  claims: {
    isPersonal: true,
    expected: ({ issuer }) =>
      issuer === undefined ? "the issuer's required claims" : list(issuer.requiredClaims),
    look: ({ claims, issuer }) => {
      if (claims === undefined || issuer === undefined) return undefined;
      const absent = issuer.requiredClaims.filter((name) => !isText(claimOf(claims, name)));
      return {
        passed: absent.length === 0,
        found: absent.length === 0 ? "all of them" : `no text in ${list(absent)}`,
      };
    },
  },
  username: {
    isPersonal: true,
    expected: () => "no user name, or the subject's",
    look: ({ claims, kind, id }, { username = "" }) => {
      if (claims === undefined || id === undefined) return undefined;
      const passed = ["", claimOf(claims, "sub"), id, `${kind}:${id}`].includes(username);
      return { passed, found: username === "" ? "none" : show(username) };
    },
  },
  cnf: {
    expected: (_, { fingerprint, isCertificateUnknown }) => {
      if (fingerprint !== undefined) return `absent, or only x5t#S256 ${thumbprint(fingerprint)}`;
      return isCertificateUnknown === true
        ? "absent, or only x5t#S256 of the certificate that --certificate names"
        : "absent: the connection has no certificate it could be bound to";
    },
    look: (token, { fingerprint, isCertificateUnknown }) => {
      if (token.claims === undefined) return undefined;
      const cnf = claimOf(token.claims, "cnf");
      const bound = boundTo(cnf);
      const found = bound === undefined ? show(cnf) : `x5t#S256 ${printable(bound, 64)}`;
      if (isCertificateUnknown === true && bound !== undefined) return { passed: undefined, found };
      token.isBound = fingerprint !== undefined && bound === thumbprint(fingerprint);
      return { passed: cnf === undefined || token.isBound, found };
    },
  },
  scope: {
    expected: () => "of wardmq:, only publish, subscribe and role:NAME",
    look: (token) => {
      if (token.claims === undefined) return undefined;
      const narrowing = narrowingOf(token.claims);
      if (narrowing === undefined) return { passed: false, found: "another one" };
      token.narrowing = narrowing;
      return { passed: true, found: `leaves ${list(narrowing.actions)}` };
    },
  },
  roles: {
    expected: () => "at least one role by the claims of the policy",
    look: (token, { mapping }) => {
      const { claims, issuer, narrowing, isBound } = token;
      if (claims === undefined || issuer === undefined || narrowing === undefined) return undefined;
      const mapped = mappedRoles(mapping, issuer.name, claims, isBound === true);
      const isGiven = ({ role, missing }: MappedRole) =>
        missing === undefined && (narrowing.roles?.includes(role) ?? true);
      token.roles = [...new Set(mapped.filter(isGiven).map(({ role }) => role))];
      const kept = mapped.flatMap(({ role, missing }) =>
        missing === undefined || token.roles?.includes(role) ? [] : [`${role} needs ${missing}`],
      );
      const found = token.roles.length === 0 ? "none" : list(token.roles);
      const couldBe = () =>
        isBound === undefined && mappedRoles(mapping, issuer.name, claims, true).some(isGiven);
      const passed = token.roles.length > 0 || (couldBe() ? undefined : false);
      return { passed, found: [found, ...kept].join("; ") };
    },
  },
  attributes: {
    isPersonal: true,
    expected: ({ issuer }) => {
      const names = Object.values(issuer?.attributes ?? {});
      const form = "1 to 64 letters, digits, _ or -";
      return names.length === 0 ? "none are mapped" : `${list(names)} absent or ${form}`;
    },
    look: (token, { org }) => {
      const { claims, issuer, id } = token;
      if (claims === undefined || issuer === undefined || id === undefined) return undefined;
      const mapped = Object.entries(issuer.attributes)
        .map(([name, claim]) => [name, claimOf(claims, claim)] as const)
        .filter(([, value]) => value !== undefined);
      const bad = mapped.filter(([, value]) => !isText(value) || !attributeForm.test(value));
      token.attributes = { ...(Object.fromEntries(mapped) as Record<string, string>), org, id };
      return {
        passed: bad.length === 0,
        found: mapped.map(([name, value]) => `${name} ${show(value)}`).join(", ") || "none",
      };
    },
  },
  signature: {
    of: "JWT",
    expected: ({ key }) =>
      key === undefined ? "by a key of the issuer" : `by the key ${show(key.kid)}`,
    look: async ({ text, key, algorithm }) => {
      if (key === undefined || algorithm === undefined) return undefined;
      const passed = await isSignedBy(text, key, algorithm);
      return { passed, found: passed ? "by that key" : "not by that key" };
    },
  },
  revoked: {
    expected: () => "not revoked",
    look: (token, { revocations }) => {
      const about = identityOf(token);
      if (about === undefined) return undefined;
      const passed = !isRevoked(about, revocations);
      return { passed, found: passed ? "not revoked" : "revoked" };
    },
  },
} as const satisfies Record<string, Check>;

export type TokenCheck = keyof typeof tokenChecks;

/** Whom the claims of an issuer name; undefined where `sub` is no text of a proper length. */
export async function subjectOf(
  claims: Claims,
  { name }: Issuer,
): Promise<Required<Pick<Examined, "kind" | "id">> | undefined> {
  const sub = claimOf(claims, "sub");
  if (!isText(sub)) return undefined;
  // RFC 9068 section 2.2: a client that acts for itself is its own subject.
  const kind = sub === claimOf(claims, "client_id") ? "app" : "person";
  return { kind, id: await subjectIdOf(name, sub) };
}

/** By what a token can be revoked; undefined where it does not say it. */
export function identityOf({ claims, issuer, kind, id }: Examined) {
  if (claims === undefined || issuer === undefined || id === undefined) return undefined;
  const [jti, sid, iat] = ["jti", "sid", "iat"].map((name) => claimOf(claims, name));
  if (!isTime(iat)) return undefined;
  return {
    issuer: issuer.name,
    subject: `${kind}:${id}`,
    jti: isText(jti) ? jti : undefined,
    sid: isText(sid) ? sid : undefined,
    issuedAt: iat * 1000,
  };
}

async function hashOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", Buffer.from(text, "utf8"));
  return Buffer.from(digest).toString("base64url");
}

function suits({ alg, jwk }: IssuerKey, algorithm: Algorithm): boolean {
  const { kty, crv } = algorithms[algorithm];
  if (alg !== undefined && alg !== algorithm) return false;
  return jwk.kty === kty && (jwk.kty === "RSA" ? undefined : jwk.crv) === crv;
}

/** Keys ready for use; an issuer's are few and used for every token. */
const imported = new WeakMap<IssuerKey, Map<Algorithm, ReturnType<typeof importJWK>>>();

async function isSignedBy(text: string, key: IssuerKey, algorithm: Algorithm): Promise<boolean> {
  const ofKey = imported.get(key) ?? new Map<Algorithm, ReturnType<typeof importJWK>>();
  imported.set(key, ofKey);
  const ready = ofKey.get(algorithm) ?? importJWK({ ...key.jwk }, algorithm);
  ofKey.set(algorithm, ready);
  try {
    await compactVerify(text, await ready, { algorithms: [algorithm] });
    return true;
  } catch (error) {
    // A TypeError is a key that it does not take: nothing is signed by that.
    const isRefusal = [errors.JOSEError, DOMException, TypeError].some((of) => error instanceof of);
    if (isRefusal) return false;
    throw error;
  }
}

/** The certificate a token is bound to, RFC 8705 section 3.1; another kind of binding is one we cannot see, so it is none. */
function boundTo(cnf: unknown): string | undefined {
  if (typeof cnf !== "object" || cnf === null || Object.keys(cnf).length !== 1) return undefined;
  const bound = claimOf(cnf as Claims, "x5t#S256");
  return typeof bound === "string" ? bound : undefined;
}

function thumbprint(fingerprint: string): string {
  return Buffer.from(fingerprint, "hex").toString("base64url");
}

/** RFC 7515 section 4.1.9: `application/` may be left out, and case does not matter. */
export function mediaType(typ: string): string {
  return typ.toLowerCase().replace(/^application\//, "");
}

export function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= longestSubject;
}

/** A NumericDate, RFC 7519 section 2, that a Date can be too. */
export function isTime(value: unknown): value is number {
  return typeof value === "number" && Math.abs(value) < 8.64e12;
}

export function isPast(value: unknown, now: number): boolean {
  return isTime(value) && (value - clockSkewSeconds) * 1000 <= now;
}

function time(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

function showTime(value: unknown): string {
  return isTime(value) ? time(value * 1000) : show(value);
}

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  return printable(typeof value === "string" ? value : JSON.stringify(value), 120);
}

function list(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.map((name) => printable(name, 64)).join(", ");
}
