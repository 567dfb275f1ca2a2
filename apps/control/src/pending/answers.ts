import type { SealedRows } from "./sealed-rows.ts";

const keptMs = 24 * 60 * 60 * 1000;

export interface Answer {
  readonly status: number;
  /** JSON; absent for a result that is shown once. */
  readonly body?: string;
  /** Of a refusal. */
  readonly code?: string;
}

/** What is kept of a request: its hash, and its answer once there is one. */
export interface AnsweredRequest {
  readonly request: string;
  readonly answer?: Answer;
}

/** What is known of an idempotency key. */
export type Known =
  /** Nobody used it: it is the caller's now, until `answered`. */
  | { readonly is: "new" }
  /** The same request was answered. */
  | { readonly is: "answered"; readonly answer: Answer }
  /** The same request runs, or control ended while it ran. */
  | { readonly is: "unfinished" }
  /** Another request has it. */
  | { readonly is: "other" };

/** Answers to requests with an idempotency key, kept for a day for the caller who asks again. */
export class IdempotentAnswers {
  readonly #rows: SealedRows<AnsweredRequest>;

  constructor(rows: SealedRows<AnsweredRequest>) {
    this.#rows = rows;
  }

  /** Claims a key of a caller for a request, told by its hash. */
  claim(caller: string, key: string, request: string, now: number): Known {
    this.#rows.deleteExpired(now);
    const name = nameOf(caller, key);
    const known = this.#rows.get(name)?.value;
    if (known === undefined) {
      this.#rows.put(name, { request }, now + keptMs);
      return { is: "new" };
    }
    if (known.request !== request) return { is: "other" };
    const { answer } = known;
    return answer === undefined ? { is: "unfinished" } : { is: "answered", answer };
  }

  answered(caller: string, key: string, answer: Answer): void {
    const name = nameOf(caller, key);
    const claimed = this.#rows.get(name);
    if (claimed === undefined) return;
    this.#rows.put(name, { ...claimed.value, answer }, claimed.expiresAt);
  }
}

/** What the row of an idempotency key is found by. */
export function nameOf(caller: string, key: string): string {
  return JSON.stringify([caller, key]);
}
