import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Found, SealedRows } from "./sealed-rows.ts";

/** What is kept of a code, base64. */
export interface CodeHash {
  readonly hash: string;
}

/** Without letters and digits that look alike. */
const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/**
 * One-time codes of devices, one each: a new one takes the place of the former. 100 random bits, so a plain hash can
 * not be turned back; only that is kept.
 *
 *     made --take with the right code--> gone    made --its time is over--> worthless
 */
export class EnrolmentCodes {
  readonly #rows: SealedRows<CodeHash>;

  constructor(rows: SealedRows<CodeHash>) {
    this.#rows = rows;
  }

  /** A code such as ABCDE-FGHJK-LMNPQ-RSTUV. */
  make(subject: string, expiresAt: number): string {
    const letters = [...randomBytes(20)].map((byte) => alphabet[byte % 32]).join("");
    const hash = hashOf(subject, letters).toString("base64");
    this.#rows.put(subject, { hash }, expiresAt);
    return (letters.match(/.{5}/g) ?? []).join("-");
  }

  /**
   * Whether this was the subject's code, which counts once: of two requests at once one gets true. `restore` gives it
   * back where the enrolment was not possible after all.
   */
  take(subject: string, code: string, now: number): Taken | undefined {
    const made = this.#rows.get(subject);
    if (made === undefined || made.expiresAt <= now) return undefined;
    const letters = code.replaceAll("-", "").toUpperCase();
    const hash = Buffer.from(made.value.hash, "base64");
    if (!timingSafeEqual(hash, hashOf(subject, letters))) return undefined;
    this.#rows.delete(subject);
    return { restore: () => this.#restore(subject, made) };
  }

  /** Unless a new one was made meanwhile. */
  #restore(subject: string, { value, expiresAt }: Found<CodeHash>): void {
    if (this.#rows.get(subject) === undefined) this.#rows.put(subject, value, expiresAt);
  }
}

export interface Taken {
  restore(): void;
}

function hashOf(subject: string, letters: string): Buffer {
  return createHash("sha256").update(`${subject}\n${letters}`).digest();
}
