import type { Selector } from "../decide/assignments.ts";
import type { Subject } from "../decide/decision.ts";
import { reservedWords, type SchemaLevel, topicSchema } from "../decide/topic-schema.ts";
import {
  type AttributeName,
  attributeNames,
  hasAttribute,
  type Policy,
  type SubjectKind,
} from "../language/policy.ts";
import type { RulePattern } from "../language/rule-pattern.ts";
import type { EffectiveDeny, EffectiveRule } from "./effective-rules.ts";
import { type Difference, type Domain, solve, type Term } from "./solver.ts";

/** One form of the topics that can exist, as levels and perhaps more of them. */
interface Form {
  readonly levels: readonly SchemaLevel[];
  readonly rest: boolean;
  /** What stands beyond `levels`. */
  readonly beyond: "segment" | "any";
  readonly first: "org" | "plain" | "system";
}

/** The topics and subjects of one tenant; `org` is undefined where the policy names none. */
export interface Universe {
  readonly policy: Policy;
  readonly org: string | undefined;
  readonly others: readonly string[];
  readonly forms: readonly Form[];
}

/** A topic and subjects for whom something is so. */
export interface Witness {
  readonly topic: string;
  readonly subjects: readonly Subject[];
}

/** The universes that a policy speaks of: one for each of its tenants. */
export function universesOf(policy: Policy): readonly Universe[] {
  const orgs = policy.tenants.length === 0 ? [undefined] : policy.tenants.map(({ name }) => name);
  return orgs.map((org) => {
    const schema = topicSchema(policy, org);
    const topics: Form[] = schema.isStrict
      ? schema.templates.map((one) => ({ ...one, beyond: "segment", first: "org" }))
      : [{ levels: [], rest: true, beyond: "any", first: "plain" }];
    const others = policy.tenants.flatMap(({ name }) => (name === org ? [] : name));
    return { policy, org, others, forms: topics };
  });
}

const system: Form = {
  levels: [{ is: "text", text: "$SYS" }],
  rest: true,
  beyond: "any",
  first: "system",
};

type Attributes = Readonly<Partial<Record<AttributeName, Term>>>;

/** A subject that is not known, but for its kind and what is asked of it. */
export interface Unknown {
  readonly kind: SubjectKind;
  readonly attributes: Attributes;
}

/**
 * A question whether there is a topic, of one form and depth, and subjects of whom some things are true and others are
 * not. Each method adds a condition; a false answer says that it cannot hold at all.
 */
export class Question {
  readonly #universe: Universe;
  readonly #form: Form;
  readonly #domains: Domain[] = [];
  readonly #equal: [Term, Term][] = [];
  readonly #clauses: Difference[][] = [];
  readonly #subjects: Unknown[] = [];
  readonly #topic: Term[];

  constructor(universe: Universe, form: Form, depth: number) {
    this.#universe = universe;
    this.#form = form;
    this.#topic = Array.from({ length: depth }, (_, i) => this.#level(form.levels[i], i));
  }

  #unknown(domain: Domain): number {
    this.#domains.push(domain);
    return this.#domains.length - 1;
  }

  #level(level: SchemaLevel | undefined, i: number): Term {
    if (level === undefined) {
      const kind = i === 0 ? "plain" : this.#form.beyond;
      const except = i === 0 ? { except: new Set(this.#universe.others) } : {};
      return this.#unknown({ kind, called: "level", ...except });
    }
    switch (level.is) {
      case "text":
        return level.text;
      case "org":
        return this.#unknown({ kind: "name", called: "org" });
      case "uuid":
        return this.#unknown({ kind: "uuid", called: "uuid" });
      case "name":
        return this.#unknown({ kind: "name", called: level.name, except: level.except });
      case "values":
        return this.#unknown({ kind: "segment", called: level.name, only: level.values });
    }
  }

  /** A subject of this kind that the selector chooses; whoever acts in a schema has its org in the topic. */
  subject(kind: SubjectKind, { id, attributes: chosen = {} }: Selector): Unknown {
    const { org, policy } = this.#universe;
    const schema = topicSchema(policy, org);
    const attributes: Partial<Record<AttributeName, Term>> = {};
    for (const name of attributeNames) {
      if (hasAttribute(kind, name) === "never") continue;
      const only = chosen[name];
      attributes[name] = this.#unknown({
        kind: name === "id" && kind === "device" ? "uuid" : "name",
        called: name === "id" ? kind : name,
        except: reservedWords(schema, name),
        ...(only === undefined ? {} : { only: new Set(only) }),
      });
    }
    const subject = { kind, attributes };
    if (id !== undefined) this.#equate(attributes.id, id.slice(kind.length + 1));
    if (org !== undefined) this.#equate(attributes.org, org);
    if (this.#form.first === "org") this.#equate(attributes.org, this.#topic[0]);
    this.#subjects.push(subject);
    return subject;
  }

  #equate(one: Term | undefined, other: Term | undefined): void {
    if (one !== undefined && other !== undefined) this.#equal.push([one, other]);
  }

  equate(one: Unknown, name: AttributeName, value: Term): void {
    this.#equate(one.attributes[name], value);
  }

  /** The subjects are two that differ in this attribute. */
  differ(one: Unknown, other: Unknown, name: AttributeName): void {
    const [a, b] = [one.attributes[name], other.attributes[name]];
    if (a !== undefined && b !== undefined) this.#clauses.push([[a, b]]);
  }

  /** No level of the topic is the subject's own id. */
  holdsNotId({ attributes: { id } }: Unknown): void {
    if (id === undefined) return;
    for (const level of this.#topic) this.#clauses.push([[level, id]]);
  }

  /** Whether the form has a meaning for each text of the pattern: what stands below its `#` is nobody's channel. */
  means({ levels }: RulePattern): boolean {
    return levels.every((level, i) => level.is !== "text" || i < this.#form.levels.length);
  }

  /** The topic is one that the pattern matches for the subject. */
  matches(pattern: RulePattern, { attributes }: Unknown): boolean {
    const pairs = this.#pairs(pattern, attributes, "never");
    if (pairs === undefined) return false;
    this.#equal.push(...pairs);
    return true;
  }

  /** The subject is one that the selector chooses too; its kind has been compared. */
  chosenBy({ kind, attributes }: Unknown, { id, attributes: chosen = {} }: Selector): void {
    if (id !== undefined) this.#equate(attributes.id, id.slice(kind.length + 1));
    for (const [name, values] of Object.entries(chosen)) {
      const attribute = attributes[name as AttributeName];
      if (attribute === undefined) continue;
      const one = this.#unknown({ kind: "name", called: name, only: new Set(values) });
      this.#equate(attribute, one);
    }
  }

  /** The topic is one that the rule denies the subject. */
  isDenied(rule: EffectiveDeny, subject: Unknown): boolean {
    if (rule.kind !== undefined && rule.kind !== subject.kind) return false;
    const pairs = this.#pairs(rule.pattern, subject.attributes, "always");
    if (pairs === undefined) return false;
    const attributes = Object.fromEntries(rule.conditions.map(([name, value]) => [name, [value]]));
    this.chosenBy(subject, {
      ...(rule.subject === undefined ? {} : { id: rule.subject }),
      attributes,
    });
    this.#equal.push(...pairs);
    return true;
  }

  /** The topic is none that the rule allows the subject. */
  isNotAllowed(rule: EffectiveRule, subject: Unknown): boolean {
    if (rule.kind !== subject.kind) return true;
    const pairs = this.#pairs(rule.pattern, subject.attributes, "never");
    if (pairs === undefined) return true;
    const chosen = combinationsOf(rule);
    return chosen.every((conditions) =>
      this.#excludes(pairs, subject, rule.selector.id, conditions),
    );
  }

  /** The topic is none that the rule denies the subject. */
  isNotDenied(rule: EffectiveDeny, subject: Unknown): boolean {
    if (rule.kind !== undefined && rule.kind !== subject.kind) return true;
    const pairs = this.#pairs(rule.pattern, subject.attributes, "always");
    if (pairs === undefined) return true;
    return this.#excludes(pairs, subject, rule.subject, rule.conditions);
  }

  /** Not all of these are so: one pair of the match differs, or the subject is not one that is meant. */
  #excludes(
    pairs: readonly Difference[],
    { kind, attributes }: Unknown,
    id: string | undefined,
    conditions: readonly (readonly [string, string])[],
  ): boolean {
    const clause = [...pairs];
    if (id !== undefined && attributes.id !== undefined) {
      clause.push([attributes.id, id.slice(kind.length + 1)]);
    }
    for (const [name, value] of conditions) {
      const attribute = attributes[name as AttributeName];
      if (attribute === undefined) return true;
      clause.push([attribute, value]);
    }
    this.#clauses.push(clause);
    return clause.length > 0;
  }

  /** What must be equal for the pattern to match, level by level; undefined where it never does. */
  #pairs(
    { levels, rest }: RulePattern,
    attributes: Attributes,
    whereMissing: "never" | "always",
  ): [Term, Term][] | undefined {
    const depth = this.#topic.length;
    if (rest ? depth < levels.length : depth !== levels.length) return undefined;
    const pairs: [Term, Term][] = [];
    for (const [i, level] of levels.entries()) {
      const at = this.#topic[i] as Term;
      if (level.is === "any") {
        if (i === 0 && this.#form.first === "system") return undefined;
        continue;
      }
      const term = level.is === "text" ? level.text : attributes[level.name];
      if (term !== undefined) pairs.push([at, term]);
      else if (whereMissing === "never") return undefined;
    }
    return pairs;
  }

  answer(): Witness | undefined {
    const values = solve({ domains: this.#domains, equal: this.#equal, clauses: this.#clauses });
    if (!values) return undefined;
    const text = (term: Term) => (typeof term === "string" ? term : (values[term] as string));
    return {
      topic: this.#topic.map(text).join("/"),
      subjects: this.#subjects.map(({ kind, attributes }) => {
        const named = Object.entries(attributes).map(([name, term]) => [name, text(term)] as const);
        const known: Record<string, string> = Object.fromEntries(named);
        return { id: `${kind}:${known["id"]}`, kind, attributes: known };
      }),
    };
  }
}

function combinationsOf({ selector, conditions }: EffectiveRule): (readonly [string, string])[][] {
  let all: (readonly [string, string])[][] = [[...conditions]];
  for (const [name, values] of Object.entries(selector.attributes ?? {})) {
    all = all.flatMap((one) =>
      values.map((value): (readonly [string, string])[] => [...one, [name, value]]),
    );
  }
  return all;
}

/** The patterns that are to match, and those whose depth matters because they must not. */
export interface Reach {
  readonly action: "publish" | "subscribe";
  readonly all: readonly RulePattern[];
  readonly none: readonly RulePattern[];
}

/**
 * Asks for each form and depth of topics until one has an answer. Beyond the deepest pattern all depths are alike, so
 * finitely many are asked.
 */
export function ask(
  universe: Universe,
  { action, all, none }: Reach,
  build: (question: Question) => boolean,
): Witness | undefined {
  const forms = action === "subscribe" ? [...universe.forms, system] : universe.forms;
  for (const form of forms) {
    for (const depth of depthsOf(form, all, none)) {
      const question = new Question(universe, form, depth);
      const witness = build(question) ? question.answer() : undefined;
      if (witness) return witness;
    }
  }
  return undefined;
}

function depthsOf(
  { levels, rest }: Form,
  all: readonly RulePattern[],
  none: readonly RulePattern[],
): readonly number[] {
  const exact = [...all, { levels, rest }].filter((one) => !one.rest);
  const least = Math.max(1, levels.length, ...all.map((one) => one.levels.length));
  const [first] = exact;
  if (first) {
    const depth = first.levels.length;
    return depth >= least && exact.every((one) => one.levels.length === depth) ? [depth] : [];
  }
  const deepest = Math.max(least, ...none.map((one) => one.levels.length + 1));
  return Array.from({ length: deepest - least + 1 }, (_, i) => least + i);
}
