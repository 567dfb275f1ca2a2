import type { Decision } from "@wardmq/policy/compile";

/** Which rules have decided something since they were told last; each is told once a day. Bounded by the policy. */
export class RuleUse {
  readonly #told = new Set<string>();
  readonly #untold = new Set<string>();

  /** A decision was made, and not remembered from before. */
  look({ effect, ruleId, terms }: Decision): void {
    for (const one of terms) this.#add(one.ruleId);
    if (effect === "Deny" && ruleId !== undefined) this.#add(ruleId);
  }

  /** Ids mean other rules from here on, or another day has begun. */
  forget(): void {
    this.#told.clear();
    this.#untold.clear();
  }

  /** Hands over what was not told yet; `tell` says whether it was taken. */
  tell(tell: (rules: readonly string[]) => boolean): void {
    if (this.#untold.size === 0 || !tell([...this.#untold])) return;
    for (const id of this.#untold) this.#told.add(id);
    this.#untold.clear();
  }

  #add(id: string): void {
    if (!this.#told.has(id)) this.#untold.add(id);
  }
}
