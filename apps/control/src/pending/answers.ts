import type { DatabaseSync } from "node:sqlite";

const keptMs = 24 * 60 * 60 * 1000;

export interface Answer {
  readonly status: number;
  /** JSON; absent for a result that is shown once. */
  readonly body?: string;
  /** Of a refusal. */
  readonly code?: string;
}

interface Row {
  request: string;
  status: number | null;
  body: string | null;
  code: string | null;
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
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Claims a key of a caller for a request, told by its hash. */
  claim(caller: string, key: string, request: string, now: number): Known {
    this.#database.prepare("DELETE FROM answers WHERE expires_at <= ?").run(now);
    const { changes } = this.#database
      .prepare(
        "INSERT OR IGNORE INTO answers (caller, key, request, expires_at) VALUES (?, ?, ?, ?)",
      )
      .run(caller, key, request, now + keptMs);
    if (Number(changes) === 1) return { is: "new" };
    const row = this.#database
      .prepare("SELECT request, status, body, code FROM answers WHERE caller = ? AND key = ?")
      .get(caller, key) as unknown as Row;
    if (row.request !== request) return { is: "other" };
    if (row.status === null) return { is: "unfinished" };
    const body = row.body === null ? {} : { body: row.body };
    const code = row.code === null ? {} : { code: row.code };
    return { is: "answered", answer: { status: row.status, ...body, ...code } };
  }

  answered(caller: string, key: string, { status, body, code }: Answer): void {
    this.#database
      .prepare("UPDATE answers SET status = ?, body = ?, code = ? WHERE caller = ? AND key = ?")
      .run(status, body ?? null, code ?? null, caller, key);
  }
}
