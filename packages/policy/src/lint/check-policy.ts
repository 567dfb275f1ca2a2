import {
  type Assignment,
  assignmentsOf,
  claimAssignments,
  describeClaim,
} from "../decide/assignments.ts";
import { termsOf } from "../decide/terms.ts";
import { suggestion } from "../language/closest.ts";
import {
  actions,
  type Binding,
  type ClaimRule,
  type Place,
  type Policy,
  type Role,
  ruleIdOf,
  type SubjectKind,
} from "../language/policy.ts";
import { patternOf } from "../language/rule-pattern.ts";
import { patternIncludes, patternsMeet } from "./pattern-relations.ts";
import { type PolicyCheck, type PolicyFinding, policyChecks } from "./policy-checks.ts";
import {
  type BoundRole,
  controlTopics,
  type Remark,
  type RuleInContext,
  ruleChecks,
} from "./rule-checks.ts";
import { checkWhole } from "./whole-checks.ts";

/** Where a finding stands, in the file and in the policy. */
interface PathPlace extends Place {
  readonly path: string;
}

/** What is known of where a policy is used; what is left out is not looked at. */
export interface Deployment {
  /** The names of the issuers of issuers.yaml. */
  readonly issuers?: readonly string[];
  /** The roles that issuers.yaml lets people take in an emergency. */
  readonly breakGlass?: readonly string[];
}

/** Everything in a policy that is worth a second look, in the order of the file. A finding never stops anything. */
export function checkPolicy(
  policy: Policy,
  { issuers, breakGlass = [] }: Deployment = {},
): readonly PolicyFinding[] {
  const roles = boundRoles(policy, breakGlass);
  const rules = roles.map(({ role, bound }) => rulesOf(role, bound));
  const findings = [
    ...roles.flatMap(({ role, bound }) => checkRole(role, bound)),
    ...rules.flat().flatMap(checkRule),
    ...rules.flatMap(alreadyAllowed),
    ...bothWaysControl(rules.flat()),
    ...checkBindings(policy.bindings),
    ...checkClaims(policy.claims),
    ...(issuers === undefined ? [] : checkIssuers(policy.claims, issuers)),
    ...checkWhole(policy),
  ];
  return findings.sort((a, b) => a.line - b.line || a.column - b.column);
}

function boundRoles(
  policy: Policy,
  breakGlass: readonly string[],
): readonly { role: Role; bound: BoundRole }[] {
  const every: readonly Pick<Assignment, "role" | "selector">[] = [
    ...assignmentsOf(policy),
    ...claimAssignments(policy),
    ...breakGlass.map((role) => ({ role, selector: { kind: "person" } as const })),
  ];
  const given = Map.groupBy(every, ({ role }) => role);
  return policy.roles.map((role) => {
    const to = new Set<string>();
    const kinds = new Set<SubjectKind>();
    // A group may come to hold any subject of its kind.
    for (const { selector } of given.get(role.name) ?? []) {
      const { kind = "device", id = `${kind}:*` } = selector;
      kinds.add(kind);
      to.add(id);
    }
    return { role, bound: { name: role.name, to, kinds } };
  });
}

function rulesOf(role: Role, bound: BoundRole): readonly RuleInContext[] {
  return actions.flatMap((action) =>
    role[action].map((rule, index) => ({
      ...rule,
      role: bound,
      action,
      id: ruleIdOf(role.name, action, index),
      path: `roles.${role.name}.${action}[${index}]`,
      pattern: patternOf(rule.filter),
    })),
  );
}

function checkRole(role: Role, { to }: BoundRole): readonly PolicyFinding[] {
  const findings: PolicyFinding[] = [];
  const place = { ...role, path: `roles.${role.name}` };
  if (to.size === 0) {
    const hint = "add a binding or a claim, or remove the role";
    findings.push(
      finding("never-bound", role.name, place, { message: "is bound to nobody", hint }),
    );
  }
  if (role.publish.length + role.subscribe.length === 0) {
    const remark = { message: "allows nothing", hint: "give it rules or remove it" };
    findings.push(finding("allows-nothing", role.name, place, remark));
  }
  return findings;
}

function checkRule(rule: RuleInContext): readonly PolicyFinding[] {
  return (Object.keys(policyChecks) as PolicyCheck[]).flatMap((check) => {
    const remark = ruleChecks[check]?.(rule);
    return remark ? [finding(check, rule.role.name, rule, remark, rule.id)] : [];
  });
}

/** Of two rules that allow the same, the later one is said to be superfluous. */
function alreadyAllowed(rules: readonly RuleInContext[]): readonly PolicyFinding[] {
  return rules.flatMap((rule, index) => {
    const wider = rules.find(
      (other, at) =>
        other.action === rule.action &&
        at !== index &&
        allowsAllOf(other, rule) &&
        (at < index || !allowsAllOf(rule, other)),
    );
    if (!wider) return [];
    const message = `allows only what ${wider.id} (line ${wider.line}) allows`;
    const remark = { message, hint: "remove one of the two" };
    return [finding("already-allowed", rule.role.name, rule, remark, rule.id)];
  });
}

function allowsAllOf(outer: RuleInContext, inner: RuleInContext): boolean {
  const [wide, narrow] = [termsOf(outer, outer.id), termsOf(inner, inner.id)];
  return (
    patternIncludes(outer.pattern, inner.pattern) &&
    wide.qos >= narrow.qos &&
    (wide.retain || !narrow.retain) &&
    wide.retainSeconds >= narrow.retainSeconds &&
    wide.payloadBytes >= narrow.payloadBytes &&
    (wide.contentType === undefined || wide.contentType === narrow.contentType)
  );
}

/** Who can write what a device obeys and read it too can answer itself, or be led to loop. */
function bothWaysControl(rules: readonly RuleInContext[]): readonly PolicyFinding[] {
  const control = rules.flatMap((rule) => {
    const topics = controlTopics.filter((topic) => patternsMeet(rule.pattern, topic));
    return topics.length > 0 ? [{ rule, topics }] : [];
  });
  const [written = [], read = []] = actions.map((action) =>
    control.filter(({ rule }) => rule.action === action),
  );
  return written.flatMap(({ rule, topics }) => {
    const back = read.find(
      ({ rule: other }) =>
        shareSubject(rule.role, other.role) &&
        topics.some((topic) => patternsMeet(rule.pattern, other.pattern, topic)),
    );
    if (!back) return [];
    const message = `writes a command or config topic that ${back.rule.id} reads for the same subject`;
    const remark = { message, hint: "let one side write it and the other read it" };
    return [finding("both-ways-control", rule.role.name, rule, remark, rule.id)];
  });
}

function shareSubject(a: BoundRole, b: BoundRole): boolean {
  const everyOf = (role: BoundRole, other: BoundRole) =>
    [...other.kinds].some((kind) => role.to.has(`${kind}:*`));
  return everyOf(a, b) || everyOf(b, a) || !a.to.isDisjointFrom(b.to);
}

function checkBindings(bindings: readonly Binding[]): readonly PolicyFinding[] {
  const given = new Map<string, Binding>();
  for (const binding of bindings) {
    const key = `${binding.role} ${binding.to}`;
    if (!given.has(key)) given.set(key, binding);
  }
  return bindings.flatMap((binding, index) => {
    const { role, to } = binding;
    const place = { ...binding, path: `bindings[${index}]` };
    const findings: PolicyFinding[] = [];
    if (to === "service:*") {
      const message = "is bound to all services, also those that are added later";
      const remark = { message, hint: "bind it to each service by name" };
      findings.push(finding("every-service", role, place, remark));
    }
    const kind = to.slice(0, to.indexOf(":"));
    const every = given.get(`${role} ${kind}:*`);
    const first = every ?? given.get(`${role} ${to}`);
    if (first && first !== binding) {
      const message = `is bound to ${to} already, on line ${first.line}`;
      findings.push(finding("already-bound", role, place, { message, hint: "remove one" }));
    }
    return findings;
  });
}

function checkClaims(claims: readonly ClaimRule[]): readonly PolicyFinding[] {
  const given = new Map<string, ClaimRule>();
  return claims.flatMap((claim, index) => {
    const { role } = claim;
    const key = JSON.stringify([role, claim.issuer, claim.claim, claim.value]);
    const first = given.get(key);
    if (first === undefined) given.set(key, claim);
    if (first === undefined) return [];
    const message = `is given to ${describeClaim(claim)} already, on line ${first.line}`;
    const place = { ...claim, path: `claims[${index}]` };
    return [finding("already-bound", role, place, { message, hint: "remove one" })];
  });
}

function checkIssuers(
  claims: readonly ClaimRule[],
  issuers: readonly string[],
): readonly PolicyFinding[] {
  return claims.flatMap((claim, index) => {
    if (issuers.includes(claim.issuer)) return [];
    const message = `gives a role to tokens of ${claim.issuer}, which issuers.yaml does not name`;
    const remark = { message, hint: suggestion(claim.issuer, issuers) };
    return [finding("unknown-issuer", claim.role, { ...claim, path: `claims[${index}]` }, remark)];
  });
}

function finding(
  check: PolicyCheck,
  role: string,
  { file, line, column, path }: PathPlace,
  remark: Remark,
  ruleId?: string,
): PolicyFinding {
  const { severity } = policyChecks[check];
  const place = file === undefined ? { line, column } : { file, line, column };
  return { check, severity, ...place, path, role, ruleId, ...remark };
}
