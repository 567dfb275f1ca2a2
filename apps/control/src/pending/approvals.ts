import { randomBytes } from "node:crypto";
import type { Approval, CommandRequest } from "@wardmq/commands";
import type { Doing } from "../registry/registry.ts";
import type { SealedRows } from "./sealed-rows.ts";

/** Until when a second person can approve. */
const lifetimeMs = 24 * 60 * 60 * 1000;
/** Decided and expired ones are shown for this long. */
const shownMs = 30 * 24 * 60 * 60 * 1000;

/**
 * Commands that wait for a second person.
 *
 *     waiting --approve--> approved    waiting --refuse--> refused    waiting --24 h--> expired
 */
export class Approvals {
  readonly #rows: SealedRows<Approval>;

  constructor(rows: SealedRows<Approval>) {
    this.#rows = rows;
  }

  request({ command, arguments: wanted }: CommandRequest, { actor, at }: Doing): Approval {
    this.#rows.deleteExpired(at);
    const made: Approval = {
      id: randomBytes(8).toString("hex"),
      command,
      arguments: wanted,
      requestedBy: actor,
      requestedAt: at,
      expiresAt: at + lifetimeMs,
      state: "waiting",
    };
    this.#write(made);
    return made;
  }

  get(id: string, now: number): Approval | undefined {
    const found = this.#rows.get(id);
    return found && asOf(now, found.value);
  }

  /** All that are shown, the youngest first. */
  list(now: number): readonly Approval[] {
    return this.#rows
      .all()
      .map((approval) => asOf(now, approval))
      .sort((a, b) => b.requestedAt - a.requestedAt || (a.id < b.id ? -1 : 1));
  }

  /** Decides one that waits; of two at once one wins, and the other gets undefined. */
  decide(id: string, state: "approved" | "refused", { actor, at }: Doing): Approval | undefined {
    const approval = this.get(id, at);
    if (approval?.state !== "waiting") return undefined;
    const decided = { ...approval, state, decidedBy: actor, decidedAt: at };
    this.#write(decided);
    return decided;
  }

  #write(approval: Approval): void {
    this.#rows.put(approval.id, approval, shownUntil(approval));
  }
}

export function shownUntil({ expiresAt }: Approval): number {
  return expiresAt + shownMs;
}

function asOf(now: number, approval: Approval): Approval {
  const isOver = approval.state === "waiting" && approval.expiresAt <= now;
  return isOver ? { ...approval, state: "expired" } : approval;
}
