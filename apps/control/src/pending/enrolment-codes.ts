import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";

interface Row {
  hash: Uint8Array;
  expires_at: number;
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
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** A code such as ABCDE-FGHJK-LMNPQ-RSTUV. */
  make(subject: string, expiresAt: number): string {
    const letters = [...randomBytes(20)].map((byte) => alphabet[byte % 32]).join("");
    this.#database
      .prepare(
        "INSERT OR REPLACE INTO enrolment_codes (subject, hash, expires_at) VALUES (?, ?, ?)",
      )
      .run(subject, hashOf(subject, letters), expiresAt);
    return (letters.match(/.{5}/g) ?? []).join("-");
  }

  /**
   * Whether this was the subject's code, which counts once: of two requests at once one gets true. `restore` gives it
   * back where the enrolment was not possible after all.
   */
  take(subject: string, code: string, now: number): Taken | undefined {
    const row = this.#database
      .prepare("SELECT hash, expires_at FROM enrolment_codes WHERE subject = ?")
      .get(subject) as unknown as Row | undefined;
    if (row === undefined || row.expires_at <= now) return undefined;
    const letters = code.replaceAll("-", "").toUpperCase();
    if (!timingSafeEqual(row.hash, hashOf(subject, letters))) return undefined;
    this.#database.prepare("DELETE FROM enrolment_codes WHERE subject = ?").run(subject);
    return { restore: () => this.#restore(subject, row) };
  }

  /** Unless a new one was made meanwhile. */
  #restore(subject: string, { hash, expires_at }: Row): void {
    this.#database
      .prepare("INSERT OR IGNORE INTO enrolment_codes (subject, hash, expires_at) VALUES (?, ?, ?)")
      .run(subject, hash, expires_at);
  }
}

export interface Taken {
  restore(): void;
}

function hashOf(subject: string, letters: string): Buffer {
  return createHash("sha256").update(`${subject}\n${letters}`).digest();
}
