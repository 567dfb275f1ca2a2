import {
  mostDifferences,
  type ShadowCounts,
  type ShadowDifference,
  type ShadowOutcome,
} from "@wardmq/feed";
import type { CompiledPolicy, Decision, SubjectRights, Terms } from "@wardmq/policy/compile";
import type { SubjectState } from "./subjects.ts";

/** What rights are asked. */
export type Asked = "decidePublish" | "decideSubscribe" | "decideReceive";

const actOf = {
  decidePublish: "publish",
  decideSubscribe: "subscribe",
  decideReceive: "receive",
} as const satisfies Record<Asked, ShadowDifference["act"]>;

export interface ShadowTrialParts {
  readonly id: string;
  readonly policy: CompiledPolicy;
  /** Milliseconds since 1970. */
  readonly until: number;
  /** A topic as it may be shown to a person. */
  readonly shown: (topic: string) => string;
}

/**
 * A policy on trial. It is asked what the one in force was asked, and only what it would decide otherwise is counted:
 * by act, kind of subject, topic with the subject's attributes in braces, and rules. At most `mostDifferences` kinds.
 */
export class ShadowTrial {
  readonly id: string;
  readonly #parts: ShadowTrialParts;
  #rights = new WeakMap<SubjectRights, SubjectRights>();
  /** When grants of the policy on trial begin or end next. */
  #rightsUntil = Number.NEGATIVE_INFINITY;
  #counted = new Map<string, { difference: ShadowDifference; count: number }>();
  #decisions = 0;
  #uncounted = 0;

  constructor(parts: ShadowTrialParts) {
    this.id = parts.id;
    this.#parts = parts;
  }

  hasEnded(now: number): boolean {
    return now >= this.#parts.until;
  }

  /** `decision` is what the policy in force has decided by `rights`; it counts whatever comes out here. */
  look(
    { record, grant }: SubjectState,
    rights: SubjectRights,
    asked: Asked,
    topic: string,
    decision: Decision,
    now: number,
  ): void {
    const { id, kind, attributes } = record;
    const subject = { id, kind, attributes, roles: grant?.roles ?? [] };
    const onTrial = this.#rightsBeside(rights, subject, now)[asked](topic);
    this.#decisions += 1;
    const outcomes = differingOutcomes(decision, onTrial);
    if (outcomes === undefined) return;
    const difference = {
      act: actOf[asked],
      kind,
      topic: this.#parts.shown(topicClass(topic, attributes)),
      ...outcomes,
      count: 0,
      example: { subject: id, topic: this.#parts.shown(topic) },
    };
    this.#count(difference);
  }

  /** Hands over what was counted since; `tell` says whether it was taken. */
  tell(tell: (counts: ShadowCounts) => boolean): void {
    if (this.#decisions === 0) return;
    const differences = [...this.#counted.values()].map(({ difference, count }) => ({
      ...difference,
      count,
    }));
    const { id } = this;
    const [decisions, uncounted] = [this.#decisions, this.#uncounted];
    if (!tell({ id, decisions, differences, uncounted })) return;
    this.#counted = new Map();
    this.#decisions = 0;
    this.#uncounted = 0;
  }

  #count(difference: ShadowDifference): void {
    const { act, kind, topic, inForce, onTrial } = difference;
    const key = JSON.stringify([act, kind, topic, inForce, onTrial]);
    const counted = this.#counted.get(key);
    if (counted !== undefined) counted.count += 1;
    else if (this.#counted.size < mostDifferences) this.#counted.set(key, { difference, count: 1 });
    else this.#uncounted += 1;
  }

  /** Rights of the policy in force are made anew with every change of a subject, and so are those beside them. */
  #rightsBeside(
    rights: SubjectRights,
    subject: SubjectRights["subject"],
    now: number,
  ): SubjectRights {
    if (now >= this.#rightsUntil) {
      this.#rights = new WeakMap();
      this.#rightsUntil = this.#parts.policy.nextChange(now);
    }
    let beside = this.#rights.get(rights);
    if (beside === undefined) {
      beside = this.#parts.policy.rightsOf(subject, now);
      this.#rights.set(rights, beside);
    }
    return beside;
  }
}

function differingOutcomes(inForce: Decision, onTrial: Decision) {
  if (inForce.effect !== onTrial.effect) {
    return { inForce: outcomeOf(inForce), onTrial: outcomeOf(onTrial) };
  }
  if (inForce.effect === "Deny") return undefined;
  const [former, next] = [termsText(inForce.terms), termsText(onTrial.terms)];
  if (former === next) return undefined;
  return {
    inForce: { ...outcomeOf(inForce), terms: former },
    onTrial: { ...outcomeOf(onTrial), terms: next },
  };
}

function outcomeOf({ effect, ruleId }: Decision): ShadowOutcome {
  return ruleId === undefined ? { effect } : { effect, ruleId };
}

function termsText(terms: readonly Terms[]): string {
  const texts = terms.map(({ qos, retain, payloadBytes, contentType }) =>
    [
      `QoS ${qos}`,
      ...(retain ? ["retained"] : []),
      ...(Number.isFinite(payloadBytes) ? [`${payloadBytes} bytes`] : []),
      ...(contentType === undefined ? [] : [contentType]),
    ].join(", "),
  );
  return [...new Set(texts)].sort().join(" or ");
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const named = ["org", "id", "site", "ward", "model"] as const;

/** The topic with what is the subject's own in braces, so that topics alike are counted together. */
function topicClass(topic: string, attributes: Readonly<Record<string, string>>): string {
  const levels = topic.split("/").map((level) => {
    const name = named.find((one) => attributes[one] === level);
    if (name !== undefined) return `{${name}}`;
    return uuid.test(level) ? "{uuid}" : level;
  });
  return levels.join("/");
}
