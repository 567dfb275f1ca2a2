import type { SecurityEvent } from "@wardmq/events";
import { type Logout, type LogoutIssuer, verifyLogoutToken } from "@wardmq/tokens";
import type { RevokedTokens } from "./token-revocations.ts";

export interface BackChannelLogoutParts {
  readonly issuers: () => readonly LogoutIssuer[];
  /** Milliseconds since 1970, never set back. */
  readonly now: () => number;
  /** Ends what is meant, in brokers too; settles when they have said so, or did not in time. */
  readonly revoke: (revoked: RevokedTokens, issuedUntil: number) => Promise<unknown>;
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
    const of = subject === undefined ? { issuer } : { subject };
    // Of a session the tokens end whenever they were issued; of a subject those that are older than its logout.
    await revoke({ ...of, ...(sid && { sid }) }, sid === undefined ? issuedAt : now());
    record({ type: "logged-out", ...(subject && { subject }), details: { issuer } });
    return true;
  }

  #refuseReplay({ issuer, jti, expiresAt }: Logout) {
    const now = this.#parts.now();
    for (const [key, until] of this.#taken) if (until <= now) this.#taken.delete(key);
    const key = `${issuer}\n${jti}`;
    if (this.#taken.has(key))
      return { check: "logout-jti", why: "the same logout token came before" };
    this.#taken.set(key, expiresAt);
    return undefined;
  }
}
