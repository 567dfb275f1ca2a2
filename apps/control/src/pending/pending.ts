import { DatabaseSync } from "node:sqlite";
import { Failure } from "../failure.ts";
import { IdempotentAnswers } from "./answers.ts";
import { Approvals } from "./approvals.ts";
import { EnrolmentCodes } from "./enrolment-codes.ts";

/** What waits to be taken up again: commands for a second person, codes for devices, answers for those who ask twice. */
export interface Pending {
  readonly approvals: Approvals;
  readonly codes: EnrolmentCodes;
  readonly answers: IdempotentAnswers;
  close(): void;
}

const schema = `
CREATE TABLE IF NOT EXISTS approvals (
  id TEXT PRIMARY KEY,
  command TEXT NOT NULL,
  arguments TEXT NOT NULL,
  requested_by TEXT NOT NULL,
  requested_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'approved', 'refused')),
  decided_by TEXT,
  decided_at INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS enrolment_codes (
  subject TEXT PRIMARY KEY,
  hash BLOB NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS answers (
  caller TEXT NOT NULL,
  key TEXT NOT NULL,
  request TEXT NOT NULL,
  status INTEGER,
  body TEXT,
  code TEXT,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (caller, key)
) STRICT;
`;

/** Opens the file, made where it is missing: nothing in it outlives a few days. */
export function openPending(path: string): Pending {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; ${schema}`);
    const opened = database;
    return {
      approvals: new Approvals(opened),
      codes: new EnrolmentCodes(opened),
      answers: new IdempotentAnswers(opened),
      close: () => opened.close(),
    };
  } catch (cause) {
    database?.close();
    throw new Failure("ERR_PENDING", `${path} is damaged`, {
      hint: "move it away: approvals and one-time codes that wait are lost, nothing else",
      cause,
    });
  }
}
