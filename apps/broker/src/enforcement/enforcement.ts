import { printable, type SecurityEvent } from "@wardmq/events";
import type { CompiledPolicy, Decision } from "@wardmq/policy/compile";
import type { TokenAction } from "@wardmq/tokens/verify";
import type { SubjectState, Subjects } from "./subjects.ts";

export type Act = "publish" | "subscribe" | "will" | "delivery";

const deniedEvent = {
  publish: "publish-denied",
  subscribe: "subscribe-denied",
  will: "will-denied",
  delivery: "delivery-denied",
} as const satisfies Record<Act, SecurityEvent["type"]>;

/** Who asks, for the event of a refusal. */
export interface Requester {
  readonly subject: SubjectState;
  readonly clientId?: string;
  readonly address?: string;
}

/**
 * The Policy Enforcement Point: every act on every path is asked here, on its final value, and nowhere else. No policy
 * and a failing policy are a Deny. `epoch` grows with every change that could alter an answer, so a remembered answer
 * is good while the epoch is the same.
 */
export class Enforcement {
  epoch = 1;
  #policy: CompiledPolicy | undefined;
  readonly #subjects: Subjects;
  readonly #record: (event: Omit<SecurityEvent, "at">) => void;
  readonly #tokenNow: () => number;

  /** `tokenNow` is the time that tokens end by. */
  constructor(
    subjects: Subjects,
    record: (event: Omit<SecurityEvent, "at">) => void,
    tokenNow: () => number,
  ) {
    this.#subjects = subjects;
    this.#record = record;
    this.#tokenNow = tokenNow;
  }

  /** Hot path. Whether the token that speaks for the subject has ended: from then on it sends and gets nothing. */
  hasEnded({ grant }: SubjectState): boolean {
    return grant !== undefined && this.#tokenNow() >= grant.expiresAt;
  }

  usePolicy(policy: CompiledPolicy): void {
    this.#policy = policy;
    this.#subjects.forgetRights();
    this.worldChanged();
  }

  /** A policy or a subject changed: what was remembered is asked again. */
  worldChanged(): void {
    this.epoch += 1;
  }

  decidePublish(subject: SubjectState, topicName: string): Decision {
    return this.#decide(subject, "publish", (rights) => rights.decidePublish(topicName));
  }

  decideReceive(subject: SubjectState, topicName: string): Decision {
    return this.#decide(subject, "subscribe", (rights) => rights.decideReceive(topicName));
  }

  authorizePublish(requester: Requester, topicName: string, act: "publish" | "will"): boolean {
    return this.#enforce(
      requester,
      act,
      topicName,
      this.#endedOf(requester.subject) ?? this.decidePublish(requester.subject, topicName),
    );
  }

  /** `topicFilter` without `$share/group/`. */
  authorizeSubscribe(requester: Requester, topicFilter: string): boolean {
    const { subject } = requester;
    const decision =
      this.#endedOf(subject) ??
      this.#decide(subject, "subscribe", (rights) => rights.decideSubscribe(topicFilter));
    return this.#enforce(requester, "subscribe", topicFilter, decision);
  }

  /**
   * A message that waited, in a queue or as a retained one: both ends still need their right to it. That the token of
   * its publisher has ended since takes nothing back.
   */
  authorizeDelivery(requester: Requester, topicName: string, publisher: SubjectState): boolean {
    const { subject } = requester;
    const mayReceive = this.#endedOf(subject) ?? this.decideReceive(subject, topicName);
    if (mayReceive.effect === "Deny") {
      return this.#enforce(requester, "delivery", topicName, mayReceive);
    }
    const mayPublish = this.decidePublish(publisher, topicName);
    return this.#enforce({ subject: publisher }, "delivery", topicName, mayPublish);
  }

  #endedOf(subject: SubjectState): Decision | undefined {
    return this.hasEnded(subject) ? deny("the token has ended") : undefined;
  }

  #decide(
    subject: SubjectState,
    action: TokenAction,
    ask: (rights: NonNullable<SubjectState["rights"]>) => Decision,
  ): Decision {
    if (this.#policy === undefined) return deny("no policy has been received yet");
    if (!subject.isAdmitted) return deny(`the subject is ${subject.record.state}`);
    if (subject.grant?.actions.includes(action) === false) {
      return deny(`the scopes of the token leave no right to ${action}`);
    }
    try {
      return ask(this.#subjects.rightsOf(subject, this.#policy));
    } catch {
      return deny("the decision failed; see internal-error events");
    }
  }

  #enforce(requester: Requester, act: Act, topic: string, decision: Decision): boolean {
    if (decision.effect === "Permit") return true;
    this.#record({
      type: deniedEvent[act],
      subject: requester.subject.id,
      ...(requester.clientId === undefined ? {} : { clientId: printable(requester.clientId) }),
      ...(requester.address === undefined ? {} : { address: requester.address }),
      topic: printable(topic),
      check: "policy",
      ...(decision.ruleId === undefined ? {} : { ruleId: decision.ruleId }),
      ...(decision.hint === undefined ? {} : { why: decision.hint }),
    });
    return false;
  }
}

function deny(hint: string): Decision {
  return { effect: "Deny", because: "Indeterminate", ruleId: undefined, hint };
}
