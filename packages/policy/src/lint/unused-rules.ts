import { type Action, actions, type Policy, ruleIdOf } from "../language/policy.ts";
import { type PolicyCheck, type PolicyFinding, policyChecks } from "./policy-checks.ts";

/** When a rule, whatever its place in the file, was first in force and last used: days, in milliseconds since 1970. */
export interface RuleUse {
  readonly role: string;
  readonly action: Action;
  readonly filter: string;
  readonly since: number;
  readonly lastUsed?: number | undefined;
}

/**
 * Roles, and rules of roles that are used, that have decided nothing since `before`, a time in milliseconds since 1970. A
 * rule that has not been in force for so long, or of which nothing is known, is no finding.
 */
export function unusedRules(
  policy: Policy,
  uses: readonly RuleUse[],
  before: number,
): readonly PolicyFinding[] {
  const known = new Map(uses.map((use) => [keyOf(use), use]));
  return policy.roles.flatMap((role) => {
    const rules = actions.flatMap((action) =>
      role[action].map((rule, index) => {
        const use = known.get(keyOf({ role: role.name, action, filter: rule.filter }));
        const isUnused = use !== undefined && (use.lastUsed ?? use.since) < before;
        return { rule, ruleId: ruleIdOf(role.name, action, index), use, isUnused };
      }),
    );
    const unused = rules.filter(({ isUnused }) => isUnused);
    if (unused.length < rules.length || rules.length === 0) {
      return unused.map(({ rule, ruleId, use }) =>
        finding("unused-rule", role.name, rule, `roles.${ruleId.replace("/", ".")}`, use, ruleId),
      );
    }
    const last = unused
      .map(({ use }) => use)
      .reduce((a, b) => ((b?.lastUsed ?? 0) > (a?.lastUsed ?? 0) ? b : a));
    return [finding("unused-role", role.name, role, `roles.${role.name}`, last, undefined)];
  });
}

function finding(
  check: PolicyCheck,
  role: string,
  { file, line, column }: { file?: string; line: number; column: number },
  path: string,
  use: RuleUse | undefined,
  ruleId: string | undefined,
): PolicyFinding {
  const { severity } = policyChecks[check];
  const day = (at: number) => new Date(at).toISOString().slice(0, 10);
  const message =
    use?.lastUsed === undefined
      ? `was never used since it is in force (${day(use?.since ?? 0)})`
      : `was last used on ${day(use.lastUsed)}`;
  const hint = "take the right away, or keep it for what is rare";
  const place = file === undefined ? { line, column } : { file, line, column };
  return { check, severity, ...place, path, role, ruleId, message, hint };
}

const keyOf = ({ role, action, filter }: Pick<RuleUse, "role" | "action" | "filter">) =>
  JSON.stringify([role, action, filter]);
