import type { SecurityEvent } from "@wardmq/events";
import type { QoS } from "@wardmq/mqtt";
import { Timed } from "../connection/timing-wheel.ts";
import type { SubjectState } from "../enforcement/subjects.ts";
import type {
  ApplicationMessage,
  SubscriptionIdentifiers,
} from "../routing/application-message.ts";
import type { FrameCache } from "../routing/frame-cache.ts";
import type { SharedGroup } from "../routing/shared-group.ts";
import type { Subscription } from "../routing/subscription.ts";
import { MessageQueue } from "./message-queue.ts";
import { OwedMessage, ReleasedMessage, type StoredSession } from "./owed.ts";
import type { SessionConnection } from "./session-connection.ts";
import type { SessionContext } from "./sessions.ts";
import type { PendingWill, Will } from "./will.ts";

/** A message that a session ended with, owed to the other members of a Shared Subscription. */
export interface Orphan {
  readonly message: ApplicationMessage;
  readonly group: SharedGroup;
}

/**
 * What a Packet Identifier in flight stands for. A session that ends with its connection never sends twice, so it
 * keeps no message: only at which QoS the identifier is taken.
 *
 *     PUBLISH QoS 1 -> (PUBACK) free          PUBLISH QoS 2 -> (PUBREC) released, PUBREL -> (PUBCOMP) free
 */
type Inflight = OwedMessage | ReleasedMessage | "qos1" | "qos2" | "released";

const noInflight: ReadonlyMap<number, Inflight> = new Map();

/**
 * One Session, 5.0 section 4.1: it may outlive its network connection, and then the process too. What it owes is said to
 * the journal first, and seen by the peer once that is on disk. Due when it expires.
 */
export class Session extends Timed {
  readonly subject: SubjectState;
  readonly clientId: string;
  connection: SessionConnection | undefined;
  /** Session Expiry Interval in force; 0 ends the session with its connection. */
  expirySeconds = 0;
  /** How many QoS 1 and 2 messages may be unacknowledged at once. */
  window = 1;
  subscriptions: Map<string, Subscription> | undefined;
  /** Packet Identifiers of QoS 2 messages received and not yet released, 5.0 [MQTT-4.3.3-9]. */
  inboundQos2: Set<number> | undefined;
  pendingWill: PendingWill | undefined;
  /** Of a stored session: the will that is sent when its connection, or the process, is lost. */
  will: Will | undefined;
  /** The event of its latest loss, which is the same object while it loses for the same reason. */
  dropped: Omit<SecurityEvent, "at"> | undefined;
  /** Its place in the journal; undefined when it ends with its connection. */
  stored: StoredSession | undefined;
  /** Milliseconds since 1970; 0 while it is connected. */
  disconnectedAt = 0;
  readonly #context: SessionContext;
  #inflight: Map<number, Inflight> | undefined;
  /** Of the messages in flight that are kept to be sent again: they count like those that wait. */
  #inflightBytes = 0;
  #queue: MessageQueue | undefined;
  #lastPacketId = 0;
  /** After a reconnect: identifiers whose PUBLISH has not been sent again yet, because the window is full. */
  #unsent: number[] | undefined;

  constructor(subject: SubjectState, clientId: string, context: SessionContext) {
    super();
    this.subject = subject;
    this.clientId = clientId;
    this.#context = context;
  }

  override due(): void {
    this.#context.end(this);
  }

  get inflight(): ReadonlyMap<number, Inflight> {
    return this.#inflight ?? noInflight;
  }

  get queuedMessages(): number {
    return this.#queue?.length ?? 0;
  }

  get #onTheWire(): number {
    return this.inflight.size - (this.#unsent?.length ?? 0);
  }

  /** Whether what the peer acknowledges is wanted soon: its window is small, or half of it is used. */
  get awaitsAcknowledgements(): boolean {
    return 2 * this.#onTheWire + 16 > this.window;
  }

  /** Whether a QoS 1 or 2 message would leave at once. */
  canSendNow(): boolean {
    return (
      this.connection !== undefined &&
      !this.connection.isCongested &&
      this.#onTheWire < this.window &&
      this.#unsent === undefined && // what was in flight before goes first
      this.queuedMessages === 0
    );
  }

  /**
   * Hot path. Sends the message, or keeps it until it can be sent, or drops it as the limits say. `now` is 0 for a
   * message that has not waited.
   */
  deliver(
    message: ApplicationMessage,
    qos: QoS,
    retain: boolean,
    identifiers: SubscriptionIdentifiers,
    frames: FrameCache | undefined,
    now: number,
    group?: SharedGroup,
  ): void {
    if (qos === 0) {
      const connection = this.connection;
      if (connection === undefined || connection.isTooLarge(message, 0, identifiers)) return;
      if (!connection.sendPublish(message, 0, retain, false, 0, identifiers, frames, now)) {
        this.#context.dropped(this, "queuedBytes");
      }
      return;
    }
    const { connection } = this;
    if (connection === undefined || !this.canSendNow()) {
      this.#enqueue(message, qos, retain, identifiers, group);
      return;
    }
    if (connection.isTooLarge(message, qos, identifiers)) return;
    let entry: Inflight = qos === 1 ? "qos1" : "qos2";
    const packetId = this.#takePacketId();
    if (this.stored !== undefined || group !== undefined) {
      const { size } = message;
      if (!this.#mayKeep(size)) return;
      this.#inflightBytes += size;
      entry = this.#owe(message, qos, retain, identifiers, group);
      entry.packetId = packetId;
      if (this.stored !== undefined) {
        entry.store(this.#context.journal, this.stored.id);
        this.#hold(connection, qos);
      }
    }
    this.#inflight ??= new Map();
    this.#inflight.set(packetId, entry);
    connection.sendPublish(message, qos, retain, false, packetId, identifiers, frames, now);
  }

  /** PUBACK, or a PUBREC that refuses: the Packet Identifier is free again. False: it was not in use. */
  settle(packetId: number): boolean {
    const entry = this.#inflight?.get(packetId);
    if (entry === undefined) return false;
    this.#inflight?.delete(packetId);
    if (typeof entry !== "string") entry.settled();
    this.#giveBack(entry);
    this.#needsNoSending(packetId);
    this.sendWaiting();
    return true;
  }

  /** PUBREC: from now on only the PUBREL is owed. False: the Packet Identifier is not in use. */
  release(packetId: number): boolean {
    const entry = this.#inflight?.get(packetId);
    if (entry === undefined) return false;
    if (!(entry instanceof ReleasedMessage)) {
      const left = entry instanceof OwedMessage ? entry.released() : undefined;
      this.#inflight?.set(packetId, left ?? "released"); // keeps its place in the order
    }
    this.#giveBack(entry);
    this.#needsNoSending(packetId);
    return true;
  }

  /** The peer acknowledges what we have not sent again yet: it counts for the window no less. */
  #needsNoSending(packetId: number): void {
    const at = this.#unsent?.indexOf(packetId) ?? -1;
    if (at >= 0) this.#unsent?.splice(at, 1);
    if (this.#unsent?.length === 0) this.#unsent = undefined;
  }

  /** What the identifier in flight stands for: 1, 2, or "released"; undefined when it is free. */
  stateOf(packetId: number): 1 | 2 | "released" | undefined {
    const entry = this.#inflight?.get(packetId);
    if (entry === undefined || entry === "released") return entry;
    if (entry instanceof ReleasedMessage) return "released";
    return entry === "qos1" ? 1 : entry === "qos2" ? 2 : entry.qos;
  }

  /** After a reconnect: what was in flight again, in its order, 5.0 [MQTT-4.4.0-1]; then what waits. */
  resume(connection: SessionConnection): void {
    this.#unsent = [];
    const isHeld = this.stored !== undefined && !this.#context.journal.isFailing;
    if (isHeld && !connection.hold()) return;
    for (const packetId of this.inflight.keys()) {
      if (this.stateOf(packetId) !== "released") this.#unsent.push(packetId);
      else if (!this.#mayNotSend(2)) connection.sendPubrel(packetId);
    }
    this.sendWaiting();
  }

  /** The store keeps again: what could not be sent without it follows. */
  storeRecovered(): void {
    const { connection } = this;
    if (connection === undefined || this.stored === undefined) return;
    for (const packetId of this.inflight.keys()) {
      if (this.stateOf(packetId) === "released") connection.sendPubrel(packetId);
    }
    this.sendWaiting();
  }

  /** While the store refuses, QoS 2 waits: a crash could have it sent again under another Packet Identifier. */
  #mayNotSend(qos: 1 | 2): boolean {
    return qos === 2 && this.stored !== undefined && this.#context.journal.isFailing;
  }

  /** Sends again what was in flight, then from the queue, while the window and the peer allow. */
  sendWaiting(): void {
    const { connection } = this;
    if (connection === undefined || this.#context.hasEnded(this)) return; // what waits is the next token's
    if (this.#unsent !== undefined) this.#sendAgain(connection, this.#unsent);
    const queue = this.#queue;
    if (queue === undefined || this.#unsent !== undefined) return;
    const now = this.#context.now();
    while (queue.length > 0 && !connection.isCongested && this.#onTheWire < this.window) {
      if (this.#mayNotSend(queue.first?.qos ?? 1)) return;
      const entry = queue.shift() as OwedMessage;
      const { message, qos, retain, identifiers } = entry;
      const isOwed =
        message.expiresAt > now &&
        this.#mayDeliver(entry) &&
        !connection.isTooLarge(message, qos, identifiers);
      const isKept = isOwed && (this.stored !== undefined || entry.group !== undefined);
      if (isKept) this.#inflightBytes += message.size;
      else this.#context.unqueued(message.size);
      if (!isOwed) {
        entry.settled();
        continue;
      }
      const packetId = this.#takePacketId();
      entry.sent(packetId);
      if (this.stored !== undefined) this.#hold(connection, qos);
      this.#inflight ??= new Map();
      this.#inflight.set(packetId, isKept ? entry : qos === 1 ? "qos1" : "qos2");
      connection.sendPublish(message, qos, retain, false, packetId, identifiers, undefined, now);
    }
    if (queue.length === 0) this.#queue = undefined;
  }

  #sendAgain(connection: SessionConnection, unsent: number[]): void {
    const now = this.#context.now();
    while (unsent.length > 0 && !connection.isCongested && this.#onTheWire < this.window) {
      const packetId = unsent[0] as number;
      const entry = this.#inflight?.get(packetId);
      if (entry instanceof OwedMessage && this.#mayNotSend(entry.qos)) return;
      unsent.shift();
      if (!(entry instanceof OwedMessage)) continue;
      const { message, qos, retain, identifiers } = entry;
      if (!this.#mayDeliver(entry) || connection.isTooLarge(message, qos, identifiers)) {
        this.#inflight?.delete(packetId);
        entry.settled();
        this.#giveBack(entry);
        continue;
      }
      connection.sendPublish(message, qos, retain, true, packetId, identifiers, undefined, now);
    }
    if (unsent.length === 0) this.#unsent = undefined;
  }

  /** Gives up what has waited too long. */
  removeExpired(now: number): void {
    const expired = this.#queue?.takeIf(({ message }) => message.expiresAt <= now) ?? [];
    for (const entry of expired) {
      entry.settled();
      this.#context.unqueued(entry.message.size);
    }
    if (this.#queue?.length === 0) this.#queue = undefined;
  }

  /** At the start: takes what it was owed before, one after the other in their order. */
  restore(entry: OwedMessage | ReleasedMessage, packetId: number): void {
    const size = entry instanceof OwedMessage ? entry.message.size : 0;
    this.#context.queued(size);
    if (packetId === 0) {
      this.#queue ??= new MessageQueue();
      this.#queue.push(entry as OwedMessage); // INVARIANT: a released one has its Packet Identifier
      return;
    }
    this.#inflight ??= new Map();
    this.#inflight.set(packetId, entry);
    this.#inflightBytes += size;
    this.#lastPacketId = packetId;
  }

  /**
   * Gives back everything the session holds; nothing is delivered afterwards. Returns what its Shared Subscriptions
   * owe to other members: what waited, and QoS 1 messages without PUBACK. QoS 2 goes to nobody else once it was
   * sent, 5.0 [MQTT-4.8.2-5].
   */
  clear(): Orphan[] {
    const orphans: Orphan[] = [];
    const give = ({ message, group }: OwedMessage) => {
      if (group !== undefined) orphans.push({ message: message.keep(), group });
    };
    for (const entry of this.inflight.values()) {
      if (typeof entry === "string") continue;
      entry.gone();
      if (entry instanceof OwedMessage && entry.qos === 1) give(entry);
      this.#giveBack(entry);
    }
    const queue = this.#queue;
    if (queue !== undefined) {
      this.#context.unqueued(queue.bytes);
      for (let entry = queue.shift(); entry !== undefined; entry = queue.shift()) {
        entry.gone();
        give(entry);
      }
    }
    this.#queue = undefined;
    this.#inflight = undefined;
    this.#unsent = undefined;
    this.inboundQos2 = undefined;
    this.subscriptions = undefined;
    return orphans;
  }

  #owe(
    message: ApplicationMessage,
    qos: 1 | 2,
    retain: boolean,
    identifiers: SubscriptionIdentifiers,
    group: SharedGroup | undefined,
  ): OwedMessage {
    const kept = this.stored === undefined ? message.keep() : message.keepInJournal();
    return new OwedMessage(kept, qos, retain, identifiers, group, this.#context.epoch());
  }

  /** Counts what is sent and kept; says so and returns false when a limit forbids it. */
  #mayKeep(size: number): boolean {
    const limit = this.#context.refusesToQueue(0, this.#inflightBytes, size);
    if (limit === undefined) this.#context.queued(size);
    else this.#context.dropped(this, limit);
    return limit === undefined;
  }

  /** Counts what is to wait; the least important and oldest goes for it, or itself when nothing is less important. */
  #makeRoom(queue: MessageQueue, { size, topic }: ApplicationMessage): boolean {
    if (this.#context.refusesToQueue(0, this.#inflightBytes, size) === "queuedBytes") {
      this.#context.dropped(this, "queuedBytes"); // it would not fit into an empty queue
      return false;
    }
    for (let given = 0; ; ) {
      const held = queue.bytes + this.#inflightBytes;
      const limit = this.#context.refusesToQueue(queue.length, held, size);
      const isOwnLimit = limit === "queuedMessages" || limit === "queuedBytes";
      if (limit === undefined || (!isOwnLimit && given >= size)) break; // others' messages are not ours to give
      this.#context.dropped(this, limit);
      const entry = queue.sacrifice(topic.importance);
      if (entry === undefined) return false;
      given += entry.message.size;
      entry.settled();
      this.#context.unqueued(entry.message.size);
    }
    this.#context.queued(size);
    return true;
  }

  /** What was in flight is owed no longer. */
  #giveBack(entry: Inflight): void {
    if (!(entry instanceof OwedMessage)) return;
    this.#inflightBytes -= entry.message.size;
    this.#context.unqueued(entry.message.size);
  }

  #mayDeliver(entry: OwedMessage): boolean {
    const epoch = this.#context.epoch();
    if (entry.epoch === epoch) return true;
    entry.epoch = epoch;
    return this.#context.authorizeDelivery(this, entry.message);
  }

  #enqueue(
    message: ApplicationMessage,
    qos: 1 | 2,
    retain: boolean,
    identifiers: SubscriptionIdentifiers,
    group: SharedGroup | undefined,
  ): void {
    this.#queue ??= new MessageQueue();
    if (!this.#makeRoom(this.#queue, message)) return;
    const entry = this.#owe(message, qos, retain, identifiers, group);
    this.#queue.push(entry);
    if (this.stored !== undefined) entry.store(this.#context.journal, this.stored.id);
  }

  /**
   * Hot path. What is sent next leaves after its record: else a crash could have its Packet Identifier used again, or
   * a QoS 2 message sent again under another one. While the store refuses, QoS 1 goes on without: it may come twice.
   */
  #hold(connection: SessionConnection, qos: 1 | 2): void {
    if (qos === 2 || !this.#context.journal.isFailing) connection.hold();
  }

  #takePacketId(): number {
    const { inflight } = this;
    do {
      this.#lastPacketId = this.#lastPacketId === 65_535 ? 1 : this.#lastPacketId + 1;
    } while (inflight.has(this.#lastPacketId)); // INVARIANT: window < 65535, so one is free
    return this.#lastPacketId;
  }
}
