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

/**
 * What a client asks for, by levels: a Topic Filter, in which `+` is `anyLevel` and `#` and `/#` are kept as in
 * RulePattern, or a Topic Name, which is asked for alone.
 */
export interface Asked {
  readonly levels: readonly (string | typeof anyLevel)[];
  readonly rest: boolean;
}

/** What `agree` gives where the rule allows all that is asked for. */
export const allAgree = -1;

/**
 * Hot path. Compares level by level what a rule allows with all names that are asked for: set inclusion. Gives
 * `allAgree`, or how many levels agree before the first that does not. A level whose attribute the subject lacks agrees
 * with nothing.
 */
export function agree(rule: CompiledRule, values: Values, asked: Asked): number {
  const { levels } = rule;
  for (let i = 0; i < levels.length; i++) {
    const level = levels[i];
    const within = asked.levels[i];
    if (within === undefined) return i;
    if (level === anyLevel) {
      if (i === 0 && typeof within === "string" && within.startsWith("$")) return 0; // 5.0 [MQTT-4.7.2-1]
      continue;
    }
    const text = typeof level === "number" ? values[level] : level;
    if (text === undefined || text !== within) return i;
  }
  const asMany = asked.levels.length === levels.length && !asked.rest;
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
  { levels, rest }: Asked,
): readonly CompiledRule[] | undefined {
  const deepest = Math.max(0, ...rules.map((rule) => rule.levels.length));
  if (!rest || levels.length > deepest) return undefined;
  const used = new Set<CompiledRule>();
  const padded = [...levels];
  for (let depth = levels.length; depth <= deepest + 1; depth++) {
    const asked = { levels: padded, rest: depth > deepest };
    const rule = rules.find((one) => agree(one, values, asked) === allAgree);
    if (!rule) return undefined;
    used.add(rule);
    padded.push(anyLevel);
  }
  return [...used];
}

/** The levels of a Topic Filter; undefined where it is none (5.0 [MQTT-4.7.1-1], [MQTT-4.7.1-2]). */
export function askedFilter(topicFilter: string): Asked | undefined {
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

/** The levels of a well-formed Topic Name. */
export function askedName(topicName: string): Asked | undefined {
  return topicName === "" ? undefined : { levels: topicName.split("/"), rest: false };
}
