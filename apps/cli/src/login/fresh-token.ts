import type { TokenAnswer } from "@wardmq/mqtt-js";
import { Failure } from "../failure.ts";
import { IdentityProvider } from "./identity-provider.ts";
import { whileLocked } from "./lock.ts";
import {
  type AccessToken,
  type Profile,
  readProfile,
  readTokens,
  type StoredTokens,
  tokensPath,
  writeTokens,
} from "./profile.ts";

/** A token that ends sooner is refreshed before it is used. */
const leastMs = 30_000;

/**
 * The stored token for the broker or the API, or one that was fetched with the refresh token beside it. Never the one
 * that is `inUse`, which a renewal is to follow.
 */
export async function freshToken(
  path: string,
  of: "broker" | "api",
  inUse?: string,
): Promise<AccessToken> {
  const profile = readProfile(path);
  const stillGood = (stored: StoredTokens) => {
    const kept = of === "api" ? stored.api : stored;
    if (kept === undefined || kept.accessToken === inUse) return undefined;
    return kept.expiresAt - Date.now() > leastMs ? kept : undefined;
  };
  return (
    stillGood(readTokens(path, profile)) ??
    whileLocked(tokensPath(path), async () => {
      const stored = readTokens(path, profile); // a refresh token counts once: another wardmq may have used it
      return stillGood(stored) ?? refresh(path, profile, stored, of);
    })
  );
}

/**
 * The tokens of one client of the broker, one after the other: while it is connected, each is another than the last. One
 * may have been kept for most of its life, so each comes with the seconds that are left of it.
 */
export function tokensOf(path: string, isConnected: () => boolean): () => Promise<TokenAnswer> {
  let last: AccessToken | undefined;
  return async () => {
    last = await freshToken(path, "broker", isConnected() ? last?.accessToken : undefined);
    const { accessToken, expiresAt } = last;
    return { access_token: accessToken, expires_in: (expiresAt - Date.now()) / 1000 };
  };
}

async function refresh(
  path: string,
  profile: Profile,
  stored: StoredTokens,
  of: "broker" | "api",
): Promise<AccessToken> {
  const { refreshToken } = stored;
  if (refreshToken === undefined) throw new Failure(1, "the login has ended", "run wardmq login");
  const audience = of === "api" ? profile.api?.audience : profile.audience;
  if (audience === undefined) throw new Failure(2, "the profile names no api", "add api to it");
  const provider = await IdentityProvider.discover(profile);
  const { refreshToken: next = refreshToken, ...token } = await provider.refresh(
    refreshToken,
    audience,
  );
  writeTokens(path, profile, {
    ...stored,
    ...(of === "api" ? { api: token } : token),
    refreshToken: next,
  });
  return token;
}
