import { printable, type SecurityEvent } from "@wardmq/events";
import type { BrokerSettings, Limits } from "@wardmq/feed";
import type { Grant } from "@wardmq/tokens/verify";
import { type MemoryBudget, price } from "../connection/memory-budget.ts";
import type { TimingWheel } from "../connection/timing-wheel.ts";
import type { Enforcement } from "../enforcement/enforcement.ts";
import type { SubjectState } from "../enforcement/subjects.ts";
import type { ApplicationMessage } from "../routing/application-message.ts";
import { lifecycleMessage } from "../routing/lifecycle.ts";
import type { Router } from "../routing/router.ts";
import type { Subscription } from "../routing/subscription.ts";
import type { Journal } from "../store/journal.ts";
import type { MessageRestorer } from "../store/message-restorer.ts";
import { connected, subjectText } from "../store/records.ts";
import type { Found, FoundOwed, FoundSession } from "../store/replay.ts";
import { replaceGrant } from "../tokens/token-subjects.ts";
import { OwedMessage, ReleasedMessage, StoredSession } from "./owed.ts";
import { Session } from "./session.ts";
import type { SessionTable } from "./session-table.ts";
import { inSlices, type SlicesParts } from "./slices.ts";
import { PendingWill, type Will } from "./will.ts";

/** Never expires, 5.0 section 3.1.2.11.2. */
export const neverExpires = 0xffff_ffff;

/** No enforcement epoch: the right to what was found in the journal is asked for when it is delivered. */
const neverAsked = 0;
/** What an owed message is counted for until it is written anew. */
const owedBytes = 32;

/** What a session asks of the world. */
export interface SessionContext {
  readonly journal: Journal;
  epoch(): number;
  /** Milliseconds since 1970. */
  now(): number;
  end(session: Session): void;
  queued(bytes: number): void;
  unqueued(bytes: number): void;
  /** The limit that forbids a session with so many messages waiting and bytes held to keep `bytes` more, or nothing. */
  refusesToQueue(messages: number, held: number, bytes: number): string | undefined;
  dropped(session: Session, limit: string): void;
  /** Whether the token that speaks for its subject has ended. */
  hasEnded(session: Session): boolean;
  authorizeDelivery(session: Session, message: ApplicationMessage): boolean;
}

export interface SessionsParts extends SlicesParts {
  readonly table: SessionTable;
  readonly journal: Journal;
  readonly wheel: TimingWheel;
  readonly budget: MemoryBudget;
  readonly router: Router;
  readonly enforcement: Enforcement;
  readonly limits: () => Limits;
  readonly lostSubscription: () => BrokerSettings["lostSubscription"];
  readonly now: () => number;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  readonly failed: (error: unknown) => void;
}

/**
 * The life of sessions:
 *
 *     open -> bound to a connection -> (connection ends) waiting -> (connects again) bound
 *                                   -> (expiry 0)        ended   -> (expires, clean start, revoked) ended
 *
 * A session that may outlive its connection is in the journal from its CONNECT to its end.
 */
export class Sessions implements SessionContext {
  readonly journal: Journal;
  readonly #parts: SessionsParts;
  readonly #bySubject = new Map<SubjectState, Session[]>();

  constructor(parts: SessionsParts) {
    this.journal = parts.journal;
    this.#parts = parts;
  }

  get size(): number {
    return this.#parts.table.size;
  }

  values(): Iterable<Session> {
    return this.#parts.table.values();
  }

  /** The sessions of this subject, with a connection or without. */
  of(subject: SubjectState): readonly Session[] {
    return this.#bySubject.get(subject) ?? [];
  }

  /** Whether this subject has a session under that client id. */
  has(subject: SubjectState, clientId: string): boolean {
    return this.#parts.table.find(subject.id, clientId) !== undefined;
  }

  /** Whether this subject has an open connection under that client id. */
  isConnected(subject: SubjectState, clientId: string): boolean {
    return this.#parts.table.find(subject.id, clientId)?.connection !== undefined;
  }

  /**
   * The session of this subject and client id, its former connection ended (5.0 [MQTT-3.1.4-3]). `isPresent` says
   * that it existed before; a clean start never finds one, 5.0 [MQTT-3.1.2-4].
   */
  open(
    subject: SubjectState,
    clientId: string,
    cleanStart: boolean,
  ): { readonly session: Session; readonly isPresent: boolean } {
    const { table } = this.#parts;
    const former = table.find(subject.id, clientId);
    if (former?.connection !== undefined) {
      this.#parts.record({
        type: "session-taken-over",
        subject: subject.id,
        clientId: printable(clientId),
        address: former.connection.address,
      });
      former.connection.disconnect(0x8e, "the client connected again");
    }
    const found = table.find(subject.id, clientId); // a session of expiry 0 has ended with its connection
    if (found !== undefined && !cleanStart) {
      this.#parts.wheel.cancel(found);
      this.#cancelWill(found);
      return { session: found, isPresent: true };
    }
    if (found !== undefined) this.end(found);
    const session = new Session(subject, clientId, this);
    this.#remember(session);
    return { session, isPresent: false };
  }

  /** A CONNECT was accepted on these terms. */
  begin(session: Session, expirySeconds: number, will: Will | undefined): void {
    session.expirySeconds = expirySeconds;
    session.disconnectedAt = connected;
    const { stored } = session;
    if (stored === undefined && expirySeconds === 0) return;
    session.will = will;
    if (stored === undefined) {
      session.stored = new StoredSession(this.journal.nextId(), (item) =>
        this.#write(session, item),
      );
      session.stored.rewrite();
      return;
    }
    this.journal.sessionState(stored.id, expirySeconds, connected);
    if (will !== undefined) this.journal.will(stored.id, will);
  }

  #write(session: Session, item: StoredSession): void {
    this.journal.session(item, {
      id: item.id,
      subject: subjectText(session.subject),
      clientId: session.clientId,
      expirySeconds: session.expirySeconds,
      disconnectedAt: session.disconnectedAt,
      subscriptions: session.subscriptions?.values() ?? [],
      received: session.inboundQos2 ?? [],
      will: session.will,
    });
  }

  /** The session's connection has ended; `will` is what remains to be sent for it. */
  detach(session: Session, will: Will | undefined): void {
    session.connection = undefined;
    session.disconnectedAt = this.now();
    if (will === undefined) this.#forgetWill(session);
    else this.#connectionLost(session, will);
    if (session.expirySeconds === 0) {
      this.end(session);
      return;
    }
    const { stored, expirySeconds, disconnectedAt } = session;
    if (stored !== undefined) this.journal.sessionState(stored.id, expirySeconds, disconnectedAt);
    if (session.expirySeconds !== neverExpires) {
      this.#parts.wheel.schedule(session, session.expirySeconds * 1000);
    }
  }

  /** Ends a session for good: a will still pending is sent now, 5.0 section 3.1.3.2.2. */
  end(session: Session): void {
    const { wheel, router, table, budget } = this.#parts;
    wheel.cancel(session);
    for (const subscription of session.subscriptions?.values() ?? []) {
      router.unsubscribe(session, subscription);
      budget.state -= price.subscription;
    }
    table.remove(session);
    budget.state -= priceOf(session);
    this.#forget(session);
    if (session.stored !== undefined) this.journal.sessionEnded(session.stored, session.stored.id);
    const orphans = session.clear();
    session.stored = undefined;
    for (const { message, group } of orphans) router.handOver(message, group);
    const pending = session.pendingWill;
    if (pending !== undefined) {
      this.#cancelWill(session);
      this.#sendWill(session, pending.will);
    }
  }

  /** Ends every session of a subject whose connections have ended; tells how many, and what waited in them. */
  endAllOf(subject: SubjectState): { readonly sessions: number; readonly messages: number } {
    const sessions = [...this.of(subject)];
    const messages = sessions.reduce((sum, session) => sum + session.queuedMessages, 0);
    for (const session of sessions) this.end(session);
    return { sessions: sessions.length, messages };
  }

  #remember(session: Session): void {
    this.#parts.table.add(session);
    this.#parts.budget.state += priceOf(session);
    const others = this.#bySubject.get(session.subject);
    if (others === undefined) this.#bySubject.set(session.subject, [session]);
    else others.push(session);
  }

  #forget(session: Session): void {
    const all = this.#bySubject.get(session.subject) ?? [];
    if (all.length === 1 && all[0] === session) this.#bySubject.delete(session.subject);
    else if (all.includes(session)) all.splice(all.indexOf(session), 1);
  }

  subscribe(session: Session, subscription: Subscription): void {
    session.subscriptions ??= new Map();
    const former = session.subscriptions.get(subscription.filter);
    if (former !== undefined) this.#parts.router.unsubscribe(session, former);
    else this.#parts.budget.state += price.subscription;
    session.subscriptions.set(subscription.filter, subscription);
    this.#parts.router.subscribe(session, subscription);
    if (session.stored !== undefined) this.journal.subscribed(session.stored.id, subscription);
  }

  /** False when the session had no such subscription. */
  unsubscribe(session: Session, filter: string): boolean {
    const subscription = session.subscriptions?.get(filter);
    if (subscription === undefined) return false;
    session.subscriptions?.delete(filter);
    this.#parts.budget.state -= price.subscription;
    this.#parts.router.unsubscribe(session, subscription);
    if (session.stored !== undefined) this.journal.unsubscribed(session.stored.id, filter);
    return true;
  }

  /**
   * Asks again for every subscription after the world changed, of all subjects or of some: one that is no longer allowed
   * ends, and its client is told. What is published meanwhile is authorized by its own topic, so no message leaves by a
   * right that is gone. `closed` hears of each connection that ended; the promise is there where it takes several turns.
   */
  authorizeAgain(
    subjects: ReadonlySet<SubjectState> | undefined,
    closed: () => void = () => {},
  ): Promise<void> | undefined {
    const concerned =
      subjects === undefined
        ? [...this.values()]
        : [...subjects].flatMap((subject) => [...this.of(subject)]);
    return inSlices(concerned, (session) => this.#authorizeAgain(session, closed), this.#parts);
  }

  #authorizeAgain(session: Session, closed: () => void): void {
    const { enforcement } = this.#parts;
    const { subject, clientId } = session;
    const ended: string[] = [];
    for (const { filter, topicFilter, qos } of [...(session.subscriptions?.values() ?? [])]) {
      const decision = enforcement.authorizeSubscribe({ subject, clientId }, topicFilter);
      if (decision.effect === "Permit" && qos <= decision.qos) continue;
      this.unsubscribe(session, filter);
      ended.push(filter);
    }
    const { connection } = session;
    if (ended.length === 0 || connection === undefined || this.#isTold(session, ended)) return;
    connection.disconnect(0x87, "a subscription is no longer allowed");
    closed();
  }

  /** Whether the client learns on its `lifecycle` topic that these subscriptions ended, and may stay. */
  #isTold({ subject }: Session, filters: readonly string[]): boolean {
    if (this.#parts.lostSubscription() === "disconnect") return false;
    const { router } = this.#parts;
    const text = JSON.stringify({ action: "subscriptions-ended", filters });
    const message = lifecycleMessage(router, subject, text);
    return message !== undefined && router.publishTo(subject.id, message) > 0;
  }

  /** A newer token speaks for the subject of a session: its rights take the place of the former ones. */
  replaceGrant(subject: SubjectState, grant: Grant): void {
    const isOther = replaceGrant(subject, grant);
    for (const session of this.of(subject)) session.stored?.rewrite(); // it ends with this token, whatever its rights
    if (!isOther) return;
    this.#parts.enforcement.worldChanged();
    this.#parts.router.dropAllRoutes();
    this.authorizeAgain(new Set([subject]))?.catch(this.#parts.failed);
  }

  epoch(): number {
    return this.#parts.enforcement.epoch;
  }

  now(): number {
    return this.#parts.now();
  }

  queued(bytes: number): void {
    this.#parts.budget.queued += bytes;
  }

  unqueued(bytes: number): void {
    this.#parts.budget.queued -= bytes;
  }

  refusesToQueue(messages: number, held: number, bytes: number): string | undefined {
    const limits = this.#parts.limits();
    if (messages >= limits.queuedMessages) return "queuedMessages";
    if (held + bytes > limits.queuedBytes) return "queuedBytes";
    if (this.#parts.budget.queued + bytes > limits.queuedBytesTotal) return "queuedBytesTotal";
    if (this.#parts.budget.isOver) return "memoryBytes";
    return undefined;
  }

  dropped(session: Session, limit: string): void {
    if (session.dropped?.limit !== limit) {
      const clientId = printable(session.clientId);
      session.dropped = { type: "messages-dropped", subject: session.subject.id, clientId, limit };
    }
    this.#parts.record(session.dropped);
  }

  hasEnded({ subject }: Session): boolean {
    return this.#parts.enforcement.hasEnded(subject);
  }

  authorizeDelivery(session: Session, message: ApplicationMessage): boolean {
    const { subject, clientId } = session;
    return this.#parts.enforcement.authorizeDelivery({ subject, clientId }, message);
  }

  /**
   * At the start: sessions as the journal has them, under the feed of the moment. What is no longer allowed is left out,
   * and one whose time is over, or whose subject is gone, ends. `lost` messages are owed and nowhere to be found.
   */
  restore(
    found: Found,
    messages: MessageRestorer,
    progress: (part: number) => void = () => {},
  ): { sessions: number; owed: number; lost: number } {
    const now = this.now();
    const restored = [...found.sessions.values()].map(
      (session) =>
        [this.#restore(session, messages.subjectOfSession(session.subject), now), session] as const,
    );
    const all = restored.reduce((sum, [, former]) => sum + former.owed.size, 0);
    let owed = 0;
    let lost = 0;
    for (const [session, former] of restored) {
      const inOrder = [...former.owed.values()].sort((one, other) => one.serial - other.serial);
      for (const each of inOrder) {
        if (this.#restoreOwed(session, former, each, messages)) owed += 1;
        else lost += 1;
        if ((owed + lost) % 1_000 === 0) progress((owed + lost) / all);
      }
    }
    for (const [session, { will }] of restored) {
      if (will === undefined) continue;
      session.will = { ...will, message: messages.will(will.message) };
    }
    for (const [session] of restored) this.#goOnWithout(session, now);
    return { sessions: this.size, owed, lost };
  }

  #restore(found: FoundSession, subject: SubjectState, now: number): Session {
    const session = new Session(subject, found.clientId, this);
    session.stored = new StoredSession(found.id, (item) => this.#write(session, item));
    this.journal.adopt(session.stored, found.segment, found.bytes);
    session.expirySeconds = found.expirySeconds;
    session.disconnectedAt = found.disconnectedAt === connected ? now : found.disconnectedAt;
    if (found.disconnectedAt === connected) {
      this.journal.sessionState(found.id, found.expirySeconds, now);
    }
    if (found.received.size > 0) session.inboundQos2 = found.received;
    this.#remember(session);
    if (!subject.isAdmitted) return session; // it ends before anybody could have it
    const requester = { subject, clientId: session.clientId };
    for (const subscription of found.subscriptions.values()) {
      const { topicFilter, filter } = subscription;
      const { effect, qos } = this.#parts.enforcement.authorizeSubscribe(requester, topicFilter);
      if (effect === "Deny" || subscription.qos > qos) {
        this.journal.unsubscribed(found.id, filter);
        continue;
      }
      session.subscriptions ??= new Map();
      session.subscriptions.set(filter, subscription);
      this.#parts.budget.state += price.subscription;
      this.#parts.router.subscribe(session, subscription);
    }
    return session;
  }

  /** False when the message that is owed is lost. */
  #restoreOwed(
    session: Session,
    { subscriptions }: FoundSession,
    { record, serial, packetId, segment }: FoundOwed,
    messages: MessageRestorer,
  ): boolean {
    const { journal } = this;
    const { id } = session.stored as StoredSession;
    if (record === undefined) {
      const released = new ReleasedMessage(journal, id, serial, packetId);
      journal.adopt(released, segment, owedBytes);
      session.restore(released, packetId);
      return true;
    }
    const message = messages.stored(record.message);
    if (message === undefined) return false;
    const group = subscriptions.get(record.group);
    const owed = new OwedMessage(
      message,
      record.qos,
      record.retain,
      record.identifiers,
      group === undefined ? undefined : this.#parts.router.group(group),
      neverAsked,
    );
    owed.restore(journal, id, serial, packetId);
    journal.adopt(owed, segment, owedBytes);
    session.restore(owed, packetId);
    return true;
  }

  /** Its connection was lost then, or with the former process: its expiry and its will run since. */
  #goOnWithout(session: Session, now: number): void {
    const { will, expirySeconds } = session;
    if (!session.subject.isAdmitted) {
      this.end(session);
      return;
    }
    const goneSeconds = Math.max(0, now - session.disconnectedAt) / 1000;
    if (will !== undefined) this.#connectionLost(session, will, goneSeconds);
    if (expirySeconds === neverExpires) return;
    const left = expirySeconds - goneSeconds;
    if (left <= 0) this.end(session);
    else this.#parts.wheel.schedule(session, left * 1000);
  }

  /** Takes messages that have expired from those who wait for them. */
  removeExpired(): void {
    const now = this.now();
    for (const session of this.values()) session.removeExpired(now);
  }

  /** The store keeps again. */
  storeRecovered(): void {
    for (const session of this.values()) session.storeRecovered();
  }

  #connectionLost(session: Session, will: Will, secondsAgo = 0): void {
    const delay = Math.min(will.delaySeconds, session.expirySeconds) - secondsAgo;
    if (delay <= 0) {
      this.#forgetWill(session);
      this.#sendWill(session, will);
      return;
    }
    session.pendingWill = new PendingWill(will, () => {
      this.#cancelWill(session);
      this.#sendWill(session, will);
    });
    this.#parts.budget.state += will.message.size;
    this.#parts.wheel.schedule(session.pendingWill, delay * 1000);
  }

  #cancelWill(session: Session): void {
    const { pendingWill } = session;
    if (pendingWill === undefined) return;
    this.#parts.wheel.cancel(pendingWill);
    this.#parts.budget.state -= pendingWill.will.message.size;
    session.pendingWill = undefined;
    this.#forgetWill(session);
  }

  /** It is sent now, or never. */
  #forgetWill(session: Session): void {
    const { stored, will } = session;
    session.will = undefined;
    if (stored !== undefined && will !== undefined) this.journal.willGone(stored.id);
  }

  /** A will is a publish: authorized when it was set, and again now. */
  #sendWill(session: Session, will: Will): void {
    const { message } = will;
    const requester = { subject: session.subject, clientId: session.clientId };
    if (!this.#parts.enforcement.authorizeWill(requester, message.topic.name, message)) return;
    if (will.expiryInterval >= 0) message.expiresAt = this.now() + will.expiryInterval * 1000;
    if (message.retain && message.payloadLength > 0) this.#checkRetained(session, message);
    this.#parts.router.publish(message, undefined);
  }

  /** Nobody can be told that a will may not be retained: it is delivered all the same, and not kept. */
  #checkRetained(session: Session, message: ApplicationMessage): void {
    const { name } = message.topic;
    const limit = this.#parts.router.retainedLimit(name, message.size);
    if (limit === undefined) return;
    message.retain = false;
    this.#parts.record({
      type: "limit-reached",
      subject: session.subject.id,
      clientId: printable(session.clientId),
      limit,
      topic: printable(name),
    });
  }
}

/** A Client Identifier may be long, and is kept in the session and in the key it is found by. */
function priceOf({ clientId }: Session): number {
  return price.session + 4 * clientId.length;
}
