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

/**
 * Says when what was taken for an emergency has come to its end, also while no control ran. The end itself needs nobody:
 * each call asks for it.
 */
export class BreakGlassWatch {
  readonly #parts: BreakGlassWatchParts;
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
    const ends = uses.unended(now()).map(({ until }) => until);
    if (ends.length === 0) return;
    const next = Math.max(0, Math.min(...ends) - now());
    this.#timer = setTimeout(() => this.#due(), Math.min(lookEveryMs, next)).unref();
  }

  #due(): void {
    const { uses, now, record, publish } = this.#parts;
    const over = uses.unended(now()).filter(({ until }) => until <= now());
    for (const use of over) {
      const { id, name, person, apiRole, policyRole } = use;
      const details = { actor: "control", id, name, role: apiRole ?? policyRole ?? "" };
      record({ type: "break-glass-ended", subject: person, details });
      uses.end(use, "control", use.until); // last: whatever happens, the event is there
    }
    this.#look();
    if (over.length > 0) publish();
  }
}
