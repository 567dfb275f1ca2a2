import type { Decision } from "./decision.ts";
import type { Action } from "./policy.ts";

/** In place of a level's text: `+`. Numbers from 0 are an attribute by its index in `attributeNames`. */
export const anyLevel = -1;

/** A rule cut into levels; its attributes are looked up in the subject's values, never put into a text. */
export interface CompiledRule {
  readonly id: string;
  readonly line: number;
  readonly levels: readonly (string | number)[];
  /** Ends in `#`. */
  readonly rest: boolean;
  /** The Decision when this rule permits, made once. */
  readonly permit: Decision;
}

/** All rules of the roles that are bound to a subject. */
export interface RuleSet extends Readonly<Record<Action, readonly CompiledRule[]>> {
  readonly roles: readonly string[];
}

/** A subject's attributes in the order of `attributeNames`. */
export type Values = readonly (string | undefined)[];

/** A Topic Filter that a client asks for, by levels; `+` is `anyLevel`. `#` and `/#` are kept as in RulePattern. */
export interface RequestedFilter {
  readonly levels: readonly (string | typeof anyLevel)[];
  readonly rest: boolean;
}

/** What the two functions below give where the rule allows all that was asked for. */
export const allAgree = -1;

const dollar = 0x24;
const slash = 0x2f;

/**
 * Hot path. Compares a Topic Name level by level: `allAgree`, or how many levels agree before the first that does not.
 * A level whose attribute the subject lacks agrees with nothing.
 */
export function agreeWithName(rule: CompiledRule, values: Values, name: string): number {
  const { levels } = rule;
  let at = 0; // where the level begins; behind the end when the name has no such level
  for (let i = 0; i < levels.length; i++) {
    const level = levels[i];
    if (at > name.length) return i;
    if (level === anyLevel) {
      if (i === 0 && name.charCodeAt(0) === dollar) return 0; // 5.0 [MQTT-4.7.2-1]
      const end = name.indexOf("/", at);
      at = end === -1 ? name.length + 1 : end + 1;
      continue;
    }
    const text = typeof level === "number" ? values[level] : level;
    if (text === undefined || !name.startsWith(text, at)) return i;
    at += text.length;
    if (at < name.length && name.charCodeAt(at) !== slash) return i;
    at += 1;
  }
  return rule.rest || at > name.length ? allAgree : levels.length;
}

/** As `agreeWithName`, for all names that a filter can match: set inclusion, level by level. */
export function agreeWithFilter(
  rule: CompiledRule,
  values: Values,
  requested: RequestedFilter,
): number {
  const { levels } = rule;
  for (let i = 0; i < levels.length; i++) {
    const level = levels[i];
    const asked = requested.levels[i];
    if (asked === undefined) return i;
    if (level === anyLevel) {
      if (i === 0 && typeof asked === "string" && asked.startsWith("$")) return 0;
      continue;
    }
    const text = typeof level === "number" ? values[level] : level;
    if (text === undefined || text !== asked) return i;
  }
  const asMany = requested.levels.length === levels.length && !requested.rest;
  return rule.rest || asMany ? allAgree : levels.length;
}

/**
 * The rules that allow a filter ending in `#` between them where no one does, as `a` and `a/+/#` allow `a/#`.
 * Exact: names of one depth are either all allowed by one rule, or one of them, with texts that no rule has in place of
 * `+`, is allowed by none; and beyond the deepest rule only rules with `#` are left, at every depth the same.
 */
export function rulesTogether(
  rules: readonly CompiledRule[],
  values: Values,
  { levels, rest }: RequestedFilter,
): readonly CompiledRule[] | undefined {
  const deepest = Math.max(0, ...rules.map((rule) => rule.levels.length));
  if (!rest || levels.length > deepest) return undefined;
  const used = new Set<CompiledRule>();
  const padded = [...levels];
  for (let depth = levels.length; depth <= deepest + 1; depth++) {
    const requested = { levels: padded, rest: depth > deepest };
    const rule = rules.find((one) => agreeWithFilter(one, values, requested) === allAgree);
    if (!rule) return undefined;
    used.add(rule);
    padded.push(anyLevel);
  }
  return [...used];
}

/** The levels of a Topic Filter; undefined where it is none (5.0 [MQTT-4.7.1-1], [MQTT-4.7.1-2]). */
export function parseRequest(topicFilter: string): RequestedFilter | undefined {
  if (topicFilter === "") return undefined;
  const levels: (string | typeof anyLevel)[] = topicFilter.split("/");
  const rest = levels.at(-1) === "#";
  if (rest) levels.pop();
  for (let i = 0; i < levels.length; i++) {
    const level = levels[i];
    if (level === "+") levels[i] = anyLevel;
    else if (typeof level === "string" && /[+#]/.test(level)) return undefined;
  }
  if (topicFilter === "#" || topicFilter === "/#") levels.push(anyLevel);
  return { levels, rest };
}
