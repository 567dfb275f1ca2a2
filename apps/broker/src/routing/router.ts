import { encodeVariableByteInteger, properties, type QoS } from "@wardmq/mqtt";
import type { Enforcement } from "../enforcement/enforcement.ts";
import type { Session } from "../session/session.ts";
import type { Journal } from "../store/journal.ts";
import type { ApplicationMessage, SubscriptionIdentifiers } from "./application-message.ts";
import { FrameCache } from "./frame-cache.ts";
import type { RetainedMessages } from "./retained-messages.ts";
import type { Route, Target } from "./route.ts";
import type { SharedGroup } from "./shared-group.ts";
import type { Subscription } from "./subscription.ts";
import { SubscriptionTree } from "./subscription-tree.ts";
import { Topic } from "./topic.ts";

export interface RouterParts {
  readonly enforcement: Enforcement;
  readonly retained: RetainedMessages;
  readonly journal: Journal;
  /** How many topics are remembered with their routes. */
  readonly rememberedTopics: number;
  /** How many bytes they may hold together; by itself any number. */
  readonly rememberedBytes?: () => number;
  /** Whether one more retained message of that many bytes fits; else the limit it breaks. */
  readonly retainedLimit: (addedMessages: number, addedBytes: number) => string | undefined;
  /** The longest life of a retained message, whatever its rule says. */
  readonly retainedSeconds: () => number;
  readonly now: () => number;
}

/**
 * From a Topic Name to those who receive it. A route is worked out when a topic is first published to, and again
 * after a change that could touch it: an exact filter drops the route of its topic, anything else all routes.
 */
export class Router {
  readonly retained: RetainedMessages;
  readonly #parts: RouterParts;
  readonly #tree = new SubscriptionTree();
  readonly #topics = new Map<string, Topic>();
  readonly #frames = new FrameCache();
  #generation = 1;
  /** What remembered topics and their routes hold. */
  #rememberedBytes = 0;

  constructor(parts: RouterParts) {
    this.#parts = parts;
    this.retained = parts.retained;
  }

  /** The one live object for a well-formed Topic Name. */
  topic(name: string): Topic {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      if (this.#topics.size >= this.#parts.rememberedTopics) this.#forgetTopics();
      topic = new Topic(name);
      this.#topics.set(name, topic);
      this.#remember(bytesOfTopic(name));
    }
    return topic;
  }

  subscribe(session: Session, subscription: Subscription): void {
    this.#tree.add(session, subscription);
    this.#dropRoutes(subscription.topicFilter);
  }

  unsubscribe(session: Session, subscription: Subscription): void {
    this.#tree.remove(session, subscription);
    this.#dropRoutes(subscription.topicFilter);
  }

  /** Rights may have changed: every route is worked out again. */
  dropAllRoutes(): void {
    this.#generation += 1;
  }

  /**
   * Hot path. Gives the message to every session that is owed it; returns how many that were. `origin` is the
   * publishing session, for No Local.
   */
  publish(message: ApplicationMessage, origin: Session | undefined): number {
    if (!message.topic.isLive) message.topic = this.topic(message.topic.name);
    if (message.retain) this.#retain(message);
    const route = this.#routeOf(message.topic);
    const { targets, shared } = route;
    let receivers = 0;
    const frames = targets.length > 1 ? this.#frames : undefined;
    if (frames !== undefined) frames.begin(message);
    for (let i = 0; i < targets.length; i += 1) {
      const target = targets[i] as Target;
      if (target.session === origin) {
        if (target.own === undefined) continue;
        deliver(message, target.own, frames);
      } else deliver(message, target, frames);
      receivers += 1;
    }
    for (const group of shared) if (this.deliverShared(message, group, frames)) receivers += 1;
    return receivers;
  }

  /**
   * Gives the message to the sessions of one subject and to no other; returns how many are owed it. A group of a Shared
   * Subscription gives it to a member of that subject, and never on to another one.
   */
  publishTo(subject: string, message: ApplicationMessage): number {
    if (!message.topic.isLive) message.topic = this.topic(message.topic.name);
    const { targets, shared } = this.#routeOf(message.topic);
    const own = targets.filter(({ session }) => session.subject.id === subject);
    for (const target of own) deliver(message, target, undefined);
    const members = shared.flatMap((group) => {
      const session = group.choose((one) => one.subject.id === subject);
      const subscription = session && group.members.get(session);
      if (session === undefined || subscription === undefined) return [];
      return this.#mayReceive(session, message) ? [fold(session, [subscription])] : [];
    });
    for (const member of members) deliver(message, member, undefined);
    return own.length + members.length;
  }

  #mayReceive({ subject }: Session, { topic }: ApplicationMessage): boolean {
    return this.#parts.enforcement.decideReceive(subject, topic.name).effect === "Permit";
  }

  /** Whether this message would have to be stored: for somebody it is owed to, or because it is retained. */
  wouldStore(message: ApplicationMessage): boolean {
    if (message.retain) return true;
    const { targets, shared } = this.#routeOf(message.topic);
    return (
      targets.some(({ session, qos }) => session.stored !== undefined && qos > 0) ||
      shared.some(({ members }) =>
        [...members].some(([session, { qos }]) => session.stored !== undefined && qos > 0),
      )
    );
  }

  /** The group of a Shared Subscription, while it has members. */
  group({ topicFilter, group = "" }: Subscription): SharedGroup | undefined {
    return this.#tree.group(topicFilter, group);
  }

  /** Gives the message to one member of the group, if there is one that may receive it. */
  deliverShared(
    message: ApplicationMessage,
    group: SharedGroup,
    frames: FrameCache | undefined,
  ): boolean {
    const session = group.choose();
    const subscription = session === undefined ? undefined : group.members.get(session);
    if (session === undefined || subscription === undefined) return false;
    if (!this.#mayReceive(session, message)) return false;
    deliver(message, fold(session, [subscription]), frames, group);
    return true;
  }

  /** Gives a message that waited for a member of the group to another one, authorized now, on both ends. */
  handOver(message: ApplicationMessage, group: SharedGroup): void {
    const now = this.#parts.now();
    const session = group.choose();
    const subscription = session === undefined ? undefined : group.members.get(session);
    if (session === undefined || subscription === undefined || message.expiresAt <= now) return;
    const requester = { subject: session.subject, clientId: session.clientId };
    if (!this.#parts.enforcement.authorizeDelivery(requester, message)) return;
    deliver(message, fold(session, [subscription]), undefined, group, now);
  }

  /** The limit that forbids to retain this message, or nothing. */
  retainedLimit(topicName: string, bytes: number): string | undefined {
    const former = this.retained.get(topicName);
    return former === undefined
      ? this.#parts.retainedLimit(1, bytes)
      : this.#parts.retainedLimit(0, bytes - former.size);
  }

  /** Takes away retained messages that have expired. */
  removeExpired(): void {
    const now = this.#parts.now();
    const longestMs = 1000 * this.#parts.retainedSeconds();
    for (const message of this.retained.matching("#")) {
      const end = Math.min(message.expiresAt, message.retainedAt + longestMs);
      if (end <= now) this.#unretain(message.topic.name);
    }
  }

  /** Its rule and the settings may give it a shorter life than when it came; each life begins when it was retained. */
  #endRetained(message: ApplicationMessage): void {
    const { enforcement, retainedSeconds } = this.#parts;
    const seconds = Math.min(retainedSeconds(), enforcement.retainSeconds(message));
    message.expiresAt = Math.min(message.expiresAt, message.retainedAt + 1000 * seconds);
  }

  /** Retained messages for a new subscription, each authorized now, on both ends. */
  sendRetained(session: Session, subscription: Subscription): void {
    const { enforcement } = this.#parts;
    const now = this.#parts.now();
    const identifiers = encodeIdentifiers([subscription.identifier]);
    for (const message of this.retained.matching(subscription.topicFilter)) {
      const { name } = message.topic;
      if (message.expiresAt <= now) {
        this.#unretain(name);
        continue;
      }
      const requester = { subject: session.subject, clientId: session.clientId };
      if (!enforcement.authorizeDelivery(requester, message)) {
        if (!enforcement.mayPublish(message)) this.#unretain(name); // nobody will get it any more
        continue;
      }
      this.#endRetained(message);
      if (message.expiresAt <= now) {
        this.#unretain(name);
        continue;
      }
      const qos = Math.min(message.qos, subscription.qos) as QoS;
      session.deliver(message, qos, true, identifiers, undefined, now);
    }
  }

  /**
   * A message of QoS 0 that the store does not keep leaves its topic without one: of the two that are allowed, the new one
   * or none (5.0 section 3.3.1.3, 3.1.1 [MQTT-3.3.1-7]), never the former one, which is out of date.
   */
  #retain(message: ApplicationMessage): void {
    const isRefused = message.qos === 0 && this.#parts.journal.refusal !== undefined;
    if (message.payloadLength === 0 || isRefused) {
      this.#unretain(message.topic.name);
      return;
    }
    const kept = message.keep();
    kept.retainedAt = this.#parts.now();
    this.#endRetained(kept);
    this.#parts.journal.retained(kept);
    const former = this.retained.put(kept);
    if (former !== undefined) this.#parts.journal.replaced(former);
  }

  #unretain(topicName: string): void {
    const former = this.retained.remove(topicName);
    if (former !== undefined) this.#parts.journal.unretained(former);
  }

  #routeOf(topic: Topic): Route {
    if (topic.route !== undefined && topic.routeGeneration === this.#generation) return topic.route;
    const route = this.#makeRoute(topic.name);
    const added = bytesOfRoute(route) - bytesOfRoute(topic.route);
    topic.route = route;
    topic.routeGeneration = this.#generation;
    this.#remember(added);
    return route;
  }

  /** Counts what topics and routes hold; a peer that makes up names, or many readers of them, has all forgotten. */
  #remember(bytes: number): void {
    this.#rememberedBytes += bytes;
    const limit = this.#parts.rememberedBytes?.() ?? Number.POSITIVE_INFINITY;
    if (this.#rememberedBytes > limit) this.#forgetTopics();
  }

  /** What the filters of all subscriptions hold. */
  get filters(): { readonly bytes: number } {
    return this.#tree;
  }

  #makeRoute(name: string): Route {
    const bySession = new Map<Session, Subscription[]>();
    const shared: SharedGroup[] = [];
    this.#tree.match(
      name,
      (session, subscription) => {
        const matched = bySession.get(session);
        if (matched === undefined) bySession.set(session, [subscription]);
        else matched.push(subscription);
      },
      (group) => shared.push(group),
    );
    const targets: Target[] = [];
    for (const [session, subscriptions] of bySession) {
      if (this.#parts.enforcement.decideReceive(session.subject, name).effect === "Deny") continue;
      targets.push(makeTarget(session, subscriptions));
    }
    return { targets, shared };
  }

  #dropRoutes(topicFilter: string): void {
    if (topicFilter.includes("+") || topicFilter.includes("#")) this.#generation += 1;
    else {
      const topic = this.#topics.get(topicFilter);
      if (topic === undefined) return;
      this.#rememberedBytes -= bytesOfRoute(topic.route);
      topic.route = undefined;
    }
  }

  #forgetTopics(): void {
    for (const topic of this.#topics.values()) {
      topic.isLive = false;
      topic.route = undefined;
    }
    this.#topics.clear();
    this.#rememberedBytes = 0;
  }
}

/** Measured on both runtimes with names of 1,000 characters and rounded up. */
function bytesOfTopic(name: string): number {
  return 512 + 5 * name.length;
}

function bytesOfRoute(route: Route | undefined): number {
  return route === undefined ? 0 : 320 * route.targets.length + 64 * route.shared.length;
}

function deliver(
  message: ApplicationMessage,
  target: Omit<Target, "own">,
  frames: FrameCache | undefined,
  group?: SharedGroup,
  now = 0,
): void {
  const qos = message.qos < target.qos ? message.qos : target.qos;
  const retain = message.retain && target.retainAsPublished;
  target.session.deliver(message, qos, retain, target.identifiers, frames, now, group);
}

/** Overlapping subscriptions deliver once, at the highest QoS, with every identifier, 5.0 section 3.3.4. */
function makeTarget(session: Session, subscriptions: readonly Subscription[]): Target {
  const others = subscriptions.filter(({ noLocal }) => !noLocal);
  return {
    ...fold(session, subscriptions),
    own: others.length === 0 ? undefined : fold(session, others),
  };
}

function fold(session: Session, subscriptions: readonly Subscription[]): Omit<Target, "own"> {
  return {
    session,
    qos: Math.max(...subscriptions.map(({ qos }) => qos)) as QoS,
    retainAsPublished: subscriptions.some(({ retainAsPublished }) => retainAsPublished),
    identifiers: encodeIdentifiers(subscriptions.map(({ identifier }) => identifier)),
  };
}

function encodeIdentifiers(identifiers: readonly number[]): SubscriptionIdentifiers {
  const present = identifiers.filter((identifier) => identifier > 0);
  if (present.length === 0) return undefined;
  const encoded = Buffer.allocUnsafe(present.length * 5);
  let end = 0;
  for (const identifier of present) {
    encoded[end] = properties.subscriptionIdentifier.id;
    end = encodeVariableByteInteger(identifier, encoded, end + 1);
  }
  return encoded.subarray(0, end);
}
