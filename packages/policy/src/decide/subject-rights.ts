import { printable } from "@wardmq/events";
import { type Action, attributeNames, namePattern, type RoleLimits } from "../language/policy.ts";
import { type Asked, askedFilter, askedName } from "./asked.ts";
import type { Decision, Subject, SubjectLimits, SubjectRights } from "./decision.ts";
import {
  deny,
  denyIndeterminate,
  denyNotApplicable,
  dollarDenied,
  malformedDenied,
  offSchemaDenied,
  permit,
} from "./denial.ts";
import { type Exchange, exchangeOf } from "./exchange.ts";
import {
  type CompiledRule,
  type Nearest,
  type RuleNode,
  ruleMeeting,
  rulesAllowing,
  type Values,
} from "./rule-tree.ts";
import { neverRetained } from "./terms.ts";
import { levelHas, schemaMeets, type TopicSchema } from "./topic-schema.ts";

/** Rules of one origin, by action. */
export type RuleParts = Readonly<Record<Action, RuleNode>>;

export interface RolePart extends RuleParts {
  readonly name: string;
  readonly limits: Omit<RoleLimits, "file" | "line" | "column">;
}

/** What is true of every subject of a tenant. */
export interface TenantPart {
  readonly key: string;
  /** Whether the policy is for it. */
  readonly isKnown: boolean;
  readonly schema: TopicSchema;
  /** What an attribute must not be. */
  readonly reserved: ReadonlyMap<string, ReadonlySet<string>>;
  readonly deny: readonly RuleParts[];
}

export interface SubjectRules {
  readonly roles: readonly RolePart[];
  readonly deny: readonly RuleParts[];
}

/** The rights of a subject under the rules of its roles; a record that is not well formed has none. */
export function rightsUnder(
  subject: Subject,
  tenant: TenantPart,
  rules: SubjectRules,
): SubjectRights {
  const fault = faultOf(subject, tenant);
  if (fault === undefined) return new RightsUnderRules(subject, tenant.schema, rules);
  const refuse = () => deny("Indeterminate", fault);
  return {
    subject,
    limits: {},
    decidePublish: refuse,
    decideSubscribe: refuse,
    decideReceive: refuse,
  };
}

/** The registry keeps to this too; here it keeps odd text away from every rule, whatever happens there. */
function faultOf({ id, kind, attributes }: Subject, tenant: TenantPart): string | undefined {
  if (typeof attributes !== "object" || attributes === null) return "the record has no attributes";
  for (const name of Object.keys(attributes)) {
    const value: unknown = attributes[name];
    const what = `the attribute ${printable(name, 64)} of ${printable(id, 100)}`;
    if (typeof value !== "string" || !namePattern.test(value)) {
      return `${what} is not 1 to 64 letters, digits, _ or -: correct the record`;
    }
    if (tenant.reserved.get(name)?.has(value)) {
      return `${what} is ${value}, which is a fixed word of the topics: correct the record`;
    }
  }
  if (!Object.hasOwn(attributes, "id") || id !== `${kind}:${attributes["id"]}`) {
    return `the attribute id of ${printable(id, 100)} is not that of the subject: correct the record`;
  }
  if (tenant.isKnown) return undefined;
  return `the organisation of ${printable(id, 100)} is no tenant of the policy: add it to tenants`;
}

class RightsUnderRules implements SubjectRights {
  readonly subject: Subject;
  readonly limits: SubjectLimits;
  readonly #schema: TopicSchema;
  readonly #roles: readonly string[];
  readonly #allow: Readonly<Record<Action, readonly RuleNode[]>>;
  readonly #deny: Readonly<Record<Action, readonly RuleNode[]>>;
  readonly #values: Values;
  readonly #org: string;

  constructor(subject: Subject, schema: TopicSchema, { roles, deny }: SubjectRules) {
    this.subject = subject;
    this.limits = strictest(roles.map(({ limits }) => limits));
    this.#schema = schema;
    this.#roles = roles.map(({ name }) => name);
    this.#allow = byAction(roles);
    this.#deny = byAction(deny);
    const { attributes } = subject;
    this.#values = attributeNames.map((name) =>
      Object.hasOwn(attributes, name) ? attributes[name] : undefined,
    );
    this.#org = this.#values[attributeNames.indexOf("org")] ?? "";
  }

  decidePublish(topicName: string): Decision {
    if (topicName.startsWith("$")) return dollarDenied;
    const asked = askedName(topicName);
    const decision = this.#decide("publish", asked);
    if (decision.effect === "Deny") return decision;
    const exchange = exchangeOf(
      this.#schema.commands,
      asked?.levels as readonly string[], // INVARIANT: a Topic Name has no wildcards
      (level, text) => levelHas(level, text, this.#org),
    );
    return exchange === undefined ? decision : inExchange(decision, exchange);
  }

  decideReceive(topicName: string): Decision {
    return this.#decide("subscribe", askedName(topicName));
  }

  decideSubscribe(topicFilter: string): Decision {
    return this.#decide("subscribe", askedFilter(topicFilter));
  }

  #decide(action: Action, asked: Asked | undefined): Decision {
    if (!asked) return malformedDenied;
    const values = this.#values;
    const [first] = asked.levels;
    const isSystem = typeof first === "string" && first.startsWith("$");
    if (!isSystem && !schemaMeets(this.#schema, this.#org, asked)) {
      return offSchemaDenied(this.#schema);
    }
    const denying = ruleMeeting(this.#deny[action], values, asked);
    if (denying) return denying.decision;
    const allow = this.#allow[action];
    const nearest: Nearest = { depth: 0, rule: undefined, unsure: undefined, unsureAt: 0 };
    const { alone, together } = rulesAllowing(allow, values, asked, nearest);
    const [rule] = alone;
    if (rule !== undefined) return alone.length === 1 ? rule.decision : permitAlone(alone);
    if (together.length > 0) return permitTogether(together);
    if (nearest.unsure) {
      return denyIndeterminate(this.subject, nearest.unsure, nearest.unsureAt);
    }
    nearest.rule ??= allow.find(({ sample }) => sample !== undefined)?.sample;
    return denyNotApplicable(this.subject, action, this.#roles, nearest, values);
  }
}

/** Neither a command nor an answer is ever retained: it would be there for whoever comes later. */
function inExchange(decision: Decision, exchange: Exchange): Decision {
  return Object.freeze({ ...decision, terms: neverRetained(decision.terms), exchange });
}

function permitAlone(rules: readonly CompiledRule[]): Decision {
  const [first] = rules as [CompiledRule];
  const terms = rules.map((rule) => rule.terms);
  return Object.freeze({ ...first.decision, terms, qos: Math.max(...terms.map(({ qos }) => qos)) });
}

function permitTogether(rules: readonly CompiledRule[]): Decision {
  const terms = rules.map((rule) => rule.terms);
  const qos = Math.min(...terms.map((one) => one.qos));
  return { ...permit(rules.map(({ id }) => id).join(","), terms), qos };
}

function byAction(parts: readonly RuleParts[]): Readonly<Record<Action, readonly RuleNode[]>> {
  return {
    publish: parts.map(({ publish }) => publish),
    subscribe: parts.map(({ subscribe }) => subscribe),
  };
}

function strictest(all: readonly SubjectLimits[]): SubjectLimits {
  const least: { -readonly [Name in keyof SubjectLimits]: number } = {};
  for (const limits of all) {
    for (const name of limitNames) {
      const limit = limits[name];
      if (limit !== undefined) least[name] = Math.min(limit, least[name] ?? limit);
    }
  }
  return least;
}

const limitNames = ["messagesPerSecond", "bytesPerSecond", "connections", "inflight"] as const;
