import {
  type Assignment,
  assignmentsOf,
  claimAssignments,
  type Selector,
  selectorOf,
} from "../decide/assignments.ts";
import { narrow, valuesOf } from "../decide/narrow.ts";
import { type Terms, termsOf } from "../decide/terms.ts";
import { topicSchema } from "../decide/topic-schema.ts";
import {
  type Action,
  type AttributeName,
  actions,
  denyIdOf,
  hasAttribute,
  type Place,
  type Policy,
  type Role,
  ruleIdOf,
  type SubjectKind,
} from "../language/policy.ts";
import { patternOf, type RulePattern } from "../language/rule-pattern.ts";

/** A rule as somebody has it: who, which topics, and what messages must keep to. */
export interface EffectiveRule {
  readonly id: string;
  readonly role: string;
  readonly action: Action;
  readonly filter: string;
  readonly place: Place;
  readonly pattern: RulePattern;
  readonly terms: Terms;
  readonly kind: SubjectKind;
  readonly selector: Selector;
  /** Attributes that must have these values for the rule to apply. */
  readonly conditions: readonly (readonly [AttributeName, string])[];
  /** What gives it, absent for a role that is given to nobody. */
  readonly assignment: Assignment | undefined;
}

/** A deny rule, for one kind of subject and one value of each attribute that its group names. */
export interface EffectiveDeny {
  readonly id: string;
  readonly action: Action;
  readonly filter: string;
  readonly place: Place;
  readonly pattern: RulePattern;
  readonly kind: SubjectKind | undefined;
  readonly subject: string | undefined;
  readonly conditions: readonly (readonly [string, string])[];
}

/** Every rule of the policy as it is given by bindings, grants and claims, whatever the time; `org` chooses the topic schema. */
export function effectiveRules(policy: Policy, org: string | undefined): readonly EffectiveRule[] {
  const every = [...assignmentsOf(policy), ...claimAssignments(policy)];
  const given = Map.groupBy(every, ({ role }) => role);
  return policy.roles.flatMap((role) => {
    const assignments = given.get(role.name) ?? [];
    // What must never be is asked of roles that nobody has yet, too.
    const all = assignments.length > 0 ? assignments : [undefined];
    return all.flatMap((assignment) => rulesGiven(policy, role, assignment, org));
  });
}

function rulesGiven(
  policy: Policy,
  role: Role,
  assignment: Assignment | undefined,
  org: string | undefined,
): readonly EffectiveRule[] {
  const selector = assignment?.selector ?? {};
  const kind = selector.kind ?? "app";
  const where = assignment?.where;
  const schema = topicSchema(policy, org);
  return actions.flatMap((action) =>
    role[action].flatMap((rule, index) => {
      const id = ruleIdOf(role.name, action, index);
      const whole = patternOf(rule.filter);
      if (neverApplies(whole, kind, valuesOf(where))) return [];
      const patterns = where === undefined ? [whole] : narrow(whole, where, {}, schema);
      const conditions = Object.entries(valuesOf(where)).filter(
        ([name]) => holds(whole, name) && hasAttribute(kind, name as AttributeName) === "always",
      ) as [AttributeName, string][];
      return patterns.map((pattern) => ({
        id,
        role: role.name,
        action,
        filter: rule.filter,
        place: rule,
        pattern,
        terms: termsOf(rule, id),
        kind,
        selector,
        conditions,
        assignment,
      }));
    }),
  );
}

const holds = ({ levels }: RulePattern, name: string) =>
  levels.some((level) => level.is === "attribute" && level.name === name);

function neverApplies(
  { levels }: RulePattern,
  kind: SubjectKind,
  given: Readonly<Record<string, string>>,
): boolean {
  return levels.some(
    (level) =>
      level.is === "attribute" &&
      hasAttribute(kind, level.name) === "never" &&
      !Object.hasOwn(given, level.name),
  );
}

/** Every deny rule, taken apart so that each has one value of each attribute. */
export function effectiveDenials(policy: Policy): readonly EffectiveDeny[] {
  return policy.deny.flatMap((rule, index) => {
    const { kind, id: subject, attributes = {} } = selectorOf(rule.to, policy);
    const combinations = combine(Object.entries(attributes));
    return actions.flatMap((action) =>
      rule[action].flatMap((one, at) =>
        combinations.map((conditions) => ({
          id: denyIdOf(index, action, at),
          action,
          filter: one.filter,
          place: one,
          pattern: patternOf(one.filter),
          kind,
          subject,
          conditions,
        })),
      ),
    );
  });
}

function combine(
  lists: readonly (readonly [string, readonly string[]])[],
): readonly (readonly (readonly [string, string])[])[] {
  let all: (readonly [string, string])[][] = [[]];
  for (const [name, values] of lists) {
    all = all.flatMap((one) =>
      values.map((value): (readonly [string, string])[] => [...one, [name, value]]),
    );
  }
  return all;
}
