import {
  clockSkewSeconds,
  type Examined as ExaminedToken,
  isPast,
  isText,
  isTime,
  mediaType,
  tokenChecks,
} from "./checks.ts";
import type { Issuer } from "./issuer.ts";
import { type Claims, claimOf, parseToken } from "./parse-token.ts";
import { subjectIdOf } from "./subject-id.ts";

/** An issuer, and the clients of which it says that they log somebody out. */
export interface LogoutIssuer extends Issuer {
  readonly clients: readonly string[];
}

/** What a logout token says: who is to be logged out, or which session at the issuer, or both. */
export interface Logout {
  /** The name of the issuer. */
  readonly issuer: string;
  /** `person:...` */
  readonly subject: string | undefined;
  readonly sid: string | undefined;
  readonly jti: string;
  /** Milliseconds since 1970: tokens issued until then are meant. */
  readonly issuedAt: number;
  /** Milliseconds since 1970: until then the same token may come again. */
  readonly expiresAt: number;
}

/** Why a logout token is refused: the check by its name, and a sentence for the event. */
export interface LogoutRefusal {
  readonly check: string;
  readonly why: string;
}

const eventName = "http://schemas.openid.net/event/backchannel-logout";
/** Of section 4: it recommends two minutes. */
const longestLifeSeconds = 600;
/** The types of logout tokens: explicit as section 2.4 recommends, so that no other token passes for one. */
const type = "logout+jwt";

interface Examined extends ExaminedToken {
  readonly header: Claims;
  readonly claims: Claims;
  readonly issuer: LogoutIssuer;
  readonly now: number;
}

type Check = (token: Examined) => boolean | Promise<boolean>;

/** What access tokens are asked too: each finds what the next one needs. */
const { alg, kid, signature } = tokenChecks;

/** OpenID Connect Back-Channel Logout 1.0 section 2.6, one row a check; the signature when nothing else is wrong. */
const checks: readonly (readonly [name: string, expected: string, check: Check])[] = [
  ["typ", type, ({ header }) => mediaTypeOf(header) === type],
  [
    "key",
    "one of the issuer's, still believed",
    (token) =>
      [alg, kid].every(({ look }) => look(token)?.passed) && token.now < token.issuer.keysUntil,
  ],
  ["aud", "only clients of issuers.yaml", ({ claims, issuer }) => isFor(claims, issuer)],
  ["iat", "in the past", ({ claims, now }) => isPast(claimOf(claims, "iat"), now)],
  [
    "exp",
    `in the future, and ${longestLifeSeconds} s after iat at most`,
    ({ claims, now }) => {
      const [iat, exp] = [claimOf(claims, "iat"), claimOf(claims, "exp")];
      return isTime(iat) && isTime(exp) && exp * 1000 > now && exp - iat <= longestLifeSeconds;
    },
  ],
  ["jti", "a text", ({ claims }) => isText(claimOf(claims, "jti"))],
  ["events", "that of a logout", ({ claims }) => isLogout(claimOf(claims, "events"))],
  ["nonce", "absent", ({ claims }) => claimOf(claims, "nonce") === undefined],
  [
    "sub",
    "a sub or a sid, and texts",
    ({ claims }) => {
      const given = ["sub", "sid"]
        .map((name) => claimOf(claims, name))
        .filter((one) => one !== undefined);
      return given.length > 0 && given.every(isText);
    },
  ],
  ["signature", "by that key", async (token) => (await signature.look(token))?.passed === true],
];

/** Judges a logout token, at the time `now` (milliseconds since 1970). That it came before is for the caller to know. */
export async function verifyLogoutToken(
  text: string,
  issuers: readonly LogoutIssuer[],
  now: number,
): Promise<Logout | LogoutRefusal> {
  const parsed = parseToken(text);
  if (parsed === undefined) return { check: "logout-structure", why: "it is no JWT" };
  const iss = claimOf(parsed.claims, "iss");
  const issuer = issuers.find((one) => one.issuer === iss);
  if (issuer === undefined || issuer.clients.length === 0) {
    return { check: "logout-iss", why: "no issuer with backChannelLogout has sent it" };
  }
  const token = { text, ...parsed, issuer, now };
  for (const [name, expected, check] of checks) {
    if (await check(token)) continue;
    return { check: `logout-${name}`, why: `expected ${name} to be ${expected}` };
  }
  const [sub, sid, jti, iat, exp] = ["sub", "sid", "jti", "iat", "exp"].map((name) =>
    claimOf(parsed.claims, name),
  );
  return {
    issuer: issuer.name,
    subject: isText(sub) ? `person:${await subjectIdOf(issuer.name, sub)}` : undefined,
    sid: isText(sid) ? sid : undefined,
    jti: String(jti),
    issuedAt: Number(iat) * 1000,
    expiresAt: (Number(exp) + clockSkewSeconds) * 1000,
  };
}

function mediaTypeOf(header: Claims): string | undefined {
  const typ = claimOf(header, "typ");
  return typeof typ === "string" ? mediaType(typ) : undefined;
}

function isFor(claims: Claims, { clients }: LogoutIssuer): boolean {
  const aud = claimOf(claims, "aud");
  const all: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  return all.length > 0 && all.every((one) => clients.some((client) => client === one));
}

function isLogout(events: unknown): boolean {
  if (typeof events !== "object" || events === null) return false;
  const event = claimOf(events as Claims, eventName);
  return typeof event === "object" && event !== null && !Array.isArray(event);
}
