/**
 * How much one connection may send: a bucket that holds one second's worth. It is allowed to go below empty by one
 * read of the socket, and the time it takes to refill is the time reading pauses: nothing is dropped.
 */
export class FlowRate {
  #tokens: number;
  #refilledAt: number;
  #perSecond: number;

  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
    this.#refilledAt = now;
  }

  set perSecond(value: number) {
    this.#perSecond = value;
  }

  /** Takes `amount` at monotonic `now` (ms); returns for how many milliseconds to pause, mostly 0. */
  take(amount: number, now: () => number): number {
    this.#tokens -= amount;
    if (this.#tokens >= 0) return 0;
    const at = now();
    this.#tokens = Math.min(
      this.#perSecond,
      this.#tokens + ((at - this.#refilledAt) * this.#perSecond) / 1000,
    );
    this.#refilledAt = at;
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens * 1000) / this.#perSecond);
  }
}
