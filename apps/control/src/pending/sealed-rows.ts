import type { DatabaseSync } from "node:sqlite";
import { type KeyRing, keyIdOf, SealError, type SealedPlace } from "@wardmq/sealing";
import { paths } from "../deployment.ts";
import { Failure } from "../failure.ts";

/** What seals the rows: the keys of the deployment, and the id of their store. */
export interface PendingKeys {
  readonly ring: KeyRing;
  readonly store: string;
}

/** Each kind of row has a table of its name. */
const rowKinds = ["approvals", "enrolment_codes", "answers", "break_glass"] as const;
export type RowKind = (typeof rowKinds)[number];

/** Rows are found by the HMAC of their name: the file says how many there are, and until when they count. */
export const rowTables = rowKinds
  .map(
    (kind) =>
      `CREATE TABLE IF NOT EXISTS ${kind} (lookup BLOB PRIMARY KEY, expires_at INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;`,
  )
  .join("\n");

interface Row {
  readonly lookup: Uint8Array;
  readonly expires_at: number;
  readonly sealed: Uint8Array;
}

/** A row as it is sealed: all of it, its name as well. */
interface Content<Value> {
  readonly name: string;
  readonly value: Value;
}

export interface Found<Value> {
  readonly value: Value;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Rows of one kind, each with a name of its own and sealed whole. What was changed is on the disk when a method returns. */
export class SealedRows<Value> {
  readonly #database: DatabaseSync;
  readonly #kind: RowKind;
  readonly #ring: KeyRing;
  readonly #place: SealedPlace;

  constructor(database: DatabaseSync, kind: RowKind, { ring, store }: PendingKeys) {
    this.#database = database;
    this.#kind = kind;
    this.#ring = ring;
    this.#place = ring.at({ purpose: "control", store, table: kind });
  }

  get(name: string): Found<Value> | undefined {
    const select = this.#database.prepare(`SELECT * FROM ${this.#kind} WHERE lookup = ?`);
    for (const lookup of this.#lookupsOf(name)) {
      const row = select.get(lookup) as Row | undefined;
      if (row !== undefined)
        return { value: this.#open(row).value, expiresAt: Number(row.expires_at) };
    }
    return undefined;
  }

  all(): readonly Value[] {
    const rows = this.#database.prepare(`SELECT * FROM ${this.#kind}`).all();
    return (rows as unknown as Row[]).map((row) => this.#open(row).value);
  }

  /** Takes the place of a row of this name. */
  put(name: string, value: Value, expiresAt: number): void {
    transaction(this.#database, () => this.#replace({ name, value }, expiresAt));
  }

  /** Whether there was one. */
  delete(name: string): boolean {
    const remove = this.#database.prepare(`DELETE FROM ${this.#kind} WHERE lookup = ?`);
    return (
      this.#lookupsOf(name).reduce((sum, lookup) => sum + Number(remove.run(lookup).changes), 0) > 0
    );
  }

  deleteExpired(now: number): void {
    this.#database.prepare(`DELETE FROM ${this.#kind} WHERE expires_at <= ?`).run(now);
  }

  /** Seals again under the current key what a former one sealed, `most` rows at a time. */
  *resealing(most: number): Generator<void> {
    const read = this.#database.prepare(
      `SELECT * FROM ${this.#kind} WHERE lookup > ? ORDER BY lookup LIMIT ?`,
    );
    for (let after: Uint8Array = new Uint8Array(); ; ) {
      const rows = read.all(after, most) as unknown as Row[];
      const last = rows.at(-1);
      if (last === undefined) return;
      const former = rows.filter(({ sealed }) => keyIdOf(sealed) !== this.#ring.currentId);
      transaction(this.#database, () => {
        for (const row of former) this.#replace(this.#open(row), Number(row.expires_at));
      });
      after = last.lookup;
      yield;
    }
  }

  #replace(content: Content<Value>, expiresAt: number): void {
    this.delete(content.name);
    const lookup = this.#place.lookup(content.name);
    const bytes = Buffer.from(JSON.stringify(content));
    const sealed = this.#place.seal(placeOf(lookup, expiresAt), bytes);
    this.#database
      .prepare(`INSERT INTO ${this.#kind} VALUES (?, ?, ?)`)
      .run(lookup, expiresAt, sealed);
  }

  /** Under every key that a row may have been sealed with: while the keys change there are two. */
  #lookupsOf(name: string): readonly Uint8Array[] {
    return this.#ring.ids.map((id) => this.#place.lookup(name, id));
  }

  #open({ lookup, expires_at, sealed }: Row): Content<Value> {
    try {
      const bytes = this.#place.open(placeOf(lookup, Number(expires_at)), sealed);
      return JSON.parse(bytes.toString()) as Content<Value>;
    } catch (cause) {
      if (!(cause instanceof SealError)) throw cause;
      throw damagedPending(paths.pending, cause);
    }
  }
}

export function damagedPending(path: string, cause: unknown): Failure {
  return new Failure("ERR_PENDING", `${path} is damaged`, {
    hint: "move it away: approvals and one-time codes that wait are lost, nothing else",
    cause,
  });
}

/** Binds a row to its name and its end: nobody makes a code count for longer. */
function placeOf(lookup: Uint8Array, expiresAt: number): string {
  return `${Buffer.from(lookup).toString("hex")}/${expiresAt}`;
}

function transaction(database: DatabaseSync, work: () => void): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    work();
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}
