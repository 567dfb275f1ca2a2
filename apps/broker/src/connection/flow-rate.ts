/** How much a second. */
export interface Rates {
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
}

/** A bucket that holds one second's worth; it may go below empty, and refills from there. */
interface Bucket {
  perSecond: number;
  tokens: number;
}

/**
 * How fast one connection may send, in messages and in bytes. A read of the socket may overdraw a bucket, and the time
 * it takes to refill is the time reading pauses: nothing is dropped.
 */
export class FlowRate {
  readonly #messages: Bucket;
  readonly #bytes: Bucket;
  readonly #now: () => number;
  #refilledAt: number;

  /** `now` gives monotonic milliseconds. */
  constructor({ messagesPerSecond, bytesPerSecond }: Rates, now: () => number) {
    this.#messages = full(messagesPerSecond);
    this.#bytes = full(bytesPerSecond);
    this.#now = now;
    this.#refilledAt = now();
  }

  /** Other rates from now on; what was overdrawn under the former ones stays so. */
  use({ messagesPerSecond, bytesPerSecond }: Rates): void {
    change(this.#messages, messagesPerSecond);
    change(this.#bytes, bytesPerSecond);
  }

  /** Hot path. Takes what one read brought; returns for how many milliseconds to pause, mostly 0. */
  take(messages: number, bytes: number): number {
    this.#messages.tokens -= messages;
    this.#bytes.tokens -= bytes;
    if (this.#messages.tokens >= 0 && this.#bytes.tokens >= 0) return 0;
    const now = this.#now();
    const seconds = (now - this.#refilledAt) / 1000;
    this.#refilledAt = now;
    return Math.ceil(
      1000 * Math.max(refill(this.#messages, seconds), refill(this.#bytes, seconds)),
    );
  }
}

function full(perSecond: number): Bucket {
  return { perSecond, tokens: perSecond };
}

function change(bucket: Bucket, perSecond: number): void {
  bucket.perSecond = perSecond;
  bucket.tokens = Math.min(bucket.tokens, perSecond);
}

/** Returns the seconds until the bucket is no longer below empty. */
function refill(bucket: Bucket, seconds: number): number {
  bucket.tokens = Math.min(bucket.perSecond, bucket.tokens + seconds * bucket.perSecond);
  return Math.max(0, -bucket.tokens / bucket.perSecond);
}
