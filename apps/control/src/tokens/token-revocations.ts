import { clockSkewSeconds, type TokenRevocation } from "@wardmq/tokens";

export interface TokenRevocationsParts {
  /** Milliseconds since 1970, never set back. */
  readonly now: () => number;
  readonly file: { read(): string | undefined; write(text: string): void };
}

/** Who or what is revoked, without the times. */
export type RevokedTokens = Pick<TokenRevocation, "issuer" | "subject" | "jti" | "sid">;

/** The longest a token may live by any setting, and a little for clocks that differ. */
const longestLifeMs = 25 * 60 * 60 * 1000;

/** Tokens that were revoked before their end. Each entry goes when no token can be meant by it any more. */
export class TokenRevocations {
  readonly #parts: TokenRevocationsParts;
  #all: readonly TokenRevocation[];

  constructor(parts: TokenRevocationsParts) {
    this.#parts = parts;
    const text = parts.file.read();
    // INVARIANT: nobody but us writes the file.
    this.#all = text === undefined ? [] : (JSON.parse(text) as readonly TokenRevocation[]);
  }

  list(): readonly TokenRevocation[] {
    const now = this.#parts.now();
    return this.#all.filter(({ until }) => until > now);
  }

  /**
   * Revokes what its issuer's clock says was made until `issued`; without it until now, and as long beyond as that clock
   * may be ahead of ours. On disk when this returns; gives what brokers have to be told.
   */
  add(revoked: RevokedTokens, issued?: number): readonly TokenRevocation[] {
    const now = Math.ceil(this.#parts.now());
    const until = now + longestLifeMs;
    const issuedUntil = issued ?? now + clockSkewSeconds * 1000;
    const { subject, ...one } = revoked;
    const { jti, sid } = one;
    // One token, or one session, ends whenever its tokens were made.
    const added: TokenRevocation[] =
      jti === undefined && sid === undefined ? [] : [{ ...one, issuedUntil: until, until }];
    // Of a person with a session these are the tokens that do not say of which they are: there will be others.
    if (subject !== undefined) added.push({ ...revoked, issuedUntil, until });
    const kept = this.list().filter((entry) => !added.some((by) => covers(by, entry)));
    this.#all = [...kept, ...added];
    this.#parts.file.write(JSON.stringify(this.#all));
    return added;
  }
}

const parts = ["issuer", "subject", "jti", "sid"] as const;

function covers(later: TokenRevocation, former: TokenRevocation): boolean {
  return (
    parts.every((part) => later[part] === former[part]) && later.issuedUntil >= former.issuedUntil
  );
}
