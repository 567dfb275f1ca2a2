import { printable, type SecurityEvent } from "@wardmq/events";
import {
  type CompiledPolicy,
  type Decision,
  deny,
  denyByTerms,
  type Exchange,
  isWithin,
  type MessageTraits,
  retainSecondsOf,
  type SubjectLimits,
  type Terms,
} from "@wardmq/policy/compile";
import type { TokenAction } from "@wardmq/tokens/verify";
import {
  type ExchangedMessage,
  type ExchangeFault,
  OpenCommand,
  type OpenCommands,
} from "./open-commands.ts";
import { type FreeText, PhiWatch } from "./phi-watch.ts";
import { PolicyWatch } from "./policy-watch.ts";
import type { Asked } from "./shadow-trial.ts";
import type { SubjectState, Subjects } from "./subjects.ts";

export type Act = "publish" | "subscribe" | "will" | "delivery" | "command" | "response";

const deniedEvent = {
  publish: "publish-denied",
  subscribe: "subscribe-denied",
  will: "will-denied",
  delivery: "delivery-denied",
  command: "command-denied",
  response: "response-denied",
} as const satisfies Record<Act, SecurityEvent["type"]>;

/** A message that waited. */
export interface DeliveredMessage extends MessageTraits {
  readonly topic: { readonly name: string };
  readonly publisher: SubjectState;
}

/** What a will is judged by. */
export interface WillTraits extends MessageTraits, FreeText {
  readonly responseTopic: string | undefined;
}

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
  readonly phi: PhiWatch;
  readonly commands: OpenCommands;
  readonly watch: PolicyWatch;
  #policy: CompiledPolicy | undefined;
  readonly #subjects: Subjects;
  readonly #record: (event: Omit<SecurityEvent, "at">) => void;
  readonly #tokenNow: () => number;

  /** `tokenNow` is the time that tokens end by, and that grants begin and end by. */
  constructor(
    subjects: Subjects,
    record: (event: Omit<SecurityEvent, "at">) => void,
    tokenNow: () => number,
    commands: OpenCommands,
    failed: (error: unknown) => void,
  ) {
    this.#subjects = subjects;
    this.commands = commands;
    this.#record = record;
    this.phi = new PhiWatch(record);
    this.watch = new PolicyWatch(failed);
    this.#tokenNow = tokenNow;
  }

  /** Hot path. Whether the token that speaks for the subject has ended: from then on it sends and gets nothing. */
  hasEnded({ grant }: SubjectState): boolean {
    return grant !== undefined && this.#tokenNow() >= grant.expiresAt;
  }

  /** Makes a policy count from now on; the same one again where one of its grants has begun or ended. */
  usePolicy(policy: CompiledPolicy): void {
    this.#policy = { ...policy }; // another one than before: rights that were worked out belong to a policy
    this.phi.use(policy.phi);
    this.watch.rules.forget();
    this.#subjects.forgetRights();
    this.worldChanged();
  }

  /** A policy or a subject changed: what was remembered is asked again. */
  worldChanged(): void {
    this.epoch += 1;
  }

  /** The limits of the subject's roles. Whoever has no rights at all, and so nothing to limit, has none. */
  limitsOf(subject: SubjectState): SubjectLimits {
    if (this.#policy?.hasLimits !== true || !subject.isAdmitted) return noLimits;
    return this.#subjects.rightsOf(subject, this.#policy, this.#tokenNow()).limits;
  }

  decidePublish(subject: SubjectState, topicName: string): Decision {
    return this.#decide(subject, "decidePublish", topicName);
  }

  decideReceive(subject: SubjectState, topicName: string): Decision {
    return this.#decide(subject, "decideReceive", topicName);
  }

  /** Whether messages to this topic may be published, and the terms they must keep to. */
  authorizePublish(requester: Requester, topicName: string): Decision {
    const { subject } = requester;
    const decision = this.#endedOf(subject) ?? this.decidePublish(subject, topicName);
    if (!this.#enforce(requester, "publish", topicName, decision)) return decision;
    return this.phi.blocks(requester, "topic", topicName) ? deniedByPhi : decision;
  }

  /** The Deny, recorded, of a message on an allowed topic that keeps to none of the terms. */
  refuseMessage(
    requester: Requester,
    topicName: string,
    terms: readonly Terms[],
    message: MessageTraits,
  ): Decision {
    const decision = denyByTerms(terms, message);
    this.#enforce(requester, "publish", topicName, decision);
    return decision;
  }

  /** A will, when it is set and when it is sent: judged as the publish it becomes. */
  authorizeWill(requester: Requester, topicName: string, message: WillTraits): boolean {
    const { subject } = requester;
    const decided = this.#endedOf(subject) ?? this.#decideMessage(subject, topicName, message);
    const { exchange } = decided;
    const decision = exchange === undefined ? decided : deny("Deny", noWill, exchange.ruleId);
    if (!this.#enforce(requester, "will", topicName, decision)) return false;
    if (this.phi.blocks(requester, "will topic", topicName)) return false;
    if (this.phi.blocksFreeText(requester, message)) return false;
    const { responseTopic } = message;
    if (responseTopic === undefined) return true;
    return this.authorizeResponseTopic(requester, "will", responseTopic).effect === "Permit";
  }

  /**
   * An answer goes wherever a Response Topic says, with the rights of whoever answers: the requester may name only what
   * it may subscribe to itself. `act` is what the Response Topic came with.
   */
  authorizeResponseTopic(
    requester: Requester,
    act: "publish" | "will",
    responseTopic: string,
  ): Decision {
    if (this.phi.blocks(requester, "response topic", responseTopic)) return deniedByPhi;
    const decision = this.#decide(requester.subject, "decideSubscribe", responseTopic);
    this.#enforce(requester, act, responseTopic, decision, "response-topic");
    return decision;
  }

  /** The command that this message opens, to be opened once it is taken; nothing where it may be none. */
  authorizeCommand(
    requester: Requester,
    exchange: Exchange,
    message: ExchangedMessage,
    isDup: boolean,
  ): OpenCommand | undefined {
    const { id } = requester.subject;
    const command = this.commands.command(id, exchange, message, isDup);
    return this.#inExchange(requester, "command", exchange, message, command);
  }

  /** The command that this message answers, to be closed once it is taken; nothing where it answers none. */
  authorizeResponse(
    requester: Requester,
    exchange: Exchange,
    message: ExchangedMessage,
  ): OpenCommand | undefined {
    const command = this.commands.answered(requester.subject.id, exchange, message);
    return this.#inExchange(requester, "response", exchange, message, command);
  }

  #inExchange(
    requester: Requester,
    act: "command" | "response",
    { ruleId }: Exchange,
    { topic }: ExchangedMessage,
    command: OpenCommand | ExchangeFault,
  ): OpenCommand | undefined {
    if (command instanceof OpenCommand) return command;
    const { check, why } = command;
    this.#enforce(requester, act, topic.name, deny("Deny", why, ruleId), check);
    return undefined;
  }

  /**
   * `topicFilter` without `$share/group/`; a Permit is for its QoS and below. The subscriptions of a session wait for
   * the next token as its messages do: that the former one has ended takes nothing back.
   */
  authorizeSubscribe(requester: Requester, topicFilter: string): Decision {
    const decision = this.#decide(requester.subject, "decideSubscribe", topicFilter);
    this.#enforce(requester, "subscribe", topicFilter, decision);
    return decision;
  }

  /** A subscription that a client asks for; `filter` is as it wrote it. Those that it has are asked for without this. */
  authorizeNewSubscription(
    requester: Requester,
    { filter, topicFilter }: { readonly filter: string; readonly topicFilter: string },
  ): Decision {
    const ended = this.#endedOf(requester.subject);
    if (ended !== undefined) {
      this.#enforce(requester, "subscribe", topicFilter, ended);
      return ended;
    }
    const decision = this.authorizeSubscribe(requester, topicFilter);
    if (decision.effect === "Deny") return decision;
    return this.phi.blocks(requester, "topic filter", filter) ? deniedByPhi : decision;
  }

  /**
   * A message that waited, in a queue or as a retained one: both ends still need their right to it. That the token of
   * its publisher has ended since takes nothing back.
   */
  authorizeDelivery(requester: Requester, message: DeliveredMessage): boolean {
    const { name } = message.topic;
    const { subject } = requester;
    const mayReceive = this.#endedOf(subject) ?? this.decideReceive(subject, name);
    if (mayReceive.effect === "Deny") {
      return this.#enforce(requester, "delivery", name, mayReceive);
    }
    const mayPublish = this.#decideMessage(message.publisher, name, message);
    return this.#enforce({ subject: message.publisher }, "delivery", name, mayPublish);
  }

  /** Whether the publisher of a message that waited may still publish it. */
  mayPublish(message: DeliveredMessage): boolean {
    const { publisher, topic } = message;
    return this.#decideMessage(publisher, topic.name, message).effect === "Permit";
  }

  /** How long its publisher may have the message retained. */
  retainSeconds(message: DeliveredMessage): number {
    const { terms } = this.decidePublish(message.publisher, message.topic.name);
    return retainSecondsOf(terms, message);
  }

  #decideMessage(subject: SubjectState, topicName: string, message: MessageTraits): Decision {
    const decision = this.decidePublish(subject, topicName);
    const { effect, terms } = decision;
    return effect === "Deny" || isWithin(terms, message) ? decision : denyByTerms(terms, message);
  }

  #endedOf(subject: SubjectState): Decision | undefined {
    return this.hasEnded(subject) ? undecided("the token has ended") : undefined;
  }

  #decide(subject: SubjectState, asked: Asked, topic: string): Decision {
    const action: TokenAction = asked === "decidePublish" ? "publish" : "subscribe";
    if (this.#policy === undefined) return undecided("no policy has been received yet");
    if (!subject.isAdmitted) return undecided(`the subject is ${subject.record.state}`);
    if (subject.grant?.actions.includes(action) === false) {
      return undecided(`the scopes of the token leave no right to ${action}`);
    }
    try {
      const now = this.#tokenNow();
      const rights = this.#subjects.rightsOf(subject, this.#policy, now);
      const decision = rights[asked](topic);
      this.watch.look(subject, rights, asked, topic, decision, now);
      return decision;
    } catch {
      return undecided("the decision failed; see internal-error events");
    }
  }

  #enforce(
    requester: Requester,
    act: Act,
    topic: string,
    decision: Decision,
    check = "policy",
  ): boolean {
    if (decision.effect === "Permit") return true;
    this.#record({
      type: deniedEvent[act],
      subject: requester.subject.id,
      ...(requester.clientId === undefined ? {} : { clientId: printable(requester.clientId) }),
      ...(requester.address === undefined ? {} : { address: requester.address }),
      topic: this.phi.shown(topic),
      check,
      ...(decision.ruleId === undefined ? {} : { ruleId: decision.ruleId }),
      ...(decision.hint === undefined ? {} : { why: decision.hint }),
    });
    return false;
  }
}

const noLimits: SubjectLimits = {};

const noWill = "nobody waits for the answer to a will, and no command waits for one";

const deniedByPhi = deny("Deny", "the topic looks as if it named a patient", "phi");

function undecided(hint: string): Decision {
  return deny("Indeterminate", hint);
}
