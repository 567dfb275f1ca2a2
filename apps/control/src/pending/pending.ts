import { DatabaseSync } from "node:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Approval } from "@wardmq/commands";
import type { Resealable } from "../rekey.ts";
import { type AnsweredRequest, IdempotentAnswers } from "./answers.ts";
import { Approvals } from "./approvals.ts";
import { BreakGlassUses, type StoredUse } from "./break-glass-uses.ts";
import { type CodeHash, EnrolmentCodes } from "./enrolment-codes.ts";
import { damagedPending, type PendingKeys, rowTables, SealedRows } from "./sealed-rows.ts";

/** What waits to be taken up again: commands for a second person, codes for devices, answers for those who ask twice, roles taken in emergencies. */
export interface Pending extends Resealable {
  readonly approvals: Approvals;
  readonly codes: EnrolmentCodes;
  readonly answers: IdempotentAnswers;
  readonly breakGlass: BreakGlassUses;
  close(): void;
}

/** How many rows are sealed again in one turn. */
const resealedAtOnce = 200;

/** Opens the file, made where it is missing: what has been dealt with goes in time. */
export function openPending(path: string, keys: PendingKeys): Pending {
  const { database, rows } = openRows(path, keys);
  return {
    approvals: new Approvals(rows.approvals),
    codes: new EnrolmentCodes(rows.codes),
    answers: new IdempotentAnswers(rows.answers),
    breakGlass: new BreakGlassUses(rows.breakGlass),
    reseal: async () => {
      for (const one of Object.values(rows))
        for (const _ of one.resealing(resealedAtOnce)) await nextTurn();
    },
    close: () => database.close(),
  };
}

/** The rows of the file by what they are. */
export function openRows(path: string, keys: PendingKeys) {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; ${rowTables}`);
    const rows = {
      approvals: new SealedRows<Approval>(database, "approvals", keys),
      codes: new SealedRows<CodeHash>(database, "enrolment_codes", keys),
      answers: new SealedRows<AnsweredRequest>(database, "answers", keys),
      breakGlass: new SealedRows<StoredUse>(database, "break_glass", keys),
    };
    return { database, rows };
  } catch (cause) {
    database?.close();
    throw damagedPending(path, cause);
  }
}
