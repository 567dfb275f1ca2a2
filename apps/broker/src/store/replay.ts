import type { Subscription } from "../routing/subscription.ts";
import type { Journal } from "./journal.ts";
import type { StoredSegment } from "./journal-store.ts";
import { RecordFault } from "./record-reader.ts";
import {
  type MessageRecord,
  type OwedRecord,
  type RecordVisitor,
  readRecords,
  type SessionRecord,
  type WillRecord,
} from "./records.ts";
import type { Segment } from "./segment.ts";

/** A session as the journal has it. */
export interface FoundSession {
  readonly id: number;
  readonly subject: string;
  readonly clientId: string;
  expirySeconds: number;
  /** Milliseconds since 1970, or 0: it was connected when the process ended. */
  disconnectedAt: number;
  readonly subscriptions: Map<string, Subscription>;
  readonly received: Set<number>;
  will: WillRecord<MessageRecord> | undefined;
  /** By their serial numbers. */
  readonly owed: Map<number, FoundOwed>;
  segment: Segment;
  bytes: number;
}

/** What is owed, or, once its PUBREC has come, only its Packet Identifier. */
export interface FoundOwed {
  /** Undefined for a released one. */
  readonly record: OwedRecord | undefined;
  readonly serial: number;
  packetId: number;
  readonly segment: Segment;
}

export interface FoundMessage {
  readonly id: number;
  readonly record: MessageRecord;
  readonly segment: Segment;
  readonly bytes: number;
}

export interface FoundFeedLine {
  readonly serial: number;
  readonly isFirst: boolean;
  readonly line: string;
  readonly segment: Segment;
  readonly bytes: number;
}

/** Segments that cannot be used, and what is missing for their want. */
export interface Damage {
  readonly segments: readonly { readonly number: number; readonly why: string }[];
  /** Segments of which nothing is there; of several in a row the last. */
  readonly missing: readonly number[];
}

/** What the journal says, once all of it was read. */
export class Found implements RecordVisitor {
  readonly sessions = new Map<number, FoundSession>();
  readonly messages = new Map<number, FoundMessage>();
  /** The message that is retained, by its topic. */
  readonly retained = new Map<string, FoundMessage>();
  /** By session; what is owed may stand before its session, which was written anew behind it. */
  readonly #owed = new Map<number, Map<number, FoundOwed>>();
  readonly #feed = new Map<number, FoundFeedLine>();
  readonly #damaged: { number: number; why: string }[] = [];
  readonly #numbers = new Set<number>();
  /** Segments that others say come before them. */
  readonly #expected = new Set<number>();
  /** The first segment that the latest one says is needed. */
  #keptFrom = 0;
  #highestId = 0;
  #segment!: Segment;
  /** Where the record that is being read began. */
  #bytesOfSession = 0;

  /** The lines of the feed since the latest snapshot, in their order. */
  get feedLines(): readonly FoundFeedLine[] {
    const lines = [...this.#feed.values()].sort((one, other) => one.serial - other.serial);
    return lines.slice(
      Math.max(
        0,
        lines.findLastIndex(({ isFirst }) => isFirst),
      ),
    );
  }

  get damage(): Damage {
    const missing = [...this.#expected].filter(
      (number) => number >= this.#keptFrom && !this.#numbers.has(number),
    );
    return { segments: this.#damaged, missing };
  }

  /** Reads one more segment. */
  read(segment: Segment, stored: StoredSegment): void {
    this.#numbers.add(stored.number);
    if (stored.bytes === undefined) {
      this.#damaged.push({ number: stored.number, why: stored.why ?? "it cannot be opened" });
      return;
    }
    this.#segment = segment;
    this.#bytesOfSession = 256;
    try {
      readRecords(stored.bytes, this);
    } catch (error) {
      if (!(error instanceof RecordFault)) throw error;
      this.#damaged.push({ number: stored.number, why: error.message });
    }
  }

  /** All was read: numbers go on behind what was found. */
  finish(journal: Journal): void {
    journal.usedIds(this.#highestId);
  }

  #used(id: number): void {
    if (id > this.#highestId) this.#highestId = id;
  }

  #owedTo(session: number): Map<number, FoundOwed> {
    let owed = this.#owed.get(session);
    if (owed === undefined) {
      owed = new Map();
      this.#owed.set(session, owed);
    }
    return owed;
  }

  head(keptFrom: number, previous: number): void {
    this.#keptFrom = keptFrom;
    if (previous > 0) this.#expected.add(previous);
  }

  session(record: SessionRecord<MessageRecord>): void {
    this.#used(record.id);
    this.sessions.set(record.id, {
      id: record.id,
      subject: record.subject,
      clientId: record.clientId,
      expirySeconds: record.expirySeconds,
      disconnectedAt: record.disconnectedAt,
      subscriptions: new Map(
        [...record.subscriptions].map((subscription) => [subscription.filter, subscription]),
      ),
      received: new Set(record.received),
      will: record.will,
      owed: this.#owedTo(record.id),
      segment: this.#segment,
      bytes: this.#bytesOfSession,
    });
  }

  sessionState(id: number, expirySeconds: number, disconnectedAt: number): void {
    const session = this.sessions.get(id);
    if (session === undefined) return;
    session.expirySeconds = expirySeconds;
    session.disconnectedAt = disconnectedAt;
  }

  sessionEnded(id: number): void {
    this.sessions.delete(id);
    this.#owed.delete(id);
  }

  subscribed(id: number, subscription: Subscription): void {
    this.sessions.get(id)?.subscriptions.set(subscription.filter, subscription);
  }

  unsubscribed(id: number, filter: string): void {
    this.sessions.get(id)?.subscriptions.delete(filter);
  }

  received(id: number, packetId: number): void {
    this.sessions.get(id)?.received.add(packetId);
  }

  receivedReleased(id: number, packetId: number): void {
    this.sessions.get(id)?.received.delete(packetId);
  }

  will(id: number, will: WillRecord<MessageRecord>): void {
    const session = this.sessions.get(id);
    if (session !== undefined) session.will = will;
  }

  willGone(id: number): void {
    const session = this.sessions.get(id);
    if (session !== undefined) session.will = undefined;
  }

  message(id: number, isRetained: boolean, record: MessageRecord, bytes: number): void {
    this.#used(id);
    const found = { id, record, segment: this.#segment, bytes };
    this.messages.set(id, found);
    if (isRetained) this.retained.set(record.topic, found);
  }

  unretained(message: number): void {
    const found = this.messages.get(message);
    if (found === undefined) return;
    if (this.retained.get(found.record.topic)?.id === message) {
      this.retained.delete(found.record.topic);
    }
  }

  owed(session: number, record: OwedRecord): void {
    const { serial, packetId } = record;
    this.#used(serial);
    const found = { record, serial, packetId, segment: this.#segment };
    this.#owedTo(session).set(serial, found);
  }

  sent(session: number, serial: number, packetId: number): void {
    const found = this.#owed.get(session)?.get(serial);
    if (found !== undefined) found.packetId = packetId;
  }

  released(session: number, serial: number, packetId: number): void {
    this.#used(serial);
    const found = { record: undefined, serial, packetId, segment: this.#segment };
    this.#owedTo(session).set(serial, found);
  }

  settled(session: number, serial: number): void {
    this.#owed.get(session)?.delete(serial);
  }

  feed(serial: number, isFirst: boolean, line: string, bytes: number): void {
    this.#used(serial);
    this.#feed.set(serial, { serial, isFirst, line, segment: this.#segment, bytes });
  }
}
