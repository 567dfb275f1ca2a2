import { createHash, type X509Certificate } from "node:crypto";
import { type BreakGlassUse, roles } from "@wardmq/commands";
import type { SecurityEvent } from "@wardmq/events";
import { fingerprintOf, networkOf, type Refusal } from "@wardmq/tls";
import {
  AttemptCounter,
  type AttemptKey,
  attemptKeys,
  explainBan,
  type Grant,
  type Introspected,
  isOpaque,
  type TokenRevocation,
  verifyClaims,
} from "@wardmq/tokens";
import type { Caller, CallersToken } from "../commands/handler.ts";
import { operatorOfPerson, roleOf } from "../commands/operators.ts";
import type { Registry } from "../registry/registry.ts";
import { type ApiIssuers, breakGlassRole } from "../tokens/issuers.ts";
import { identifyOperator } from "./operator-certificate.ts";

export interface OperatorTokensParts {
  readonly registry: Registry;
  readonly judges: () => ApiIssuers;
  readonly revocations: () => readonly TokenRevocation[];
  /** What a person has taken for an emergency, and has now. */
  readonly taken: (person: string) => readonly Pick<BreakGlassUse, "name" | "apiRole">[];
  readonly introspect: (token: string) => Promise<Introspected | undefined>;
  /** Milliseconds since 1970, never set back. */
  readonly now: () => number;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  readonly delay: (milliseconds: number) => Promise<unknown>;
}

/** A token, and over which connection it came. */
export interface Presented {
  readonly token: string;
  readonly address: string;
  readonly certificate: X509Certificate | undefined;
}

/** A refusal, with what the token said of itself for whoever counts; nobody is banned by it. */
interface TokenRefused extends Refusal {
  readonly details?: Readonly<Record<string, string>>;
}

const issuerIsAway: TokenRefused = { check: "token-issuer", why: "its issuer could not be asked" };

type Identified = Omit<Caller, "at">;

/** Who comes to the API with an access token: judged as brokers judge theirs, for the API's own audience and roles. */
export class OperatorTokens {
  readonly attempts: AttemptCounter;
  readonly #parts: OperatorTokensParts;

  constructor(parts: OperatorTokensParts) {
    this.#parts = parts;
    this.attempts = new AttemptCounter(parts.now);
  }

  /** Whether any issuer may let somebody in here. */
  get areTaken(): boolean {
    return this.#parts.judges().issuers.length > 0;
  }

  /** The caller, or the check that failed, after a wait that grows with the refusals from there. */
  async identify(presented: Presented): Promise<Identified | TokenRefused> {
    const { address, certificate } = presented;
    const keys = attemptKeys(networkOf(address), fingerprintOfCertificate(certificate));
    const ban = this.attempts.banOf(keys);
    if (ban !== undefined) return { check: "token-banned", why: explainBan(ban) };
    const judged = await this.#judge(presented);
    if (!("check" in judged)) {
      this.attempts.succeeded(keys);
      return judged;
    }
    if (judged !== issuerIsAway) await this.#count(keys, address);
    return judged;
  }

  async #judge({ token: text, certificate }: Presented): Promise<Identified | TokenRefused> {
    const { registry, judges, revocations, introspect, now } = this.#parts;
    const isToBeAsked = isOpaque(text) && judges().issuers.some(({ isAsked }) => isAsked === true);
    const introspected = isToBeAsked ? await introspect(text) : undefined;
    if (isToBeAsked && introspected === undefined) return issuerIsAway;
    const verified = await verifyClaims(text, {
      ...judges(),
      org: registry.identity.org,
      revocations: revocations(),
      now: now(),
      fingerprint: fingerprintOfCertificate(certificate),
      username: undefined,
      introspected,
    });
    if ("check" in verified) {
      const { check, why, issuer, claimed } = verified;
      const details = { ...(issuer && { issuer }), ...(claimed && { claimed }) };
      return { check: `token-${check}`, why, details };
    }
    const { grant, claims } = verified;
    const { issuer, subject: claimed } = grant;
    const taken = this.#parts.taken(claimed);
    const token = { grant, claims, hash: hashOf(grant) };
    const caller = callerOf(registry, token, certificate, taken);
    return "check" in caller ? { ...caller, details: { issuer, claimed } } : caller;
  }

  async #count(keys: readonly AttemptKey[], address: string): Promise<void> {
    const { delayMs, ban } = this.attempts.failed(keys);
    if (ban !== undefined) {
      const details = { failures: ban.failures, until: Math.round(ban.until) };
      const event = { type: "tokens-banned", address, listener: "api", check: ban.key } as const;
      this.#parts.record({ ...event, details });
    }
    await this.#parts.delay(delayMs);
  }
}

/**
 * The operator that the person is said to be, else the person. A certificate that came along has to be of the same
 * operator: a person who shows two faces at once is let in as neither.
 */
function callerOf(
  registry: Registry,
  token: CallersToken,
  certificate: X509Certificate | undefined,
  taken: ReturnType<OperatorTokensParts["taken"]>,
): Identified | Refusal {
  const { grant } = token;
  if (grant.actions.length < 2) {
    const why =
      "the scopes of the token leave publish or subscribe only, and neither is of the API";
    return { check: "token-scope", why };
  }
  const operator = operatorOfPerson(registry, grant.subject);
  if (operator !== undefined && !["active", "registered"].includes(operator.state)) {
    return { check: "subject-active", why: `${operator.id} is ${operator.state}` };
  }
  if (certificate !== undefined) {
    const holder = identifyOperator(registry, certificate);
    if ("check" in holder) return holder;
    if (holder.actor !== operator?.id) {
      const why = `the certificate is of ${holder.actor}, and nothing says that the token is too`;
      return { check: "one-person", why };
    }
  }
  const rankOf = (names: readonly string[]) => roles.findLastIndex((role) => names.includes(role));
  const most = operator === undefined ? roles.length : roles.indexOf(roleOf(operator));
  // What was taken counts for a login that may take it, and beyond what the operator is otherwise.
  const inEmergency = taken
    .filter(({ name }) => grant.roles.includes(breakGlassRole(name)))
    .flatMap(({ apiRole }) => apiRole ?? []);
  const rank = Math.max(Math.min(rankOf(grant.roles), most), rankOf(inEmergency));
  return { actor: operator?.id ?? grant.subject, role: roles[rank] ?? "authenticated", token };
}

/** Tells tokens apart in events; no token can be made from it. */
function hashOf({ issuer, jti }: Grant): string {
  return createHash("sha256")
    .update(`${issuer}\n${jti ?? ""}`)
    .digest("hex")
    .slice(0, 16);
}

function fingerprintOfCertificate(certificate: X509Certificate | undefined): string | undefined {
  return certificate && fingerprintOf(certificate.fingerprint256);
}
