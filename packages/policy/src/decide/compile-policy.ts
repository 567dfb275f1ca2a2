import { decodePolicy } from "../language/decode-policy.ts";
import {
  type Action,
  denyIdOf,
  type Place,
  type Policy,
  type Role,
  ruleIdOf,
} from "../language/policy.ts";
import { patternOf, type RulePattern } from "../language/rule-pattern.ts";
import { phiGuard } from "../phi/phi-guard.ts";
import {
  type Assignment,
  assignmentsOf,
  countsAt,
  type Selector,
  selectorOf,
  selects,
} from "./assignments.ts";
import type { CompiledPolicy, Subject } from "./decision.ts";
import { deny, permit } from "./denial.ts";
import { narrow, valuesOf } from "./narrow.ts";
import { type CompiledRule, RuleNode } from "./rule-tree.ts";
import { type RolePart, type RuleParts, rightsUnder, type TenantPart } from "./subject-rights.ts";
import { termsOf } from "./terms.ts";
import { tokenRoles } from "./token-roles.ts";
import { reservedWords, topicSchema } from "./topic-schema.ts";

/**
 * Makes a policy ready to decide. What does not depend on the subject is done here: each role is cut into a tree of its
 * rules once, however many subjects have it. Throws a PolicyError for what parsePolicy refuses too, so a policy may be
 * given as it came over the feed.
 */
export function compilePolicy(value: Policy): CompiledPolicy {
  const policy = decodePolicy(value);
  const compiler = new Compiler(policy);
  const assignments = indexed(
    assignmentsOf(policy).map((one) => ({ one, selector: one.selector })),
  );
  const denials = indexed(compiler.denials());
  const times = policy.grants.length === 0 ? [] : changeTimes(assignmentsOf(policy));
  return {
    phi: phiGuard(policy.phi),
    hasLimits: policy.roles.some(({ limits }) => limits !== undefined),
    tokenRoles: tokenRoles(policy),
    rightsOf: (subject, at) => {
      const tenant = compiler.tenant(subject.attributes?.["org"]);
      const counted = assignments(subject).filter((one) => countsAt(one, at));
      const given = [...counted, ...compiler.rolesOfToken(subject)];
      const roles = given.map((one) => compiler.part(one, subject, tenant));
      return rightsUnder(subject, tenant, {
        roles: [...new Set(roles)],
        deny: [...denials(subject), ...tenant.deny],
      });
    },
    nextChange: (at) => times.find((time) => time > at) ?? Number.POSITIVE_INFINITY,
  };
}

function changeTimes(assignments: readonly Assignment[]): readonly number[] {
  const times = assignments.flatMap(({ from, until }) => [from ?? Number.NaN, until ?? Number.NaN]);
  return [...new Set(times.filter(Number.isFinite))].sort((a, b) => a - b);
}

/** Finds what is for a subject without asking each selector: by id, by kind, and the few others one by one. */
function indexed<One>(
  all: readonly { readonly one: One; readonly selector: Selector }[],
): (subject: Subject) => One[] {
  const byId = new Map<string, One[]>();
  const byKind = new Map<string, One[]>();
  const others: { one: One; selector: Selector }[] = [];
  for (const { one, selector } of all) {
    const { kind, id, attributes } = selector;
    const isPlain = attributes === undefined;
    if (isPlain && id !== undefined) listIn(byId, id).push(one);
    else if (isPlain && kind !== undefined) listIn(byKind, kind).push(one);
    else others.push({ one, selector });
  }
  return (subject) => [
    ...(byKind.get(subject.kind) ?? []),
    ...(isOfKind(subject) ? (byId.get(subject.id) ?? []) : []),
    ...others.flatMap(({ one, selector }) => (selects(selector, subject) ? [one] : [])),
  ];
}

const isOfKind = ({ id, kind }: Subject) => id.startsWith(`${kind}:`);

function listIn<One>(lists: Map<string, One[]>, key: string): One[] {
  let list = lists.get(key);
  if (list === undefined) {
    list = [];
    lists.set(key, list);
  }
  return list;
}

type Given = Pick<Assignment, "role" | "where">;

class Compiler {
  readonly #policy: Policy;
  readonly #roles: ReadonlyMap<string, Role>;
  readonly #parts = new Map<string, RolePart>();
  readonly #tenants = new Map<string | undefined, TenantPart>();

  constructor(policy: Policy) {
    this.#policy = policy;
    this.#roles = new Map(policy.roles.map((role) => [role.name, role]));
  }

  /** What is true of every subject of an organisation; those the policy does not name share one. */
  tenant(org: string | undefined): TenantPart {
    const { tenants } = this.#policy;
    const isKnown = tenants.some(({ name }) => name === org);
    const key = isKnown ? org : undefined;
    let part = this.#tenants.get(key);
    if (part === undefined) {
      const schema = topicSchema(this.#policy, key);
      const reserved = new Map(
        ["site", "ward", "model"].map((name) => [name, reservedWords(schema, name)]),
      );
      const others = tenants.filter(({ name }) => name !== org);
      // Without a schema a filter may begin with anything, and another tenant's topics are none of its business.
      const deny = schema.isStrict ? [] : [othersTopics(others.map(({ name }) => name))];
      part = { key: key ?? "", isKnown: isKnown || tenants.length === 0, schema, reserved, deny };
      this.#tenants.set(key, part);
    }
    return part;
  }

  /** A role as one assignment gives it to a subject; subjects to whom it means the same share it. */
  part({ role: name, where }: Given, { attributes }: Subject, tenant: TenantPart): RolePart {
    const values = valuesOf(where);
    const own = Object.fromEntries(
      Object.keys(values).flatMap((key) =>
        attributes && Object.hasOwn(attributes, key) ? [[key, attributes[key] as string]] : [],
      ),
    );
    const key = where === undefined ? name : JSON.stringify([name, values, own, tenant.key]);
    let part = this.#parts.get(key);
    if (part === undefined) {
      const role = this.#roles.get(name) as Role;
      const narrowed = (pattern: RulePattern) =>
        where === undefined ? [pattern] : narrow(pattern, where, own, tenant.schema);
      part = compileRole(role, narrowed);
      this.#parts.set(key, part);
    }
    return part;
  }

  /** Only people and apps have tokens; a record gives roles by bindings alone. */
  rolesOfToken({ kind, roles = [] }: Subject): readonly Given[] {
    if (kind !== "person" && kind !== "app") return [];
    return roles.filter((role) => this.#roles.has(role)).map((role) => ({ role }));
  }

  denials(): { one: RuleParts; selector: Selector }[] {
    return this.#policy.deny.map((deny, index) => {
      const tree = (action: Action) => {
        const node = new RuleNode();
        for (const [at, one] of deny[action].entries()) {
          const id = denyIdOf(index, action, at);
          node.add(denying(id, patternOf(one.filter), one));
        }
        return node;
      };
      const one = { publish: tree("publish"), subscribe: tree("subscribe") };
      return { one, selector: selectorOf(deny.to, this.#policy) };
    });
  }
}

function compileRole(
  role: Role,
  narrowed: (pattern: RulePattern) => readonly RulePattern[],
): RolePart {
  const tree = (action: Action) => {
    const node = new RuleNode();
    for (const [index, rule] of role[action].entries()) {
      const id = ruleIdOf(role.name, action, index);
      const terms = termsOf(rule, id);
      const decision = permit(id, [terms]);
      const where = placeOf(rule);
      for (const pattern of narrowed(patternOf(rule.filter))) {
        node.add({ id, where, pattern, terms, decision });
      }
    }
    return node;
  };
  const { name, limits = {} } = role;
  return { name, limits, publish: tree("publish"), subscribe: tree("subscribe") };
}

/** Places as a person reads them. */
export function placeOf({ file, line }: Place): string {
  return file === undefined ? `line ${line} of the policy` : `line ${line} of ${file}`;
}

function denying(id: string, pattern: RulePattern, place: Place): CompiledRule {
  const hint = `the rule ${id} (${placeOf(place)}) denies it, whatever else allows it`;
  return denyRule(id, pattern, placeOf(place), hint);
}

function othersTopics(names: readonly string[]): RuleParts {
  const node = new RuleNode();
  const hint = "these are topics of another tenant: no policy can allow them";
  for (const name of names) {
    node.add(denyRule("tenants", { levels: [{ is: "text", text: name }], rest: true }, "", hint));
  }
  return { publish: node, subscribe: node };
}

function denyRule(id: string, pattern: RulePattern, where: string, hint: string): CompiledRule {
  return { id, where, pattern, terms: termsOf({}, id), decision: deny("Deny", hint, id) };
}
