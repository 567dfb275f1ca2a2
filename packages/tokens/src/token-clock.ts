/**
 * The time tokens are measured by, in milliseconds since 1970. It runs with the monotonic clock and follows the wall
 * clock forwards only: setting the machine's clock back lengthens no token, neither one that is in use nor one that
 * has ended before.
 */
export class TokenClock {
  readonly #wall: () => number;
  readonly #monotonic: () => number;
  #offset = Number.NEGATIVE_INFINITY;

  constructor(wall: () => number, monotonic: () => number) {
    this.#wall = wall;
    this.#monotonic = monotonic;
  }

  /** Hot path, for connections with a token. */
  readonly now = (): number => {
    const monotonic = this.#monotonic();
    const offset = this.#wall() - monotonic;
    if (offset > this.#offset) this.#offset = offset;
    return monotonic + this.#offset;
  };
}
