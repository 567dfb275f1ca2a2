import type { TokenAnswer } from "@wardmq/mqtt-js";
import { Failure } from "../failure.ts";
import { IdentityProvider } from "./identity-provider.ts";
import { besideProfile, readProfile, readTokens, writeTokens } from "./profile.ts";

/** A token that ends sooner is refreshed before it is used. */
const leastMs = 30_000;

/** The stored token for the broker or the API, or one that was fetched with the refresh token beside it. */
export async function freshToken(profilePath: string, of: "broker" | "api"): Promise<string> {
  const stored = readTokens(profilePath);
  const kept = of === "api" ? stored.api : stored;
  if (kept !== undefined && kept.expiresAt - Date.now() > leastMs) return kept.accessToken;
  const { refreshToken } = stored;
  if (refreshToken === undefined) throw new Failure(1, "the login has ended", "run wardmq login");
  const profile = readProfile(profilePath);
  const audience = of === "api" ? profile.api?.audience : profile.audience;
  if (audience === undefined) throw new Failure(2, "the profile names no api", "add api to it");
  const ca = besideProfile(profilePath, profile.issuerCa);
  const provider = await IdentityProvider.discover(profile, ca);
  const { refreshToken: next = refreshToken, ...token } = await provider.refresh(
    refreshToken,
    audience,
  );
  writeTokens(
    profilePath,
    of === "api"
      ? { ...stored, refreshToken: next, api: token }
      : { ...stored, ...token, refreshToken: next },
  );
  return token.accessToken;
}

/** The token for the broker, with the seconds that are left of it: it may have been kept for most of its life. */
export async function freshAnswer(profilePath: string): Promise<TokenAnswer> {
  const access_token = await freshToken(profilePath, "broker");
  const { expiresAt } = readTokens(profilePath);
  return { access_token, expires_in: (expiresAt - Date.now()) / 1000 };
}
