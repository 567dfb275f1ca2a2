import { randomBytes } from "node:crypto";
import type { BreakGlassUse } from "@wardmq/commands";
import type { SealedRows } from "./sealed-rows.ts";

export type StoredUse = Omit<BreakGlassUse, "state">;
export type NewUse = Omit<StoredUse, "id">;

/** Long enough for whoever looks into it; what was never reviewed goes too, ten times later. */
const keptMs = 365 * 24 * 60 * 60 * 1000;

/**
 * Roles that were taken in emergencies.
 *
 *     active --its time, or end--> ended --review--> reviewed
 */
export class BreakGlassUses {
  readonly #rows: SealedRows<StoredUse>;

  constructor(rows: SealedRows<StoredUse>) {
    this.#rows = rows;
  }

  take(use: NewUse): BreakGlassUse {
    this.#rows.deleteExpired(use.takenAt);
    return this.#write({ id: randomBytes(8).toString("hex"), ...use }, use.takenAt);
  }

  get(id: string, now: number): BreakGlassUse | undefined {
    const found = this.#rows.get(id);
    return found && asOf(now, found.value);
  }

  /** What waits for a review comes first, and of each the youngest. */
  list(now: number): readonly BreakGlassUse[] {
    const rank = ({ state }: BreakGlassUse) => (state === "reviewed" ? 1 : 0);
    return this.#rows
      .all()
      .map((use) => asOf(now, use))
      .sort((a, b) => rank(a) - rank(b) || b.takenAt - a.takenAt);
  }

  active(now: number): readonly BreakGlassUse[] {
    return this.list(now).filter(({ state }) => state === "active");
  }

  /** Those whose end nobody has written down, whether it has come or not. */
  unended(now: number): readonly BreakGlassUse[] {
    return this.list(now).filter(({ endedAt }) => endedAt === undefined);
  }

  end({ state: _, ...use }: BreakGlassUse, by: string, now: number): BreakGlassUse {
    return this.#write({ ...use, endedAt: now, endedBy: by }, now);
  }

  review(
    { state: _, ...use }: BreakGlassUse,
    by: string,
    finding: string,
    now: number,
  ): BreakGlassUse {
    return this.#write({ ...use, reviewedAt: now, reviewedBy: by, finding }, now);
  }

  #write(use: StoredUse, now: number): BreakGlassUse {
    const until = use.until + (use.reviewedAt === undefined ? 10 * keptMs : keptMs);
    this.#rows.put(use.id, use, until);
    return asOf(now, use);
  }
}

function asOf(now: number, use: StoredUse): BreakGlassUse {
  if (use.reviewedAt !== undefined) return { ...use, state: "reviewed" };
  const isOver = use.endedAt !== undefined || use.until <= now;
  return { ...use, state: isOver ? "ended" : "active" };
}
