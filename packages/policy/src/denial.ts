import { printable } from "@wardmq/events";
import type { CompiledRule, RuleSet, Values } from "./compiled-rule.ts";
import { anyLevel } from "./compiled-rule.ts";
import type { Decision, Subject } from "./decision.ts";
import { type Action, attributeNames } from "./policy.ts";

/** A Deny with what would change it. */
export function deny(because: "Deny" | "NotApplicable" | "Indeterminate", hint: string): Decision {
  return Object.freeze({ effect: "Deny", because, ruleId: undefined, hint });
}

/** The Deny of everything below `$` that a client would publish to. */
export const dollarDenied = deny(
  "Deny",
  "names that begin with $ are the broker's: no policy can allow publishing there",
);

/** The Deny of what is no Topic Name or Topic Filter; the codec has refused it before it comes here. */
export const malformedDenied = deny("Indeterminate", "this is no topic name or topic filter");

/** A Deny because no rule applies: says which rule came nearest, or that there is none. */
export function denyNotApplicable(
  { id }: Subject,
  action: Action,
  { roles }: RuleSet,
  nearest: CompiledRule | undefined,
  agreed: number,
  values: Values,
): Decision {
  if (nearest) {
    const where = `the nearest rule, ${nearest.id} (line ${nearest.line} of the policy),`;
    const hint = `${where} ${wanted(nearest, agreed, values)}: use that or add a rule`;
    return deny("NotApplicable", hint);
  }
  const hint =
    roles.length === 0
      ? `no role is bound to ${id}: add a binding to the policy`
      : `no ${action} rule is in the roles of ${id} (${roles.join(", ")}): add one to the policy`;
  return deny("NotApplicable", hint);
}

/** A Deny because a rule that agreed so far needs an attribute that the subject's record does not have. */
export function denyIndeterminate({ id }: Subject, rule: CompiledRule, agreed: number): Decision {
  const name = attributeNames[Number(rule.levels[agreed])];
  const what = `the rule ${rule.id} (line ${rule.line} of the policy) needs the attribute ${name}`;
  return deny("Indeterminate", `${what}, which ${id} does not have`);
}

function wanted({ levels }: CompiledRule, agreed: number, values: Values): string {
  const level = levels[agreed];
  if (level === undefined) return `ends after level ${levels.length}`;
  if (level === anyLevel) {
    return agreed === 0 ? "does not reach names beginning with $" : `wants a level ${agreed + 1}`;
  }
  const value = typeof level === "number" ? values[level] : level;
  const what = `wants "${printable(value ?? "", 64)}" at level ${agreed + 1}`;
  return typeof level === "number" ? `${what} (the subject's ${attributeNames[level]})` : what;
}
