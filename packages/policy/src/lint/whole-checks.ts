import type { Place, Policy, Topics } from "../language/policy.ts";
import { patternOf } from "../language/rule-pattern.ts";
import { isAllowed } from "../prove/assertions.ts";
import {
  type EffectiveDeny,
  type EffectiveRule,
  effectiveDenials,
  effectiveRules,
} from "../prove/effective-rules.ts";
import { ask, type Universe, universesOf } from "../prove/question.ts";
import { type PolicyCheck, type PolicyFinding, policyChecks } from "./policy-checks.ts";
import type { Remark } from "./rule-checks.ts";

/** Findings that take the whole policy to see: what is left of rules, and parts that have no effect. */
export function checkWhole(policy: Policy): readonly PolicyFinding[] {
  const worlds = universesOf(policy).map((universe) => ({
    universe,
    rules: effectiveRules(policy, universe.org),
  }));
  const denials = effectiveDenials(policy);
  return [
    ...weakerTopics(policy),
    ...phiOff(policy),
    ...endlessGrants(policy),
    ...unusedGroups(policy),
    ...envelopes(policy),
    ...rulesWithoutTopic(worlds, denials),
    ...denialsWithoutEffect(worlds, denials),
    ...speaksForDevices(worlds, denials),
  ];
}

interface World {
  readonly universe: Universe;
  readonly rules: readonly EffectiveRule[];
}

function weakerTopics({ topics, tenants }: Policy): readonly PolicyFinding[] {
  const written: (readonly [string, Topics | undefined])[] = [
    ["topics", topics],
    ...tenants.map((one) => [`tenants.${one.name}.topics`, one.topics] as const),
  ];
  return written.flatMap(([path, one]) => {
    if (one === undefined) return [];
    const found: PolicyFinding[] = [];
    if (one.schema === "off") {
      const message = "lets topics look like anything, and takes the standard assertions away";
      const hint = "write templates for the topics that are needed";
      found.push(finding("no-schema", path, one, { message, hint }));
    }
    if (one.commands?.length === 0) {
      const message = "lets anybody answer a command who may publish there, late and twice too";
      const hint = "leave commands out, or name the topics of commands";
      found.push(finding("answers-unwatched", path, one, { message, hint }));
    }
    return found;
  });
}

function phiOff({ phi }: Policy): readonly PolicyFinding[] {
  if (phi === undefined) return [];
  const hint = "write warn, which lets pass and tells";
  const found: PolicyFinding[] = [];
  if (phi.mode === "off") {
    const message = "looks for no identifiers of patients but those of detectors that have a mode";
    found.push(finding("phi-off", "phi", phi, { message, hint }));
  }
  for (const one of phi.detectors) {
    if (one.mode !== "off") continue;
    const message = "is not looked for";
    found.push(finding("phi-off", `phi.detectors.${one.name}`, one, { message, hint }));
  }
  return found;
}

function endlessGrants({ grants }: Policy): readonly PolicyFinding[] {
  return grants.flatMap((grant, i) => {
    if (grant.until !== undefined) return [];
    const remark = { message: "has no end", hint: "write until, or make it a binding" };
    return [finding("endless-grant", `grants[${i}]`, grant, remark, grant.role)];
  });
}

function unusedGroups({ groups, bindings, grants, deny }: Policy): readonly PolicyFinding[] {
  const used = new Set([...bindings, ...grants, ...deny].map(({ to }) => to));
  return groups.flatMap((group) => {
    if (used.has(`group:${group.name}`)) return [];
    const remark = { message: "is named by nothing", hint: "bind a role to it or remove it" };
    return [finding("unused-group", `groups.${group.name}`, group, remark)];
  });
}

function envelopes({ roles }: Policy): readonly PolicyFinding[] {
  return roles.flatMap((role) =>
    [...role.publish, ...role.subscribe].flatMap((rule) => {
      if (rule.envelope !== "required") return [];
      const message = "wants payloads in an envelope, and nothing looks for one yet";
      const hint = "do not rely on it";
      return [
        finding("envelope-not-enforced", `roles.${role.name}`, rule, { message, hint }, role.name),
      ];
    }),
  );
}

/** Rules of which nothing is left in any tenant. */
function rulesWithoutTopic(
  worlds: readonly World[],
  denials: readonly EffectiveDeny[],
): readonly PolicyFinding[] {
  const left = new Map<string, { rule: EffectiveRule; isLeft: boolean }>();
  for (const { universe, rules } of worlds) {
    for (const rule of rules) {
      const known = left.get(rule.id);
      if (known?.isLeft) continue;
      left.set(rule.id, { rule, isLeft: reaches(rule, rule.pattern, denials, universe) });
    }
  }
  return [...left.values()].flatMap(({ rule, isLeft }) => {
    if (isLeft) return [];
    const message = "allows nothing: no topic of the schema matches it that is not denied";
    const hint = "correct the filter, or remove it";
    return [
      finding(
        "allows-no-topic",
        pathOf(rule.id),
        rule.place,
        { message, hint },
        rule.role,
        rule.id,
      ),
    ];
  });
}

function denialsWithoutEffect(
  worlds: readonly World[],
  denials: readonly EffectiveDeny[],
): readonly PolicyFinding[] {
  const byId = Map.groupBy(denials, ({ id }) => id);
  return [...byId].flatMap(([id, parts]) => {
    const hasEffect = worlds.some(({ universe, rules }) =>
      parts.some((deny) => rules.some((rule) => meets(rule, deny, universe))),
    );
    const [first] = parts;
    if (hasEffect || !first) return [];
    const message = "meets nothing that a rule allows";
    const hint = "remove it, or keep it for rules to come";
    return [finding("denies-nothing", id, first.place, { message, hint }, "", id)];
  });
}

function meets(rule: EffectiveRule, deny: EffectiveDeny, universe: Universe): boolean {
  if (rule.action !== deny.action) return false;
  const reach = { action: rule.action, all: [rule.pattern, deny.pattern], none: [] };
  return (
    ask(universe, reach, (question) => {
      const subject = question.subject(rule.kind, rule.selector);
      return isAllowed(question, rule, subject, []) && question.isDenied(deny, subject);
    }) !== undefined
  );
}

const vitals = ["+/+/+/device/+/telemetry", "+/+/+/device/+/alarm"].map(patternOf);

/** Services that could make up the vital signs of any patient. */
function speaksForDevices(
  worlds: readonly World[],
  denials: readonly EffectiveDeny[],
): readonly PolicyFinding[] {
  const found = new Map<string, PolicyFinding>();
  for (const { universe, rules } of worlds) {
    for (const rule of rules) {
      const isService = rule.kind === "service" && rule.action === "publish";
      if (!isService || rule.pattern.levels.slice(1, 3).some(({ is }) => is === "text")) continue;
      if (!vitals.some((topic) => reaches(rule, topic, denials, universe))) continue;
      const message = "lets a service publish telemetry or alarms of every device";
      const hint = "narrow its binding: where: { site: ..., ward: ... }";
      const one = finding(
        "speaks-for-devices",
        pathOf(rule.id),
        rule.place,
        { message, hint },
        rule.role,
        rule.id,
      );
      found.set(rule.id, one);
    }
  }
  return [...found.values()];
}

function reaches(
  rule: EffectiveRule,
  on: EffectiveRule["pattern"],
  denials: readonly EffectiveDeny[],
  universe: Universe,
): boolean {
  const none = denials.map(({ pattern }) => pattern);
  const all = on === rule.pattern ? [on] : [rule.pattern, on];
  return (
    ask(universe, { action: rule.action, all, none }, (question) => {
      const subject = question.subject(rule.kind, rule.selector);
      return question.matches(on, subject) && isAllowed(question, rule, subject, denials);
    }) !== undefined
  );
}

/** `roles.nurse.publish[0]` of `nurse/publish[0]`, as other findings say it. */
const pathOf = (ruleId: string) => `roles.${ruleId.replace("/", ".")}`;

function finding(
  check: PolicyCheck,
  path: string,
  { file, line, column }: Place,
  remark: Remark,
  role = "",
  ruleId?: string,
): PolicyFinding {
  const { severity } = policyChecks[check];
  const place = file === undefined ? { line, column } : { file, line, column };
  return { check, severity, ...place, path, role, ruleId, ...remark };
}

/** A rule with wildcards, and what stands open by them. */
export interface WildcardReach {
  readonly ruleId: string;
  readonly filter: string;
  readonly place: Place;
  /** `every site, every ward`; `every topic below` for `#`. */
  readonly reach: string;
  /** `warning` where the wildcard leaves the organisation, or has no end. */
  readonly severity: "warning" | "notice";
}

/** Every rule with a wildcard, with its reach: what an auditor reads first. */
export function wildcardsOf(policy: Policy): readonly WildcardReach[] {
  const found = new Map<string, WildcardReach>();
  for (const { org, forms } of universesOf(policy)) {
    for (const { id, filter, place, pattern } of effectiveRules(policy, org)) {
      const open = pattern.levels.flatMap((level, i) =>
        level.is === "any" ? `every ${nameAt(forms, i)}` : [],
      );
      if (pattern.rest) open.push("every topic below");
      const isWide = pattern.rest || pattern.levels[0]?.is === "any";
      const severity = isWide ? "warning" : "notice";
      const reach = open.join(", ");
      if (open.length > 0) found.set(id, { ruleId: id, filter, place, reach, severity });
    }
  }
  return [...found.values()];
}

function nameAt(forms: Universe["forms"], i: number): string {
  for (const { levels } of forms) {
    const level = levels[i];
    if (level?.is === "name" || level?.is === "values") return level.name;
    if (level?.is === "uuid") return "device";
    if (level?.is === "org") return "organisation";
  }
  return `level ${i + 1}`;
}
