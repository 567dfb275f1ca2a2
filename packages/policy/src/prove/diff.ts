import { receiverOf } from "../decide/assignments.ts";
import type { Action, Place, Policy } from "../language/policy.ts";
import { isAllowed } from "./assertions.ts";
import {
  type EffectiveDeny,
  type EffectiveRule,
  effectiveDenials,
  effectiveRules,
} from "./effective-rules.ts";
import { diffParts, type PartDifference } from "./parts-diff.ts";
import {
  ask,
  type Question,
  type Universe,
  type Unknown,
  universesOf,
  type Witness,
} from "./question.ts";

/** What somebody has by a rule of one policy and has not under the other. */
export interface Difference {
  /** `device:*`, `service:dashboard` ... */
  readonly who: string;
  readonly action: Action;
  readonly filter: string;
  readonly ruleId: string;
  readonly place: Place;
  /** Whether the other policy allows nothing of it, or a part. */
  readonly extent: "all" | "part";
  /** Where the other policy allows the topics, but not such messages. */
  readonly terms: string | undefined;
  readonly example: Witness;
}

export interface PolicyDiff {
  readonly gained: readonly Difference[];
  readonly lost: readonly Difference[];
  /** Parts that differ and are no rights. */
  readonly others: readonly PartDifference[];
}

/**
 * Who gains and who loses what when one policy takes the place of another: exact over all topics and all subjects that
 * may be registered, grants counted whatever their time. Where the topic schemas differ, topics that only one of them
 * has are compared as far as the rules go, and `others` says that they differ.
 */
export function diffPolicies(former: Policy, next: Policy): PolicyDiff {
  return {
    gained: rightsOnlyIn(next, former),
    lost: rightsOnlyIn(former, next),
    others: diffParts(former, next),
  };
}

/** Nobody gains or loses by a role that nobody has. */
const isHeld = ({ assignment }: EffectiveRule) => assignment !== undefined;

interface Side {
  readonly rules: readonly EffectiveRule[];
  readonly denials: readonly EffectiveDeny[];
}

function rightsOnlyIn(one: Policy, other: Policy): readonly Difference[] {
  const differences = universesOf(one).flatMap((universe) => {
    const side = (policy: Policy): Side => ({
      rules: effectiveRules(policy, universe.org).filter(isHeld),
      denials: effectiveDenials(policy),
    });
    const [here, there] = [side(one), side(other)];
    return here.rules.flatMap((rule) => differenceOf(rule, here, there, universe, one) ?? []);
  });
  const unique = new Map(differences.map((one) => [`${one.who} ${one.ruleId} ${one.extent}`, one]));
  return [...unique.values()];
}

function differenceOf(
  rule: EffectiveRule,
  here: Side,
  there: Side,
  universe: Universe,
  policy: Policy,
): Difference | undefined {
  const same = there.rules.filter(
    ({ action, kind }) => action === rule.action && kind === rule.kind,
  );
  const covering = same.filter((one) => covers(one, rule));
  const example =
    firstWhere(rule, here, universe, covering, (question, subject) =>
      covering.every((one) => question.isNotAllowed(one, subject)),
    ) ?? deniedThere(rule, here, there, universe);
  if (!example) return undefined;
  const isAllowedThere = (rules: readonly EffectiveRule[]) =>
    rules.some((one) =>
      firstWhere(rule, here, universe, [one], (question, subject) => {
        question.chosenBy(subject, one.selector);
        return isAllowed(question, one, subject, there.denials);
      }),
    );
  const isPart = isAllowedThere(covering);
  const narrower = same.find((one) => !covering.includes(one) && isAllowedThere([one]));
  return {
    who: receiverOf(policy, rule.assignment),
    action: rule.action,
    filter: rule.filter,
    ruleId: rule.id,
    place: rule.place,
    extent: isPart ? "part" : "all",
    terms: narrower && termsBeyond(rule, narrower),
    example,
  };
}

/** A topic that the rule allows on its side, of which something more is true. */
function firstWhere(
  rule: EffectiveRule,
  { denials }: Side,
  universe: Universe,
  others: readonly { pattern: EffectiveRule["pattern"] }[],
  more: (question: Question, subject: Unknown) => boolean,
): Witness | undefined {
  const none = [...denials, ...others].map(({ pattern }) => pattern);
  return ask(universe, { action: rule.action, all: [rule.pattern], none }, (question) => {
    const subject = question.subject(rule.kind, rule.selector);
    return isAllowed(question, rule, subject, denials) && more(question, subject);
  });
}

function deniedThere(
  rule: EffectiveRule,
  here: Side,
  there: Side,
  universe: Universe,
): Witness | undefined {
  for (const deny of there.denials) {
    if (deny.action !== rule.action) continue;
    const witness = firstWhere(rule, here, universe, [deny], (question, subject) =>
      question.isDenied(deny, subject),
    );
    if (witness) return witness;
  }
  return undefined;
}

/** Whether every message that one rule lets through is let through by the other, topics aside. */
function covers({ terms: wide }: EffectiveRule, { terms: narrow }: EffectiveRule): boolean {
  return (
    wide.qos >= narrow.qos &&
    (wide.retain || !narrow.retain) &&
    wide.payloadBytes >= narrow.payloadBytes &&
    (wide.contentType === undefined || wide.contentType === narrow.contentType)
  );
}

function termsBeyond({ terms: wide }: EffectiveRule, { terms: narrow }: EffectiveRule): string {
  const beyond = [
    ...(wide.qos > narrow.qos ? [`QoS ${wide.qos}`] : []),
    ...(wide.retain && !narrow.retain ? ["retained messages"] : []),
    ...(wide.payloadBytes > narrow.payloadBytes ? ["longer payloads"] : []),
    ...(narrow.contentType !== undefined && wide.contentType !== narrow.contentType
      ? ["other content types"]
      : []),
  ];
  return beyond.join(", ");
}
