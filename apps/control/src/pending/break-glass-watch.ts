import type { BreakGlassUse } from "@wardmq/commands";
import type { SecurityEvent } from "@wardmq/events";
import type { BreakGlassUses } from "./break-glass-uses.ts";

export interface BreakGlassWatchParts {
  readonly uses: BreakGlassUses;
  /** Milliseconds since 1970, never set back. */
  readonly now: () => number;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  /** Tells brokers what is taken now. */
  readonly publish: () => void;
}

/** The clock is looked at this often while something is taken: it may have been set forwards. */
const lookEveryMs = 500;

/** Says when what was taken for an emergency has come to its end. The end itself needs nobody: each call asks for it. */
export class BreakGlassWatch {
  readonly #parts: BreakGlassWatchParts;
  #active: readonly BreakGlassUse[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: BreakGlassWatchParts) {
    this.#parts = parts;
    this.#look();
  }

  /** Something was taken, or somebody ended it. */
  changed(): void {
    this.#look();
    this.#parts.publish();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #look(): void {
    const { uses, now } = this.#parts;
    clearTimeout(this.#timer);
    this.#active = uses.active(now());
    const next = Math.min(...this.#active.map(({ until }) => until)) - now();
    if (this.#active.length === 0) return;
    this.#timer = setTimeout(() => this.#due(), Math.min(lookEveryMs, Math.max(0, next))).unref();
  }

  #due(): void {
    const over = this.#active.filter(({ until }) => until <= this.#parts.now());
    this.#look();
    if (over.length === 0) return;
    for (const { id, name, person, apiRole, policyRole } of over) {
      const details = { actor: "control", id, name, role: apiRole ?? policyRole ?? "" };
      this.#parts.record({ type: "break-glass-ended", subject: person, details });
    }
    this.#parts.publish();
  }
}
