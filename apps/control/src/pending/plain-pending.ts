import { existsSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Approval } from "@wardmq/commands";
import { destroyFile, syncFolder } from "@wardmq/keys";
import { type AnsweredRequest, nameOf } from "./answers.ts";
import { shownUntil } from "./approvals.ts";
import { openRows } from "./pending.ts";
import { damagedPending, type PendingKeys } from "./sealed-rows.ts";

interface ApprovalRow {
  readonly id: string;
  readonly command: string;
  readonly arguments: string;
  readonly requested_by: string;
  readonly requested_at: number;
  readonly expires_at: number;
  readonly state: "waiting" | "approved" | "refused";
  readonly decided_by: string | null;
  readonly decided_at: number | null;
}

interface CodeRow {
  readonly subject: string;
  readonly hash: Uint8Array;
  readonly expires_at: number;
}

interface AnswerRow {
  readonly caller: string;
  readonly key: string;
  readonly request: string;
  readonly status: number | null;
  readonly body: string | null;
  readonly code: string | null;
  readonly expires_at: number;
}

/**
 * Seals what a file of the time holds when it lay in the clear, and destroys that file; tells whether there was one.
 *
 *     plain --sealed rows are on the disk--> `.former` --overwritten--> gone
 */
export function sealPlainPending(plainPath: string, path: string, keys: PendingKeys): boolean {
  const former = `${plainPath}.former`;
  const isThere = existsSync(plainPath);
  if (isThere) {
    takeOver(plainPath, path, keys);
    renameSync(plainPath, former); // from here on it is not read again
    syncFolder(dirname(plainPath));
  }
  for (const file of [former, `${plainPath}-wal`, `${plainPath}-shm`]) destroyFile(file);
  return isThere;
}

function takeOver(plainPath: string, path: string, keys: PendingKeys): void {
  const plain = readPlain(plainPath);
  const { database, rows } = openRows(path, keys);
  try {
    for (const row of plain.approvals) {
      const approval = approvalOf(row);
      rows.approvals.put(approval.id, approval, shownUntil(approval));
    }
    for (const { subject, hash, expires_at } of plain.codes)
      rows.codes.put(subject, { hash: Buffer.from(hash).toString("base64") }, expires_at);
    for (const row of plain.answers)
      rows.answers.put(nameOf(row.caller, row.key), answerOf(row), row.expires_at);
  } finally {
    database.close();
  }
}

function readPlain(path: string) {
  let database: DatabaseSync | undefined;
  try {
    // A connection that only reads leaves the write-ahead log where it is, to be overwritten.
    database = new DatabaseSync(path, { readOnly: true });
    const opened = database;
    const all = <Row>(table: string) =>
      opened.prepare(`SELECT * FROM ${table}`).all() as unknown as Row[];
    return {
      approvals: all<ApprovalRow>("approvals"),
      codes: all<CodeRow>("enrolment_codes"),
      answers: all<AnswerRow>("answers"),
    };
  } catch (cause) {
    throw damagedPending(path, cause);
  } finally {
    database?.close();
  }
}

function answerOf({ request, status, body, code }: AnswerRow): AnsweredRequest {
  if (status === null) return { request };
  const parts = { ...(body === null ? {} : { body }), ...(code === null ? {} : { code }) };
  return { request, answer: { status, ...parts } };
}

function approvalOf(row: ApprovalRow): Approval {
  return {
    id: row.id,
    command: row.command,
    arguments: JSON.parse(row.arguments) as Record<string, unknown>,
    requestedBy: row.requested_by,
    requestedAt: row.requested_at,
    expiresAt: row.expires_at,
    state: row.state,
    ...(row.decided_by === null ? {} : { decidedBy: row.decided_by }),
    ...(row.decided_at === null ? {} : { decidedAt: row.decided_at }),
  };
}
