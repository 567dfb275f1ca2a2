import { createHash } from "node:crypto";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { type KeyRing, keyIdOf, type SealedPlace } from "@wardmq/sealing";
import { historyKeeps, type TableName, tableNames, tables } from "./schema.ts";

/** What seals the rows: the keys of the deployment, and the id of their store. */
export interface RegistryKeys {
  readonly ring: KeyRing;
  readonly store: string;
}

interface Row {
  readonly number: number;
  readonly sealed: Uint8Array;
}

/** One change as it is written: a row, and perhaps the line of history that tells of it. */
export interface HistoryLine {
  readonly at: number;
  readonly actor: string;
  readonly action: string;
  readonly subject?: string;
  readonly reason?: string;
  readonly details: Readonly<Record<string, unknown>>;
}

const outer = ["BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"] as const;
const inner = ["SAVEPOINT part", "RELEASE part", "ROLLBACK TO part; RELEASE part"] as const;

/** The file of the registry: JSON and bytes in sealed rows. Everything here happens in the caller's transaction. */
export class SealedDatabase {
  readonly database: DatabaseSync;
  readonly #places: Readonly<Record<TableName, SealedPlace>>;
  readonly #ring: KeyRing;
  readonly #writes = new Map<TableName, StatementSync>();
  #lastHistory = 0;
  #isWithin = false;
  /** Of the last line that was asked for. */
  #lastPosition = "";

  constructor(database: DatabaseSync, { ring, store }: RegistryKeys) {
    const at = (table: TableName) => ring.at({ purpose: "registry", store, table });
    this.database = database;
    this.#ring = ring;
    this.#places = {
      deployment: at("deployment"),
      subjects: at("subjects"),
      certificates: at("certificates"),
      history: at("history"),
    };
  }

  makeTables(): void {
    this.database.exec(tables);
  }

  /** Reads where the history ends; throws when a line of it is missing. */
  checkHistory(): void {
    const [{ lines = 0, last = 0 } = {}] = this.database
      .prepare("SELECT count(*) AS lines, coalesce(max(number), 0) AS last FROM history")
      .all() as { lines: number; last: number }[];
    if (lines !== last) throw new Error("lines of the history are missing");
    this.#lastHistory = last;
  }

  write(table: Exclude<TableName, "history">, number: number, value: object | Uint8Array): void {
    const sealed = this.#places[table].seal(`${number}`, bytesOf(value));
    this.#statement(table, `INSERT OR REPLACE INTO ${table} VALUES (?, ?)`).run(number, sealed);
  }

  /** `subject` is the number of the row that the line is about. */
  addHistory(line: HistoryLine, subject: number | null): void {
    const number = this.#lastHistory + 1;
    const sealed = this.#places.history.seal(`${number}`, bytesOf(line));
    this.#statement("history", "INSERT INTO history VALUES (?, ?, ?)").run(number, subject, sealed);
    this.#lastHistory = number;
  }

  *rows(table: Exclude<TableName, "history">): Generator<{ number: number; value: unknown }> {
    const place = this.#places[table];
    for (const row of this.database.prepare(`SELECT number, sealed FROM ${table}`).iterate()) {
      const { number, sealed } = row as unknown as Row;
      yield { number, value: JSON.parse(place.open(`${number}`, sealed).toString()) };
    }
  }

  /** The last lines about a subject, or about everything, oldest first. */
  history(subject: number | undefined, last: number): readonly HistoryLine[] {
    const where = subject === undefined ? "" : "WHERE subject = ?";
    const rows = this.database
      .prepare(`SELECT number, sealed FROM history ${where} ORDER BY number DESC LIMIT ?`)
      .all(...(subject === undefined ? [last] : [subject, last]));
    return (rows as unknown as Row[])
      .reverse()
      .map(({ number, sealed }) =>
        JSON.parse(this.#places.history.open(`${number}`, sealed).toString()),
      );
  }

  /** The last line of the history: its number, and a hash of what it says. */
  get position(): string {
    return this.#positionAt(this.#lastHistory) ?? "";
  }

  /** Whether the history has, or goes on from, what was `position` once. */
  hasBeenAt(position: string): boolean {
    return this.#positionAt(Number.parseInt(position, 10)) === position;
  }

  #positionAt(number: number): string | undefined {
    if (this.#lastPosition.startsWith(`${number} `)) return this.#lastPosition;
    const row = this.database.prepare("SELECT sealed FROM history WHERE number = ?").get(number);
    if (row === undefined) return undefined;
    const line = this.#places.history.open(`${number}`, (row as unknown as Row).sealed);
    const position = `${number} ${createHash("sha256").update(line).digest("hex")}`;
    if (number === this.#lastHistory) this.#lastPosition = position;
    return position;
  }

  /** Seals again under the current key what a former one sealed, `most` rows at a time. */
  *resealing(most: number): Generator<void> {
    for (const table of tableNames) {
      const read = this.database.prepare(
        `SELECT number, sealed FROM ${table} WHERE number > ? ORDER BY number LIMIT ?`,
      );
      for (let after = 0; ; ) {
        const rows = read.all(after, most) as unknown as Row[];
        const last = rows.at(-1);
        if (last === undefined) break;
        this.#reseal(table, rows);
        after = last.number;
        yield;
      }
    }
  }

  #reseal(table: TableName, rows: readonly Row[]): void {
    const former = rows.filter(({ sealed }) => keyIdOf(sealed) !== this.#ring.currentId);
    if (former.length === 0) return;
    const place = this.#places[table];
    this.transaction(() => {
      this.database.exec("DROP TRIGGER history_keeps");
      const update = this.database.prepare(`UPDATE ${table} SET sealed = ? WHERE number = ?`);
      for (const { number, sealed } of former) {
        update.run(place.seal(`${number}`, place.open(`${number}`, sealed)), number);
      }
      this.database.exec(historyKeeps);
    });
  }

  /** All of it is on the disk, or none. One within another is on the disk with the outer one. */
  transaction<Result>(work: () => Result): Result {
    const lastHistory = this.#lastHistory;
    const [begin, commit, rollback] = this.#isWithin ? inner : outer;
    const wasWithin = this.#isWithin;
    this.database.exec(begin);
    this.#isWithin = true;
    try {
      const result = work();
      this.database.exec(commit);
      return result;
    } catch (error) {
      this.database.exec(rollback);
      this.#lastHistory = lastHistory;
      this.#lastPosition = "";
      throw error;
    } finally {
      this.#isWithin = wasWithin;
    }
  }

  #statement(table: TableName, sql: string): StatementSync {
    const statement = this.#writes.get(table) ?? this.database.prepare(sql);
    this.#writes.set(table, statement);
    return statement;
  }
}

function bytesOf(value: object | Uint8Array): Uint8Array {
  return value instanceof Uint8Array ? value : Buffer.from(JSON.stringify(value));
}
