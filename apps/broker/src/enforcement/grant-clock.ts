import type { CompiledPolicy } from "@wardmq/policy/compile";
import { Timed, type TimingWheel } from "../connection/timing-wheel.ts";

/** The clock is asked this often while a grant is to begin or to end: it may have been set meanwhile. */
const lookEveryMs = 500;

/** Wakes the broker up when a grant of the policy begins or ends. */
export class GrantClock extends Timed {
  readonly #wheel: TimingWheel;
  readonly #now: () => number;
  readonly #changed: (policy: CompiledPolicy) => void;
  #policy: CompiledPolicy | undefined;
  #nextChange = Number.POSITIVE_INFINITY;

  /** `now` is the time that grants begin and end by; `changed` is told of a policy whose answers have changed. */
  constructor(wheel: TimingWheel, now: () => number, changed: (policy: CompiledPolicy) => void) {
    super();
    this.#wheel = wheel;
    this.#now = now;
    this.#changed = changed;
  }

  use(policy: CompiledPolicy): void {
    this.#policy = policy;
    this.#nextChange = policy.nextChange(this.#now());
    this.#wheel.cancel(this);
    if (this.#nextChange !== Number.POSITIVE_INFINITY) this.#wheel.schedule(this, lookEveryMs);
  }

  override due(): void {
    const policy = this.#policy;
    if (policy === undefined) return;
    const isChanged = this.#now() >= this.#nextChange;
    this.use(policy);
    if (isChanged) this.#changed(policy);
  }
}
