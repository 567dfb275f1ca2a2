import type { TokenRevocation } from "@wardmq/tokens";

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

  /** Revokes what was issued until then; on disk when this returns. */
  add(revoked: RevokedTokens, before = this.#parts.now()): void {
    const until = this.#parts.now() + longestLifeMs;
    // A token with an id is the only one of that id, whenever its issuer's clock says that it was made.
    const issuedUntil = revoked.jti === undefined ? before : until;
    this.#all = [...this.list(), { ...revoked, issuedUntil, until }];
    this.#parts.file.write(JSON.stringify(this.#all));
  }
}
