import { Failure } from "../failure.ts";
import { IdentityProvider } from "./identity-provider.ts";
import {
  type AccessToken,
  type Profile,
  readProfile,
  readTokens,
  type StoredTokens,
  writeTokens,
} from "./profile.ts";

/** A token that ends sooner is refreshed before it is used. */
const leastMs = 30_000;

/** The stored token for the broker or the API, or one that was fetched with the refresh token beside it. */
export async function freshToken(path: string, of: "broker" | "api"): Promise<AccessToken> {
  const profile = readProfile(path);
  const stored = readTokens(path, profile);
  const kept = of === "api" ? stored.api : stored;
  if (kept !== undefined && kept.expiresAt - Date.now() > leastMs) return kept;
  return refresh(path, profile, stored, of);
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
