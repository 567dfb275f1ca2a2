import { printable } from "@wardmq/events";
import { type Action, attributeNames } from "../language/policy.ts";
import type { Decision, Subject } from "./decision.ts";
import type { CompiledRule, Nearest, Values } from "./rule-tree.ts";
import type { Terms } from "./terms.ts";
import type { SchemaTemplate, TopicSchema } from "./topic-schema.ts";

/** A Permit by one rule, or by rules that only together allow what was asked. */
export function permit(ruleId: string, terms: readonly Terms[]): Decision {
  const qos = terms[0]?.qos ?? 2;
  return Object.freeze({
    effect: "Permit",
    because: "Permit",
    ruleId,
    hint: undefined,
    qos,
    terms,
  });
}

/** A Deny with what would change it. */
export function deny(
  because: "Deny" | "NotApplicable" | "Indeterminate",
  hint: string,
  ruleId?: string,
): Decision {
  return Object.freeze({ effect: "Deny", because, ruleId, hint, qos: 0, terms: [] });
}

/** The Deny of everything below `$` that a client would publish to. */
export const dollarDenied = deny(
  "Deny",
  "names that begin with $ are the broker's: no policy can allow publishing there",
);

/** The Deny of what is no Topic Name or Topic Filter; the codec has refused it before it comes here. */
export const malformedDenied = deny("Indeterminate", "this is no topic name or topic filter");

/** The Deny of a topic that no template of the schema has. */
export function offSchemaDenied({ templates }: TopicSchema): Decision {
  const forms = templates.slice(0, 3).map(textOf).join(", ");
  const more = templates.length > 3 ? ", ..." : "";
  const hint = `the topic schema has no such topic: its forms are ${forms}${more}`;
  return deny("Deny", hint, "topics");
}

/** A template as it is written, with its values. */
export function textOf({ levels, rest }: SchemaTemplate): string {
  const texts = levels.map((level) => {
    if (level.is === "text") return level.text;
    if (level.is === "org" || level.is === "uuid") return `{${level.is}}`;
    return level.is === "name" ? `{${level.name}}` : `(${[...level.values].join("|")})`;
  });
  return [...texts, ...(rest ? ["#"] : [])].join("/");
}

/** A Deny because no rule applies: says which rule came nearest, or that there is none. */
export function denyNotApplicable(
  { id }: Subject,
  action: Action,
  roles: readonly string[],
  { rule, depth }: Nearest,
  values: Values,
): Decision {
  if (rule) {
    const where = `the nearest rule, ${rule.id} (${rule.where}),`;
    const hint = `${where} ${wanted(rule, depth, values)}: use that or add a rule`;
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
  const level = rule.pattern.levels[agreed];
  const name = level?.is === "attribute" ? level.name : "";
  const what = `the rule ${rule.id} (${rule.where}) needs the attribute ${name}`;
  return deny("Indeterminate", `${what}, which ${id} does not have`);
}

function wanted({ pattern: { levels } }: CompiledRule, agreed: number, values: Values): string {
  const level = levels[agreed];
  if (level === undefined) return `ends after level ${levels.length}`;
  if (level.is === "any") {
    return agreed === 0 ? "does not reach names beginning with $" : `wants a level ${agreed + 1}`;
  }
  const isAttribute = level.is === "attribute";
  const value = isAttribute ? values[attributeNames.indexOf(level.name)] : level.text;
  const what = `wants "${printable(value ?? "", 64)}" at level ${agreed + 1}`;
  return isAttribute ? `${what} (the subject's ${level.name})` : what;
}
