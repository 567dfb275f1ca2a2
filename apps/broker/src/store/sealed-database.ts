import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { type DataKey, KeyRing, SealError, type SealedPlace } from "@wardmq/sealing";
import type { StoreReport } from "./journal-store.ts";
import type { SqliteJournalOptions } from "./sqlite-journal-store.ts";

const schema = `
  PRAGMA page_size = 8192;
  PRAGMA auto_vacuum = INCREMENTAL;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA wal_autocheckpoint = 2000;
  PRAGMA journal_size_limit = 33554432;
  PRAGMA temp_store = MEMORY;
  CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS journal (number INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS quarantine (number INTEGER, sealed BLOB NOT NULL) STRICT;
`;

/** Pages that nothing is in, from which on some are given back to the file system, so many at once. */
const freePages = 2_048;
const freedAtOnce = 512;
/** How many numbers are tried one by one where the list of them cannot be read. */
const numbersTried = 1_000_000;

/** The latest segment there was, kept beside the database. */
interface Anchor {
  readonly incarnation: string;
  readonly number: number;
}

interface Row {
  readonly number: number;
  readonly sealed: Uint8Array;
}

/**
 * The database of the journal. A row opens in its place only: under its number, in this life of this database. Nothing
 * is in the clear but how many rows there are and how large. Runs in a worker: every call waits for the disk.
 */
export class SealedDatabase {
  readonly #path: string;
  readonly #anchorPath: string;
  readonly #options: SqliteJournalOptions;
  readonly #ring: KeyRing;
  readonly #places: Readonly<Record<"journal" | "meta" | "anchor", SealedPlace>>;
  #database: DatabaseSync | undefined;
  #lockDatabase: DatabaseSync | undefined;
  #insert!: StatementSync;
  #remove!: StatementSync;
  #countFree!: StatementSync;
  /** Random, and new whenever the database begins anew. */
  #incarnation = "";
  #latest = 0;
  #anchored = 0;
  /** The row that was refused: none behind it is kept before it. */
  #missing: number | undefined;
  /** An append has failed since the write-ahead log was last known to be on disk. */
  #isLogInDoubt = false;

  constructor(options: SqliteJournalOptions) {
    this.#options = options;
    this.#path = join(options.folder, "journal.db");
    this.#anchorPath = join(options.folder, "journal.anchor");
    this.#ring = new KeyRing(options.keys, options.currentKey);
    const at = (table: string) =>
      this.#ring.at({ purpose: "broker-state", store: options.store, table });
    this.#places = { journal: at("journal"), meta: at("meta"), anchor: at("anchor") };
  }

  /** Hands over every row by its number, without bytes where it does not open; what is damaged is put aside. */
  read(
    onRow: (number: number, bytes: Buffer | undefined, storedBytes: number) => void,
  ): StoreReport {
    this.#lock();
    const faults: string[] = [];
    const anchor = this.#readAnchor(faults);
    try {
      this.#readRows(anchor, onRow);
    } catch (error) {
      if (!isDamage(error)) throw error;
      faults.push(this.#salvage(anchor));
      this.#readRows(anchor, onRow);
    }
    if (anchor === undefined && this.#latest > 0) faults.push("journal.anchor is missing");
    if (anchor === undefined) this.#writeAnchor(); // at once: from here on it is missed
    const isOlder =
      anchor !== undefined &&
      (anchor.incarnation !== this.#incarnation || anchor.number > this.#latest);
    const incarnation = this.#incarnation;
    if (!isOlder) return { incarnation, faults };
    const rolledBack = { was: anchor.number, is: this.#latest };
    this.#latest = Math.max(this.#latest, anchor.number);
    return { incarnation, faults, rolledBack };
  }

  /** How many bytes all rows have, for the progress of reading. */
  get totalBytes(): number {
    const sum = "SELECT coalesce(sum(length(sealed)), 0) AS bytes FROM journal";
    const row = attempt(() => this.#open().prepare(sum).get());
    return (row as { bytes: number } | undefined)?.bytes ?? 0;
  }

  /** Keeps a row and gives up those before `keepFrom`, in one transaction; returns the bytes of the row. */
  append(number: number, bytes: Uint8Array, keepFrom: number): number {
    if (this.#missing !== undefined && number > this.#missing)
      throw new Error(`segment ${this.#missing} comes first`);
    this.#missing = number;
    const sealed = this.#places.journal.seal(this.#rowName(number), bytes);
    const database = this.#open();
    try {
      this.#settleLog(database);
      database.exec("BEGIN IMMEDIATE");
      this.#insert.run(number, sealed);
      this.#remove.run(keepFrom);
      database.exec("COMMIT");
    } catch (error) {
      this.#closeDatabase(); // what state it is in does not matter: the next one opens it anew
      this.#isLogInDoubt = true;
      throw this.#isReadOnly() ? new Error("the file system is read-only") : error;
    }
    this.#missing = undefined;
    this.#latest = number;
    return sealed.length;
  }

  /** SQLite calls that an I/O error, as it does a disk that is broken. */
  #isReadOnly(): boolean {
    try {
      closeSync(openSync(`${this.#anchorPath}.new`, "a", 0o600));
      return false;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "EROFS";
    }
  }

  /**
   * After an fsync that failed the kernel takes for written what it could not write, and the next fsync succeeds without
   * it: nothing is committed behind that before all of the log is in the database, by writes of their own.
   */
  #settleLog(database: DatabaseSync): void {
    if (!this.#isLogInDoubt) return;
    const { busy } = database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get() as { busy: number };
    if (busy !== 0) throw new Error("the write-ahead log is being read");
    this.#isLogInDoubt = false;
  }

  /**
   * What can be done while nobody waits: says outside what the latest row is, and gives pages back. Returns whether more of
   * them can be given back.
   */
  tidy(): boolean {
    if (this.#latest > this.#anchored) this.#writeAnchor();
    const database = this.#database;
    if (database === undefined) return false;
    const { freelist_count: free } = this.#countFree.get() as { freelist_count: number };
    if (free <= freePages) return false;
    database.exec(`PRAGMA incremental_vacuum(${freedAtOnce})`);
    return true;
  }

  /** Seals with this key from here on. */
  rotate(key: DataKey): void {
    this.#ring.rotate(key);
    this.#writeIncarnation();
    this.#writeAnchor();
  }

  /** A former key opens nothing any more; what was put aside under it is of no use. */
  forget(keyId: string): void {
    this.#open().exec("DELETE FROM quarantine");
    this.#ring.forget(keyId);
  }

  close(): void {
    attempt(() => this.#lockDatabase?.close());
    if (this.#latest > this.#anchored) attempt(() => this.#writeAnchor()); // the disk may refuse that too
    this.#closeDatabase();
  }

  /** Two processes would each write the next segment. The kernel lets go of the lock with the process. */
  #lock(): void {
    const path = join(this.#options.folder, ".lock");
    closeSync(openSync(path, "a", 0o600));
    const database = new DatabaseSync(path);
    try {
      database.exec("BEGIN EXCLUSIVE");
    } catch (error) {
      database.close();
      const { errcode } = error as { readonly errcode?: number };
      throw errcode === sqliteBusy ? new Error("another broker uses it") : error;
    }
    this.#lockDatabase = database;
  }

  #readRows(anchor: Anchor | undefined, onRow: Parameters<SealedDatabase["read"]>[0]): void {
    const database = this.#open();
    this.#incarnation ||= this.#readIncarnation() ?? anchor?.incarnation ?? "";
    if (this.#incarnation === "") {
      this.#incarnation = randomBytes(16).toString("hex");
      this.#writeIncarnation();
    }
    const rows = database
      .prepare("SELECT number, sealed FROM journal WHERE number > ? ORDER BY number")
      .iterate(this.#latest);
    const closed: number[] = [];
    for (const each of rows) {
      const { number, sealed } = each as unknown as Row;
      const bytes = this.#unseal("journal", this.#rowName(number), sealed);
      if (bytes === undefined) closed.push(number);
      onRow(number, bytes, sealed.length);
      this.#latest = number;
    }
    for (const number of closed) {
      database.prepare("INSERT INTO quarantine SELECT * FROM journal WHERE number = ?").run(number);
      database.prepare("DELETE FROM journal WHERE number = ?").run(number);
    }
  }

  /** Moves the database aside and takes over every row that can still be read. Returns what was done. */
  #salvage(anchor: Anchor | undefined): string {
    this.#closeDatabase();
    const aside = mkdtempSync(join(this.#options.folder, "damaged-"));
    for (const end of ["", "-wal", "-shm"]) {
      if (existsSync(this.#path + end))
        renameSync(this.#path + end, join(aside, `journal.db${end}`));
    }
    const into = this.#open();
    try {
      const from = new DatabaseSync(join(aside, "journal.db"));
      try {
        this.#takeOver(from, into, anchor?.number ?? 0);
      } finally {
        from.close();
      }
    } catch (error) {
      if (!isDamage(error)) throw error; // nothing of it can be read
    }
    return `journal.db was damaged: what could be read of it was taken over, the rest lies in ${basename(aside)}`;
  }

  #takeOver(from: DatabaseSync, into: DatabaseSync, latest: number): void {
    const meta = attempt(() => from.prepare("SELECT name, sealed FROM meta").all()) ?? [];
    for (const row of meta) {
      const { name, sealed } = row as { name: string; sealed: Uint8Array };
      into.prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)").run(name, sealed);
    }
    const one = from.prepare("SELECT number, sealed FROM journal WHERE number = ?");
    for (const number of numbersOf(from, latest)) {
      const row = attempt(() => one.get(number)) as Row | undefined;
      if (row !== undefined) this.#insert.run(row.number, row.sealed);
    }
  }

  #rowName(number: number): string {
    return `${this.#incarnation}/${number}`;
  }

  #unseal(
    table: "journal" | "meta" | "anchor",
    row: string,
    sealed: Uint8Array,
  ): Buffer | undefined {
    try {
      return this.#places[table].open(row, sealed);
    } catch (error) {
      if (error instanceof SealError) return undefined;
      throw error;
    }
  }

  #readIncarnation(): string | undefined {
    const row = this.#open().prepare("SELECT sealed FROM meta WHERE name = 'incarnation'").get();
    if (row === undefined) return undefined;
    const { sealed } = row as { sealed: Uint8Array };
    return this.#unseal("meta", "incarnation", sealed)?.toString("utf8");
  }

  #writeIncarnation(): void {
    const sealed = this.#places.meta.seal("incarnation", Buffer.from(this.#incarnation));
    this.#open().prepare("INSERT OR REPLACE INTO meta VALUES ('incarnation', ?)").run(sealed);
  }

  #readAnchor(faults: string[]): Anchor | undefined {
    if (!existsSync(this.#anchorPath)) return undefined;
    const text = this.#unseal("anchor", "anchor", readFileSync(this.#anchorPath))?.toString("utf8");
    if (text === undefined)
      faults.push("journal.anchor does not open: whether the store is older cannot be told");
    return text === undefined ? undefined : (JSON.parse(text) as Anchor);
  }

  #writeAnchor(): void {
    const anchor: Anchor = { incarnation: this.#incarnation, number: this.#latest };
    const sealed = this.#places.anchor.seal("anchor", Buffer.from(JSON.stringify(anchor)));
    const draft = `${this.#anchorPath}.new`;
    writeFileSync(draft, sealed, { mode: 0o600, flush: true });
    renameSync(draft, this.#anchorPath);
    this.#anchored = this.#latest;
  }

  #open(): DatabaseSync {
    if (this.#database !== undefined) return this.#database;
    closeSync(openSync(this.#path, "a", 0o600)); // SQLite gives its other files the same mode
    const database = new DatabaseSync(this.#path);
    try {
      database.exec(schema);
      const { maximumPages } = this.#options;
      if (maximumPages !== undefined) database.exec(`PRAGMA max_page_count = ${maximumPages}`);
      this.#insert = database.prepare(
        "INSERT OR REPLACE INTO journal (number, sealed) VALUES (?, ?)",
      );
      this.#remove = database.prepare("DELETE FROM journal WHERE number < ?");
      this.#countFree = database.prepare("PRAGMA freelist_count");
    } catch (error) {
      database.close();
      throw error;
    }
    this.#database = database;
    return database;
  }

  #closeDatabase(): void {
    attempt(() => this.#database?.close());
    this.#database = undefined;
  }
}

/** Every number there may be a row of: those that can be listed from either end, and all between. */
function numbersOf(database: DatabaseSync, latest: number): number[] {
  const listed = new Set<number>();
  for (const order of ["ASC", "DESC"]) {
    attempt(() => {
      const rows = database
        .prepare(`SELECT number FROM journal ORDER BY number ${order}`)
        .iterate();
      for (const row of rows) listed.add((row as { number: number }).number);
    });
  }
  const highest = Math.max(latest, ...listed);
  const lowest = Math.max(1, highest - numbersTried);
  for (let number = lowest; number <= highest; number += 1) listed.add(number);
  return [...listed].sort((one, other) => one - other);
}

/** SQLITE_BUSY: another process holds the lock. */
const sqliteBusy = 5;

/** What of a damaged database cannot be read is not there. */
function attempt<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** SQLite found the file damaged (SQLITE_CORRUPT), or not to be a database (SQLITE_NOTADB). */
function isDamage(error: unknown): boolean {
  const { errcode, message } = error as { errcode?: number; message?: string };
  if (errcode !== undefined) return [11, 26].includes(errcode & 0xff);
  return /malformed|not a database/.test(message ?? "");
}
