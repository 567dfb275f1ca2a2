/** What the broker needs: judging tokens, without the parser of the settings file. */
import {
  type Examined,
  identityOf,
  subjectOf,
  type TokenCheck,
  type TokenSurroundings,
  tokenChecks,
} from "./checks.ts";
import { type Claims, claimOf } from "./parse-token.ts";
import type { TokenAction } from "./roles.ts";

export * from "./attempts.ts";
export {
  clockSkewSeconds,
  type Introspected,
  type TokenCheck,
  type TokenSurroundings,
  tokenChecks,
} from "./checks.ts";
export * from "./issuer.ts";
export { type Claims, claimOf, isOpaque, maximumTokenBytes } from "./parse-token.ts";
export { lackOfLogin, type TokenAction } from "./roles.ts";
export * from "./token-clock.ts";

/** What a token gives, once every check has passed. Plain data: it may cross threads. */
export interface Grant {
  /** `person:<issuer>_<sub>` or `app:<issuer>_<sub>`. */
  readonly subject: string;
  readonly kind: "person" | "app";
  /** `org`, `id`, and what the mapping takes from claims. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly roles: readonly string[];
  readonly actions: readonly TokenAction[];
  /** The name of the issuer. */
  readonly issuer: string;
  readonly jti: string | undefined;
  readonly sid: string | undefined;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
  /** Milliseconds since 1970: the first moment in which it counts no longer. */
  readonly expiresAt: number;
}

/** A check and how it ended; `unknown` where an earlier failure left it nothing to look at, or what it depends on is. */
export interface CheckResult {
  readonly check: TokenCheck;
  readonly outcome: "passed" | "failed" | "unknown";
  readonly found: string;
  readonly expected: string;
}

/** Why a token is refused: the first check that failed, in a sentence that may stand in an event. */
export interface TokenRefusal {
  readonly check: TokenCheck;
  readonly why: string;
  /** The name of the issuer the token says it is of, where that is one of ours. */
  readonly issuer?: string;
  /** The subject it says it is of, where its claims were read; nobody has to be that subject to say so. */
  readonly claimed?: string;
}

const names = Object.keys(tokenChecks) as readonly TokenCheck[];

/** The checks of a token of this form: what only the other form has is not asked for. */
function checksFor({ introspected }: TokenSurroundings): readonly TokenCheck[] {
  const form = introspected === undefined ? "JWT" : "opaque";
  return names.filter((name) => {
    const check = tokenChecks[name];
    return !("of" in check) || check.of === form;
  });
}

/** Judges a token; stops at the first check that fails, so that a bad one costs little. */
export async function verifyToken(
  text: string,
  where: TokenSurroundings,
): Promise<Grant | TokenRefusal> {
  const verified = await verifyClaims(text, where);
  return "grant" in verified ? verified.grant : verified;
}

/** Judges a token as `verifyToken` does; gives its claims too, which can be believed then. */
export async function verifyClaims(
  text: string,
  where: TokenSurroundings,
): Promise<{ readonly grant: Grant; readonly claims: Claims } | TokenRefusal> {
  const token: Examined = { text };
  for (const check of checksFor(where)) {
    const result = await run(check, token, where);
    if (result.outcome === "passed") continue;
    const isPersonal = "isPersonal" in tokenChecks[check];
    const found = isPersonal ? "" : `, found ${result.found}`;
    return {
      check,
      why: `expected ${check} to be ${result.expected}${found}`,
      ...(await saidOf(token, where)),
    };
  }
  return { grant: grantOf(token), claims: token.claims ?? {} };
}

/** What a token says of itself, whatever is wrong with it. */
async function saidOf(
  { claims, issuer }: Examined,
  { issuers }: TokenSurroundings,
): Promise<Pick<TokenRefusal, "issuer" | "claimed">> {
  const iss = claims && claimOf(claims, "iss");
  const of = issuer ?? issuers.find((one) => one.issuer === iss);
  const subject = of && claims && (await subjectOf(claims, of));
  return {
    ...(of && { issuer: of.name }),
    ...(subject && { claimed: `${subject.kind}:${subject.id}` }),
  };
}

/** Judges a token by every check, for a person who wants to know what is wrong with it. */
export async function explainToken(
  text: string,
  where: TokenSurroundings,
): Promise<readonly CheckResult[]> {
  const token: Examined = { text };
  const results: CheckResult[] = [];
  const isCertificateUnknown = where.fingerprint === undefined;
  for (const check of checksFor(where))
    results.push(await run(check, token, { ...where, isCertificateUnknown }));
  return results;
}

async function run(
  check: TokenCheck,
  token: Examined,
  where: TokenSurroundings,
): Promise<CheckResult> {
  const finding = await tokenChecks[check].look(token, where);
  const expected = tokenChecks[check].expected(token, where);
  if (finding === undefined) return { check, outcome: "unknown", found: "", expected };
  const { passed, found } = finding;
  const outcome = passed === undefined ? "unknown" : passed ? "passed" : "failed";
  return { check, outcome, found, expected };
}

function grantOf(token: Examined): Grant {
  const identity = identityOf(token);
  const { claims, kind, attributes, roles, narrowing } = token;
  if (!identity || !claims || !kind || !attributes || !roles || !narrowing) {
    throw new TypeError("every check has passed, and something it should have found is missing");
  }
  return {
    ...identity,
    kind,
    attributes,
    roles,
    actions: narrowing.actions,
    expiresAt: Math.floor(Number(claimOf(claims, "exp")) * 1000),
  };
}
