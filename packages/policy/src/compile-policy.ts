import { parseBindingTarget } from "./binding-target.ts";
import { anyLevel, type CompiledRule, type RuleSet } from "./compiled-rule.ts";
import type { CompiledPolicy } from "./decision.ts";
import { decodePolicy } from "./decode-policy.ts";
import {
  type Action,
  attributeNames,
  type Policy,
  type Role,
  type Rule,
  ruleIdOf,
} from "./policy.ts";
import { PolicyError } from "./policy-error.ts";
import { isFault, parseRulePattern } from "./rule-pattern.ts";
import { rightsUnder } from "./subject-rights.ts";

/**
 * Makes a policy ready to decide. What does not depend on the subject is done here: each filter is cut into levels
 * once, and each set of roles that the bindings give is joined once. Throws a PolicyError for what parsePolicy refuses
 * too, so a policy may be given as it came over the feed.
 */
export function compilePolicy(policy: Policy): CompiledPolicy {
  const { roles, bindings } = decodePolicy(policy);
  const indexOf = new Map(roles.map(({ name }, index) => [name, index]));
  const boundTo = new Map<string, Set<number>>();
  for (const { role, to } of bindings) {
    const indices = boundTo.get(to) ?? new Set();
    boundTo.set(to, indices.add(indexOf.get(role) ?? -1));
  }
  const join = joinerOf(roles.map(compileRole));
  const everyOf = new Map(
    (["device", "service"] as const).map((kind) => [
      kind,
      boundTo.get(`${kind}:*`) ?? new Set<number>(),
    ]),
  );
  const byKind = new Map<string, RuleSet>();
  for (const [kind, indices] of everyOf) byKind.set(kind, join(indices));
  const named = (roles: readonly string[]) =>
    join(new Set(roles.flatMap((name) => indexOf.get(name) ?? [])));
  const byId = new Map<string, RuleSet>();
  for (const [to, indices] of boundTo) {
    const target = parseBindingTarget(to);
    if ("hint" in target || target.every) continue;
    byId.set(to, join(indices.union(everyOf.get(target.kind) ?? new Set())));
  }
  return {
    rightsOf: (subject) =>
      rightsUnder(
        byId.get(subject.id) ?? byKind.get(subject.kind) ?? named(subject.roles ?? []),
        subject,
      ),
  };
}

/** Joins roles by index into one set of rules; subjects with the same roles share it. */
function joinerOf(roles: readonly RuleSet[]): (indices: ReadonlySet<number>) => RuleSet {
  const joined = new Map<string, RuleSet>();
  return (indices) => {
    const inOrder = [...indices].sort((a, b) => a - b);
    const key = inOrder.join();
    const known = joined.get(key);
    if (known) return known;
    const parts = inOrder.flatMap((index) => roles[index] ?? []);
    const set = {
      roles: parts.flatMap((part) => part.roles),
      publish: parts.flatMap((part) => part.publish),
      subscribe: parts.flatMap((part) => part.subscribe),
    };
    joined.set(key, set);
    return set;
  };
}

function compileRole(role: Role): RuleSet {
  const compile = (action: Action) =>
    role[action].map((rule, index) =>
      compileRule(rule, action, ruleIdOf(role.name, action, index)),
    );
  return { roles: [role.name], publish: compile("publish"), subscribe: compile("subscribe") };
}

function compileRule({ filter, line, column }: Rule, action: Action, id: string): CompiledRule {
  const pattern = parseRulePattern(filter, action);
  if (isFault(pattern)) {
    const { message, hint } = pattern;
    throw new PolicyError("policy", [{ line, column, path: id, message, hint }]);
  }
  const levels = pattern.levels.map((level) => {
    if (level.is === "any") return anyLevel;
    return level.is === "text" ? level.text : attributeNames.indexOf(level.name);
  });
  const permit = { effect: "Permit", because: "Permit", ruleId: id, hint: undefined } as const;
  return { id, line, levels, rest: pattern.rest, permit: Object.freeze(permit) };
}
