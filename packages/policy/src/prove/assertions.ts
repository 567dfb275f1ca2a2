import { placeOf } from "../decide/compile-policy.ts";
import type { Subject } from "../decide/decision.ts";
import { type Action, type Assertion, type Policy, placeAttributes } from "../language/policy.ts";
import type { Problem } from "../language/policy-error.ts";
import { patternOf, type RulePattern } from "../language/rule-pattern.ts";
import {
  type EffectiveDeny,
  type EffectiveRule,
  effectiveDenials,
  effectiveRules,
} from "./effective-rules.ts";
import {
  ask,
  type Question,
  type Universe,
  type Unknown,
  universesOf,
  type Witness,
} from "./question.ts";
import { standardAssertions } from "./standard-assertions.ts";

/** An assertion that does not hold, with a topic and subjects that show it. */
export interface Violation extends Problem {
  readonly assertion: string;
  readonly ruleId: string;
  /** None where the filter itself is wrong. */
  readonly witness: Witness | undefined;
}

/**
 * Whether all assertions hold, the standard ones and those of the policy, for every subject that may ever be registered,
 * at any time. Decided exactly; for each that does not hold, one violation for each rule that breaks it.
 */
export function provePolicy(policy: Policy): readonly Violation[] {
  const assertions = assertionsOf(policy);
  const denials = effectiveDenials(policy);
  const found = universesOf(policy).flatMap((universe) => {
    const rules = effectiveRules(policy, universe.org);
    const isStrict = universe.forms.some(({ first }) => first === "org");
    // Without a schema there are no levels that the standard assertions could speak of.
    const asserted = assertions.filter(({ isStandard }) => isStrict || !isStandard);
    return [
      ...(isStrict ? outsideTenant(rules, universe) : []),
      ...asserted.flatMap((one) => violationsOf(one, rules, denials, universe)),
    ];
  });
  const unique = new Map(
    found.map((one) => [`${one.assertion} ${one.ruleId} ${one.message}`, one]),
  );
  return [...unique.values()].sort((a, b) => a.line - b.line || a.column - b.column);
}

/** Filters that begin with something else than the tenant. The schema keeps them from working; nobody meant them. */
function outsideTenant(rules: readonly EffectiveRule[], { org, policy }: Universe): Violation[] {
  return rules.flatMap((rule) => {
    const [first] = rule.pattern.levels;
    if (first?.is === "attribute" && first.name === "org") return [];
    if (first?.is === "text") {
      const isTenant = policy.tenants.some(({ name }) => name === first.text);
      if (org === undefined || isTenant || first.text === "$SYS") return [];
    }
    const { file, line, column } = rule.place;
    const violation: Violation = {
      ...(file === undefined ? {} : { file }),
      line,
      column,
      path: rule.id,
      message: "expected a filter inside the tenant, found one that begins with something else",
      hint: 'begin it with "{org}", or write topics: { schema: off } for a tenant of tools',
      assertion: "inside-tenant",
      ruleId: rule.id,
      witness: undefined,
    };
    return [violation];
  });
}

interface Asserted extends Omit<Assertion, "never"> {
  readonly never: NonNullable<Assertion["never"]>;
  readonly isStandard: boolean;
}

/** The standard assertions, with the exceptions that the policy writes for them, and its own. */
export function assertionsOf(policy: Policy): readonly Asserted[] {
  const own = new Map(policy.assert.map((one) => [one.id, one]));
  const standard = standardAssertions.map((one): Asserted => {
    const { except = [], ...place } = own.get(one.id) ?? { line: 1, column: 1 };
    const { line, column } = place;
    return { ...one, except: [...one.except, ...except], line, column, isStandard: true };
  });
  const others = policy.assert.flatMap((one): Asserted[] =>
    one.never === undefined ? [] : [{ ...one, never: one.never, isStandard: false }],
  );
  return [...standard, ...others];
}

function violationsOf(
  assertion: Asserted,
  rules: readonly EffectiveRule[],
  denials: readonly EffectiveDeny[],
  universe: Universe,
): readonly Violation[] {
  const action: Action = assertion.never === "subscribe" ? "subscribe" : "publish";
  const about = rules.filter((rule) => rule.action === action && isAbout(assertion, rule));
  if (assertion.never === "share") return sharing(assertion, about, denials, universe);
  const on =
    assertion.on.length === 0 ? [undefined] : assertion.on.map((one) => patternOf(one.filter));
  return about.flatMap((rule) => {
    for (const pattern of on) {
      const witness = reaches(assertion, rule, pattern, denials, universe);
      if (witness) return [violation(assertion, rule, witness)];
    }
    return [];
  });
}

function isAbout({ by, except, never }: Asserted, rule: EffectiveRule): boolean {
  if (by.length > 0 && !by.includes(rule.role)) return false;
  if (except.includes(rule.role)) return false;
  if (never === "retain") return rule.terms.retain;
  return never === "stray" || never === "share" ? rule.kind === "device" : true;
}

function reaches(
  { never, isStandard }: Asserted,
  rule: EffectiveRule,
  on: RulePattern | undefined,
  denials: readonly EffectiveDeny[],
  universe: Universe,
): Witness | undefined {
  const all = on === undefined ? [rule.pattern] : [rule.pattern, on];
  return ask(universe, reachOf(rule, all, denials), (question) => {
    const subject = question.subject(rule.kind, rule.selector);
    if (on !== undefined && isStandard && !question.means(on)) return false;
    if (on !== undefined && !question.matches(on, subject)) return false;
    if (never === "stray") question.holdsNotId(subject);
    return isAllowed(question, rule, subject, denials);
  });
}

function reachOf(
  rule: EffectiveRule,
  all: readonly RulePattern[],
  denials: readonly EffectiveDeny[],
) {
  const none = denials.flatMap(({ action, pattern }) => (action === rule.action ? pattern : []));
  return { action: rule.action, all, none };
}

/** The rule lets the subject do it, and no deny rule keeps it from it. */
export function isAllowed(
  question: Question,
  rule: EffectiveRule,
  subject: Unknown,
  denials: readonly EffectiveDeny[],
): boolean {
  for (const [name, value] of rule.conditions) question.equate(subject, name, value);
  if (!question.matches(rule.pattern, subject)) return false;
  return denials.every(
    (deny) => deny.action !== rule.action || question.isNotDenied(deny, subject),
  );
}

/** Two devices that differ in an attribute and may publish to one topic. */
function sharing(
  assertion: Asserted,
  rules: readonly EffectiveRule[],
  denials: readonly EffectiveDeny[],
  universe: Universe,
): readonly Violation[] {
  const across = assertion.across.length === 0 ? ["org", "site", "ward"] : assertion.across;
  const names = placeAttributes.filter((name) => across.includes(name));
  return rules.flatMap((rule, index) => {
    for (const other of rules.slice(index)) {
      for (const name of names) {
        const all = [rule.pattern, other.pattern];
        const witness = ask(universe, reachOf(rule, all, denials), (question) => {
          const one = question.subject("device", rule.selector);
          const second = question.subject("device", other.selector);
          question.differ(one, second, "id");
          question.differ(one, second, name);
          return (
            isAllowed(question, rule, one, denials) && isAllowed(question, other, second, denials)
          );
        });
        if (witness) return [violation(assertion, rule, witness)];
      }
    }
    return [];
  });
}

const verbs: Readonly<Record<Asserted["never"], string>> = {
  publish: "may publish to",
  subscribe: "may read",
  retain: "may retain on",
  stray: "may publish, without its id in it, to",
  share: "may both publish to",
};

function violation(assertion: Asserted, rule: EffectiveRule, witness: Witness): Violation {
  const { id, isStandard, never } = assertion;
  const who = witness.subjects.map(describeSubject).join(" and ");
  const message = `${isStandard ? "the standard assertion" : "the assertion"} ${id} does not hold: ${who} ${verbs[never]} ${witness.topic}`;
  const written = isStandard ? "" : ` (${placeOf(assertion)})`;
  const hint = `narrow the rule, or write the role into except of ${id}${written}`;
  const { file, line, column } = rule.place;
  return {
    ...(file === undefined ? {} : { file }),
    line,
    column,
    path: rule.id,
    message,
    hint,
    assertion: id,
    ruleId: rule.id,
    witness,
  };
}

/** `device:... (site main, ward icu-3)`. */
export function describeSubject({ id, attributes }: Subject): string {
  const places = Object.entries(attributes).filter(([name]) => name !== "id");
  return `${id} (${places.map((pair) => pair.join(" ")).join(", ")})`;
}
