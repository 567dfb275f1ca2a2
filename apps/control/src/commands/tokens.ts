import type { tokenCommands } from "@wardmq/commands";
import { explainToken, isOpaque, tokenChecks } from "@wardmq/tokens";
import { Failure } from "../failure.ts";
import type { RevokedTokens } from "../tokens/token-revocations.ts";
import type { Caller, HandlersOf, Surroundings } from "./handler.ts";

/** What is known of an opaque token whose issuer says nothing. */
const issuerIsAway = {
  check: "introspection",
  outcome: "failed",
  found: "no answer of its issuer: see the event issuer-unavailable",
  expected: tokenChecks.introspection.expected(),
} as const;

export const tokenHandlers: HandlersOf<typeof tokenCommands> = {
  "token.explain": async ({ tokens, registry }, { token: given, api = false, fingerprint }) => {
    const token = given.trim();
    const judges = api ? tokens.ofApi() : { issuers: tokens.issuers(), mapping: tokens.mapping() };
    const isAsked = isOpaque(token) && judges.issuers.some(({ isAsked }) => isAsked === true);
    const introspected = isAsked ? await tokens.introspect(token) : undefined;
    if (isAsked && introspected === undefined) return { checks: [issuerIsAway] };
    const checks = await explainToken(token, {
      ...judges,
      org: registry.identity.org,
      revocations: tokens.revocations.list(),
      now: tokens.now(),
      fingerprint,
      username: undefined,
      introspected,
    });
    return { checks: [...checks] };
  },

  "token.revoke": async (on, wanted, caller) => {
    const { issuer, subject, jti, sid } = wanted;
    const isOne = [subject, jti, sid].filter((one) => one !== undefined).length === 1;
    if (!isOne || (subject === undefined) !== (issuer !== undefined)) {
      throw new Failure("ERR_TOKEN_REVOCATION", "it does not say which tokens are meant", {
        hint: "name a subject, or an issuer with a jti or a sid",
      });
    }
    if (issuer !== undefined && !on.tokens.issuers().some(({ name }) => name === issuer)) {
      throw new Failure("ERR_TOKEN_REVOCATION", `issuers.yaml has no issuer ${issuer}`, {
        hint: "write its name, not its address",
      });
    }
    return revokeTokens(on, { issuer, subject, jti, sid }, caller);
  },

  bans: async ({ tokens }) => {
    const { bans, brokers, unconfirmed } = await tokens.bans();
    return {
      bans: [...bans],
      brokers,
      ...(unconfirmed > 0 ? { unconfirmed } : {}),
      claimed: [...tokens.claimed()],
    };
  },

  "bans.lift": async ({ tokens, record }, { of }, { actor }) => {
    const { bans, unconfirmed } = await tokens.bans();
    // A broker that does not say what it bans is told all the same.
    if (unconfirmed === 0 && !bans.some((ban) => ban.of === of)) {
      throw new Failure("ERR_BAN_UNKNOWN", `${of} is not banned`, {
        hint: "wardmq bans DIR shows who is",
      });
    }
    tokens.liftBan(of);
    record({ type: "ban-lifted", check: of, details: { actor } });
    return { of };
  },
};

/** On disk first: whatever happens to the brokers, these tokens never get anybody in again. */
export async function revokeTokens(
  { tokens, publisher, record }: Pick<Surroundings, "tokens" | "publisher" | "record">,
  revoked: RevokedTokens,
  { actor }: Pick<Caller, "actor">,
  issued?: number,
) {
  const revokedTokens = tokens.revocations.add(revoked, issued);
  const published = publisher.publish({ revokedTokens });
  const { subject, issuer, jti } = revoked;
  record({
    type: "tokens-revoked",
    ...(subject === undefined ? {} : { subject }),
    details: {
      actor,
      ...(issuer === undefined ? {} : { issuer }),
      by: subject !== undefined ? "subject" : jti !== undefined ? "jti" : "sid",
    },
  });
  const { answers, unconfirmed } = await published();
  return {
    brokers: answers.map(({ connectionsClosed, milliseconds }) => ({
      connectionsClosed,
      milliseconds,
    })),
    ...(unconfirmed > 0 ? { unconfirmed } : {}),
  };
}
