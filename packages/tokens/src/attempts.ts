/** What refused tokens are counted by: an address, or the certificate they came with. */
export type AttemptKey = `address ${string}` | `certificate ${string}`;

/**
 * Where a token comes from, for what is counted against it: never anything the peer can choose, so of an IPv6 address
 * its network.
 */
export function attemptKeys(
  network: string,
  fingerprint: string | undefined,
): readonly AttemptKey[] {
  const byAddress: AttemptKey = `address ${network}`;
  return fingerprint === undefined ? [byAddress] : [byAddress, `certificate ${fingerprint}`];
}

export interface Ban {
  readonly key: AttemptKey;
  readonly failures: number;
  /** Token-clock milliseconds. */
  readonly until: number;
}

/** Why no token is judged, for an event. */
export function explainBan({ key, until }: Ban): string {
  return `tokens of ${key} are refused until ${new Date(until).toISOString()}`;
}

interface Attempts {
  failures: number;
  lastAt: number;
  bans: number;
  /** When the last ban began; Infinity: none has. */
  bannedAt: number;
  bannedUntil: number;
}

const forgottenAfterMs = 15 * 60_000;
const remembered = 10_000;
/** Every refusal waits at least so long, whatever was wrong: its time tells nothing. */
const shortestDelayMs = 250;
const longestDelayMs = 4_000;
/** No more refusals than one in this time, as long as none waits for longer than the longest delay. */
const spacingMs = 2;
const freeFailures = 5;
/** So many failures within a quarter of an hour of each other are an attack. */
const failuresToBan = 50;
const shortestBanMs = 60_000;
export const longestBanMs = 60 * 60_000;

/**
 * Failed tokens by where they came from. Delays grow with them, and with the refusals of everybody where those are
 * hundreds a second; then a ban begins, which ends by itself and is longer each time. Nobody is counted or banned by a
 * client identifier, a user name or a claim, which anyone can write; and only those who come with a token are touched: a
 * device with its certificate comes in from a banned address too.
 */
export class AttemptCounter {
  readonly #now: () => number;
  readonly #byKey = new Map<AttemptKey, Attempts>();
  /** When it is the turn of the next refusal, whoever it is for. */
  #turnAt = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The ban that is in force for any of these, if one is. */
  banOf(keys: readonly AttemptKey[]): Ban | undefined {
    const now = this.#now();
    for (const key of keys) {
      const attempts = this.#byKey.get(key);
      if (attempts !== undefined && attempts.bannedUntil > now) {
        return { key, failures: attempts.failures, until: attempts.bannedUntil };
      }
    }
    return undefined;
  }

  /** Whether something is counted against any of these. */
  hasFailed(keys: readonly AttemptKey[]): boolean {
    const now = this.#now();
    return keys.some((key) => {
      const attempts = this.#byKey.get(key);
      return attempts !== undefined && attempts.failures > 0 && !isForgotten(attempts, now);
    });
  }

  /** All bans that are in force, as they are told to others: `until` in whole milliseconds. */
  bans(): readonly { of: AttemptKey; failures: number; until: number }[] {
    return [...this.#byKey.keys()].flatMap((of) => {
      const ban = this.banOf([of]);
      return ban === undefined
        ? []
        : [{ of, failures: ban.failures, until: Math.round(ban.until) }];
    });
  }

  /** Counts a refusal; gives the milliseconds its answer has to wait, and the ban that has begun with it. */
  failed(keys: readonly AttemptKey[]): { readonly delayMs: number; readonly ban: Ban | undefined } {
    const now = this.#now();
    let most = 0;
    let ban: Ban | undefined;
    for (const key of keys) {
      const attempts = this.#take(key, now);
      attempts.failures += 1;
      attempts.lastAt = now;
      most = Math.max(most, attempts.failures);
      const isBanned = attempts.bannedUntil > now; // those that were on their way begin no other
      if (isBanned || attempts.failures % failuresToBan !== 0) continue;
      attempts.bannedAt = now;
      attempts.bannedUntil = now + Math.min(longestBanMs, shortestBanMs * 2 ** attempts.bans);
      attempts.bans += 1;
      ban = { key, failures: attempts.failures, until: attempts.bannedUntil };
    }
    const doublings = Math.min(10, Math.max(0, most - freeFailures));
    const ownMs = shortestDelayMs * 2 ** doublings;
    return { delayMs: Math.min(longestDelayMs, ownMs + this.#queue(now)), ban };
  }

  /**
   * Takes a place in the row of those who are refused; gives the milliseconds until its turn. Who tries again when it
   * has heard of its refusal does so no faster than the row moves, and a thousand at once do not all come back at once.
   */
  #queue(now: number): number {
    const turnAt = Math.max(now, this.#turnAt);
    this.#turnAt = Math.min(turnAt, now + longestDelayMs) + spacingMs;
    return turnAt - now;
  }

  /** Ends a ban, unless it began after `at` (token-clock milliseconds), and forgets what was counted. */
  lift(of: string, at = Number.POSITIVE_INFINITY): void {
    const key = of as AttemptKey; // one that is not of the form is not there
    const attempts = this.#byKey.get(key);
    if (attempts !== undefined && attempts.bannedAt <= at) this.#byKey.delete(key);
  }

  /** A good token: many people share an address, so half of what is counted against it stays. */
  succeeded(keys: readonly AttemptKey[]): void {
    for (const key of keys) {
      const attempts = this.#byKey.get(key);
      if (attempts !== undefined) attempts.failures = Math.floor(attempts.failures / 2);
    }
  }

  #take(key: AttemptKey, now: number): Attempts {
    const known = this.#byKey.get(key);
    this.#byKey.delete(key); // the one touched last is forgotten last
    const attempts =
      known === undefined || isForgotten(known, now)
        ? {
            failures: 0,
            lastAt: now,
            bans: known?.bans ?? 0,
            bannedAt: Number.POSITIVE_INFINITY,
            bannedUntil: 0,
          }
        : known;
    if (this.#byKey.size >= remembered) this.#forgetOne(now);
    this.#byKey.set(key, attempts);
    return attempts;
  }

  /** The one touched longest ago, and a ban only where there is nothing else: failures of others end none. */
  #forgetOne(now: number): void {
    let forgotten: AttemptKey | undefined;
    for (const [key, { bannedUntil }] of this.#byKey) {
      forgotten ??= key;
      if (bannedUntil > now) continue;
      forgotten = key;
      break;
    }
    if (forgotten !== undefined) this.#byKey.delete(forgotten);
  }
}

function isForgotten({ lastAt, bannedUntil }: Attempts, now: number): boolean {
  return now - lastAt > forgottenAfterMs && bannedUntil <= now;
}
