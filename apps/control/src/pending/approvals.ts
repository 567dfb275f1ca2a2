import { randomBytes } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import type { Approval, CommandRequest } from "@wardmq/commands";
import type { Doing } from "../registry/registry.ts";

/** Until when a second person can approve. */
const lifetimeMs = 24 * 60 * 60 * 1000;
/** Decided and expired ones are shown for this long. */
const shownMs = 30 * 24 * 60 * 60 * 1000;

interface Row {
  id: string;
  command: string;
  arguments: string;
  requested_by: string;
  requested_at: number;
  expires_at: number;
  state: "waiting" | "approved" | "refused";
  decided_by: string | null;
  decided_at: number | null;
}

/**
 * Commands that wait for a second person.
 *
 *     waiting --approve--> approved    waiting --refuse--> refused    waiting --24 h--> expired
 */
export class Approvals {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  request({ command, arguments: wanted }: CommandRequest, { actor, at }: Doing): Approval {
    const id = randomBytes(8).toString("hex");
    this.#database.prepare("DELETE FROM approvals WHERE expires_at < ?").run(at - shownMs);
    this.#database
      .prepare(
        `INSERT INTO approvals (id, command, arguments, requested_by, requested_at, expires_at, state)
         VALUES (?, ?, ?, ?, ?, ?, 'waiting')`,
      )
      .run(id, command, JSON.stringify(wanted), actor, at, at + lifetimeMs);
    const made = this.get(id, at);
    if (made === undefined) throw new Error("an approval was not written");
    return made;
  }

  get(id: string, now: number): Approval | undefined {
    const row = this.#database.prepare("SELECT * FROM approvals WHERE id = ?").get(id);
    return row === undefined ? undefined : approvalOf(row as unknown as Row, now);
  }

  /** All that are shown, the youngest first. */
  list(now: number): readonly Approval[] {
    const rows = this.#database
      .prepare("SELECT * FROM approvals ORDER BY requested_at DESC, id")
      .all() as unknown as Row[];
    return rows.map((row) => approvalOf(row, now));
  }

  /** Decides one that waits; of two at once one wins, and the other gets undefined. */
  decide(id: string, state: "approved" | "refused", { actor, at }: Doing): Approval | undefined {
    const { changes } = this.#database
      .prepare(
        `UPDATE approvals SET state = ?, decided_by = ?, decided_at = ?
         WHERE id = ? AND state = 'waiting' AND expires_at > ?`,
      )
      .run(state, actor, at, id, at);
    return Number(changes) === 1 ? this.get(id, at) : undefined;
  }
}

function approvalOf(row: Row, now: number): Approval {
  return {
    id: row.id,
    command: row.command,
    arguments: JSON.parse(row.arguments) as Record<string, unknown>,
    requestedBy: row.requested_by,
    requestedAt: row.requested_at,
    expiresAt: row.expires_at,
    state: row.state === "waiting" && row.expires_at <= now ? "expired" : row.state,
    ...(row.decided_by === null ? {} : { decidedBy: row.decided_by }),
    ...(row.decided_at === null ? {} : { decidedAt: row.decided_at }),
  };
}
