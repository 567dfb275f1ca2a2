import type { BrokerMessage } from "@wardmq/feed";
import type { Decision, SubjectRights } from "@wardmq/policy/compile";
import { RuleUse } from "./rule-use.ts";
import type { Asked, ShadowTrial } from "./shadow-trial.ts";
import type { SubjectState } from "./subjects.ts";

/** Looks on while decisions are made that nobody remembers from before. Whatever happens here, they stay what they are. */
export class PolicyWatch {
  readonly rules = new RuleUse();
  readonly #failed: (error: unknown) => void;
  #trial: ShadowTrial | undefined;

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  /** Puts a policy on trial in place of the one before, or none. */
  use(trial: ShadowTrial | undefined): void {
    this.#trial = trial;
  }

  look(
    subject: SubjectState,
    rights: SubjectRights,
    asked: Asked,
    topic: string,
    decision: Decision,
    now: number,
  ): void {
    this.rules.look(decision);
    const trial = this.#trial;
    if (trial === undefined || subject.isQuarantined) return; // no policy decides over quarantine
    try {
      if (!trial.hasEnded(now)) trial.look(subject, rights, asked, topic, decision, now);
    } catch (error) {
      this.#trial = undefined;
      this.#failed(error);
    }
  }

  /** Tells control what was seen; what it does not take is told again. */
  tell(tell: (message: BrokerMessage) => boolean): void {
    this.rules.tell((rules) => tell({ type: "rules-used", rules }));
    this.#trial?.tell((counts) => tell({ type: "shadow-counts", ...counts }));
  }
}
