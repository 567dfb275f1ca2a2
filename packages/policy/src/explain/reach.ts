import { assignmentsOf, countsAt, receiverOf, selects } from "../decide/assignments.ts";
import type { Subject } from "../decide/decision.ts";
import { narrow } from "../decide/narrow.ts";
import type { Terms } from "../decide/terms.ts";
import { termsOf } from "../decide/terms.ts";
import { topicSchema } from "../decide/topic-schema.ts";
import { type Action, actions, type Place, type Policy, ruleIdOf } from "../language/policy.ts";
import {
  isFault,
  parseRulePattern,
  patternOf,
  type RulePattern,
} from "../language/rule-pattern.ts";
import type { Fault } from "../language/shape.ts";
import { isAllowed } from "../prove/assertions.ts";
import { effectiveDenials, effectiveRules } from "../prove/effective-rules.ts";
import { ask, universesOf, type Witness } from "../prove/question.ts";

/** Somebody who can do what was asked, and one example of it. */
export interface Reacher {
  /** `device:*`, `group:icu`, `service:dashboard`, or a role that only a token gives. */
  readonly who: string;
  readonly role: string;
  readonly ruleId: string;
  readonly filter: string;
  readonly place: Place;
  readonly from: number | undefined;
  readonly until: number | undefined;
  readonly example: Witness;
}

/** What keeps a text from being asked about with `whoCan`, and what to write; undefined where nothing does. */
export function faultOfFilter(text: string): Pick<Fault, "message" | "hint"> | undefined {
  const pattern = parseRulePattern(text, "subscribe");
  return isFault(pattern) ? pattern : undefined;
}

/** Who can publish to a topic of this well-formed filter, or read one: exactly those, whoever will be registered. */
export function whoCan(policy: Policy, action: Action, filter: string): readonly Reacher[] {
  const on = patternOf(filter);
  const denials = effectiveDenials(policy);
  return universesOf(policy).flatMap((universe) =>
    effectiveRules(policy, universe.org).flatMap((rule): Reacher[] => {
      if (rule.action !== action || rule.assignment === undefined) return [];
      const reach = {
        action,
        all: [rule.pattern, on],
        none: denials.map(({ pattern }) => pattern),
      };
      const example = ask(universe, reach, (question) => {
        const subject = question.subject(rule.kind, rule.selector);
        return question.matches(on, subject) && isAllowed(question, rule, subject, denials);
      });
      if (!example) return [];
      const { id: ruleId, role, place, assignment } = rule;
      const { from, until } = assignment ?? {};
      const who = receiverOf(policy, assignment);
      return [{ who, role, ruleId, filter: rule.filter, place, from, until, example }];
    }),
  );
}

/** One thing that a subject may do. */
export interface Right {
  readonly action: Action;
  /** With the subject's attributes in place of braces. */
  readonly filter: string;
  readonly ruleId: string;
  readonly place: Place;
  readonly terms: Terms;
  readonly until: number | undefined;
}

/** Everything a subject may do at a time, rule by rule, and what is denied to it whatever the rules say. */
export function whatCan(
  policy: Policy,
  subject: Subject,
  at: number,
): {
  readonly allowed: readonly Right[];
  readonly denied: readonly { action: Action; filter: string; ruleId: string }[];
} {
  const org = subject.attributes["org"];
  const schema = topicSchema(policy, org);
  const held = assignmentsOf(policy).filter(
    (one) => selects(one.selector, subject) && countsAt(one, at),
  );
  const ofToken = (subject.roles ?? []).map((role) => ({
    role,
    where: undefined,
    until: undefined,
  }));
  const allowed = [...held, ...ofToken].flatMap(({ role: name, where, until }) => {
    const role = policy.roles.find((one) => one.name === name);
    return actions.flatMap((action) =>
      (role?.[action] ?? []).flatMap((rule, index): Right[] => {
        const ruleId = ruleIdOf(name, action, index);
        const whole = patternOf(rule.filter);
        const patterns =
          where === undefined ? [whole] : narrow(whole, where, subject.attributes, schema);
        const filters = patterns.flatMap((pattern) => filled(pattern, subject) ?? []);
        const terms = termsOf(rule, ruleId);
        return filters.map((filter) => ({ action, filter, ruleId, place: rule, terms, until }));
      }),
    );
  });
  const denied = effectiveDenials(policy)
    .filter(({ kind, subject: id, conditions }) => {
      const attributes = Object.fromEntries(conditions.map(([key, value]) => [key, [value]]));
      return selects(
        {
          ...(kind === undefined ? {} : { kind }),
          ...(id === undefined ? {} : { id }),
          attributes,
        },
        subject,
      );
    })
    .map(({ action, filter, id }) => ({ action, filter, ruleId: id }));
  return { allowed, denied };
}

/** The filter with attributes filled in; undefined where the subject lacks one. */
function filled({ levels, rest }: RulePattern, { attributes }: Subject): string | undefined {
  const texts = levels.map((level) =>
    level.is === "any" ? "+" : level.is === "text" ? level.text : attributes[level.name],
  );
  if (texts.includes(undefined)) return undefined;
  const text = [...texts, ...(rest ? ["#"] : [])].join("/");
  return text === "+/#" ? "#" : text;
}
