import type { SecurityEvent } from "@wardmq/events";
import { type Logout, type LogoutIssuer, verifyLogoutToken } from "@wardmq/tokens";
import type { RevokedTokens } from "./token-revocations.ts";

export interface BackChannelLogoutParts {
  readonly issuers: () => readonly LogoutIssuer[];
  /** Milliseconds since 1970, never set back. */
  readonly now: () => number;
  /** Ends what is meant, in brokers too; settles when they have said so, or did not in time. */
  readonly revoke: (revoked: RevokedTokens, issued: number) => Promise<unknown>;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
}

/** Where issuers say that somebody has logged out: OpenID Connect Back-Channel Logout 1.0. */
export class BackChannelLogout {
  readonly #parts: BackChannelLogoutParts;
  /** Logout tokens that were taken, and until when each could come again. */
  readonly #taken = new Map<string, number>();

  constructor(parts: BackChannelLogoutParts) {
    this.#parts = parts;
  }

  /** Whether any issuer may say so. */
  get isOpen(): boolean {
    return this.#parts.issuers().some(({ clients }) => clients.length > 0);
  }

  /** Takes a logout token from an address; false where it is refused, which is an event. */
  async take(token: string, address: string): Promise<boolean> {
    const { issuers, now, revoke, record } = this.#parts;
    const verified = await verifyLogoutToken(token, issuers(), now());
    const refused = "check" in verified ? verified : this.#refuseReplay(verified);
    if (refused !== undefined) {
      record({ type: "request-refused", listener: "api", subject: "nobody", address, ...refused });
      return false;
    }
    const { issuer, subject, sid, issuedAt } = verified as Logout;
    try {
      await revoke({ ...(sid && { issuer, sid }), ...(subject && { subject }) }, issuedAt);
    } catch (error) {
      this.#taken.delete(keyOf(verified as Logout)); // the issuer may say it again
      throw error;
    }
    record({ type: "logged-out", ...(subject && { subject }), details: { issuer } });
    return true;
  }

  #refuseReplay(logout: Logout) {
    const now = this.#parts.now();
    for (const [key, until] of this.#taken) if (until <= now) this.#taken.delete(key);
    const key = keyOf(logout);
    if (this.#taken.has(key))
      return { check: "logout-jti", why: "the same logout token came before" };
    this.#taken.set(key, logout.expiresAt);
    return undefined;
  }
}

function keyOf({ issuer, jti }: Logout): string {
  return `${issuer}\n${jti}`;
}
