import type { QoS } from "@wardmq/mqtt";
import type { SubjectState } from "../enforcement/subjects.ts";
import type { ApplicationMessage } from "../routing/application-message.ts";
import type { Subscription } from "../routing/subscription.ts";
import { RecordFault, RecordReader } from "./record-reader.ts";
import type { RecordWriter } from "./record-writer.ts";

/** The first byte of each record; never given to another one. */
const tags = {
  head: 1,
  session: 2,
  sessionState: 3,
  sessionEnded: 4,
  subscribed: 5,
  unsubscribed: 6,
  received: 7,
  receivedReleased: 8,
  will: 9,
  willGone: 10,
  message: 11,
  unretained: 12,
  owed: 13,
  sent: 14,
  released: 15,
  settled: 16,
  feed: 17,
} as const;

/** A session that is connected has no time at which its connection ended. */
export const connected = 0;

/**
 * How a subject is written: its id, or the grant of the token that speaks for it, as JSON, since nothing else knows what
 * a person or an app may do.
 */
export function subjectText({ id, grant }: SubjectState): string {
  return grant === undefined ? id : JSON.stringify(grant);
}

/** Hot path. The same, encoded once. */
function encodedSubject(subject: SubjectState): Buffer {
  const key = subject.grant ?? subject;
  let encoded = encodedSubjects.get(key);
  if (encoded === undefined) {
    encoded = Buffer.from(subjectText(subject));
    encodedSubjects.set(key, encoded);
  }
  return encoded;
}

const encodedSubjects = new WeakMap<object, Buffer>();

/** All of a session but the messages owed to it. */
export interface SessionRecord<Message> {
  /** A number of ours, never used twice. */
  readonly id: number;
  /** As `subjectText` writes it. */
  readonly subject: string;
  readonly clientId: string;
  readonly expirySeconds: number;
  /** Milliseconds since 1970, or `connected`. */
  readonly disconnectedAt: number;
  readonly subscriptions: Iterable<Subscription>;
  /** Packet Identifiers of QoS 2 messages received and not released. */
  readonly received: Iterable<number>;
  readonly will: WillRecord<Message> | undefined;
}

export interface WillRecord<Message> {
  readonly message: Message;
  /** Infinity when it is sent with the session's end. */
  readonly delaySeconds: number;
  /** Seconds from the moment it is sent, or -1. */
  readonly expiryInterval: number;
}

/** An Application Message as it is kept. */
export interface MessageRecord {
  readonly topic: string;
  /** As `subjectText` writes it. */
  readonly publisher: string;
  readonly qos: QoS;
  readonly retain: boolean;
  /** Milliseconds since 1970, or Infinity. */
  readonly expiresAt: number;
  /** Milliseconds since 1970; 0 of a message that is not retained, or was by a version that wrote no time. */
  readonly retainedAt: number;
  /** The segment that it was read from: properties first, then the payload. */
  readonly bytes: Buffer;
  readonly propertiesStart: number;
  readonly payloadStart: number;
  readonly payloadEnd: number;
  /** Where the Message Expiry Interval stands in `bytes`, or -1. */
  readonly expiryAt: number;
}

export interface OwedRecord {
  /** Orders what is owed to a session; never used twice in the journal. */
  readonly serial: number;
  readonly message: number;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  /** Encoded Subscription Identifiers, or nothing. */
  readonly identifiers: Buffer | undefined;
  /** The Shared Subscription it is owed through, as the client wrote it, or "". */
  readonly group: string;
  /** 0 until it is sent. */
  readonly packetId: number;
}

/** What reads a segment is told each record of it, in their order. */
export interface RecordVisitor {
  /** In each segment: those before `keptFrom` are needed no more and may be missing; `previous` is the one before. */
  head(keptFrom: number, previous: number): void;
  /** Replaces what was known of the session. */
  session(session: SessionRecord<MessageRecord>): void;
  sessionState(id: number, expirySeconds: number, disconnectedAt: number): void;
  sessionEnded(id: number): void;
  subscribed(id: number, subscription: Subscription): void;
  unsubscribed(id: number, filter: string): void;
  /** A QoS 2 message came under this Packet Identifier. */
  received(id: number, packetId: number): void;
  receivedReleased(id: number, packetId: number): void;
  will(id: number, will: WillRecord<MessageRecord>): void;
  willGone(id: number): void;
  message(id: number, isRetained: boolean, message: MessageRecord, bytes: number): void;
  unretained(message: number): void;
  owed(session: number, owed: OwedRecord): void;
  sent(session: number, serial: number, packetId: number): void;
  /** The PUBREC has come: only the PUBREL is owed, whatever was known of it before. */
  released(session: number, serial: number, packetId: number): void;
  settled(session: number, serial: number): void;
  /** A line of the feed, ordered by its serial number; `isFirst` makes those before it meaningless. */
  feed(serial: number, isFirst: boolean, line: string, bytes: number): void;
}

export function writeHead(out: RecordWriter, keptFrom: number, previous: number): void {
  out.byte(tags.head);
  out.number(keptFrom);
  out.number(previous);
}

export function writeSession(out: RecordWriter, session: SessionRecord<ApplicationMessage>): void {
  out.byte(tags.session);
  out.number(session.id);
  out.text(session.subject);
  out.text(session.clientId);
  out.number(session.expirySeconds);
  out.number(session.disconnectedAt);
  const subscriptions = [...session.subscriptions];
  out.number(subscriptions.length);
  for (const subscription of subscriptions) subscriptionInto(out, subscription);
  const received = [...session.received];
  out.number(received.length);
  for (const packetId of received) out.number(packetId);
  out.byte(session.will === undefined ? 0 : 1);
  if (session.will !== undefined) willInto(out, session.will);
}

export function writeSessionState(
  out: RecordWriter,
  id: number,
  expirySeconds: number,
  disconnectedAt: number,
): void {
  out.byte(tags.sessionState);
  out.number(id);
  out.number(expirySeconds);
  out.number(disconnectedAt);
}

export function writeSessionEnded(out: RecordWriter, id: number): void {
  out.byte(tags.sessionEnded);
  out.number(id);
}

export function writeSubscribed(out: RecordWriter, id: number, subscription: Subscription): void {
  out.byte(tags.subscribed);
  out.number(id);
  subscriptionInto(out, subscription);
}

export function writeUnsubscribed(out: RecordWriter, id: number, filter: string): void {
  out.byte(tags.unsubscribed);
  out.number(id);
  out.text(filter);
}

export function writeReceived(out: RecordWriter, id: number, packetId: number): void {
  out.byte(tags.received);
  out.number(id);
  out.number(packetId);
}

export function writeReceivedReleased(out: RecordWriter, id: number, packetId: number): void {
  out.byte(tags.receivedReleased);
  out.number(id);
  out.number(packetId);
}

export function writeWill(
  out: RecordWriter,
  id: number,
  will: WillRecord<ApplicationMessage>,
): void {
  out.byte(tags.will);
  out.number(id);
  willInto(out, will);
}

export function writeWillGone(out: RecordWriter, id: number): void {
  out.byte(tags.willGone);
  out.number(id);
}

/** Hot path. */
export function writeMessage(
  out: RecordWriter,
  id: number,
  isRetained: boolean,
  message: ApplicationMessage,
): void {
  out.byte(tags.message);
  out.number(id);
  out.byte(isRetained ? 2 : 0);
  if (isRetained) out.number(message.retainedAt);
  messageInto(out, message);
}

export function writeUnretained(out: RecordWriter, message: number): void {
  out.byte(tags.unretained);
  out.number(message);
}

/** Hot path. */
export function writeOwed(
  out: RecordWriter,
  session: number,
  serial: number,
  message: number,
  qos: 1 | 2,
  retain: boolean,
  identifiers: Buffer | undefined,
  group: string,
  packetId: number,
): void {
  out.byte(tags.owed);
  out.number(session);
  out.number(serial);
  out.number(message);
  out.byte(qos | (retain ? 4 : 0) | (identifiers === undefined ? 0 : 8) | (group === "" ? 0 : 16));
  if (identifiers !== undefined) out.bytes(identifiers);
  if (group !== "") out.text(group);
  out.number(packetId);
}

/** Hot path. */
export function writeSent(
  out: RecordWriter,
  session: number,
  serial: number,
  packetId: number,
): void {
  out.byte(tags.sent);
  out.number(session);
  out.number(serial);
  out.number(packetId);
}

export function writeReleased(
  out: RecordWriter,
  session: number,
  serial: number,
  packetId: number,
): void {
  out.byte(tags.released);
  out.number(session);
  out.number(serial);
  out.number(packetId);
}

/** Hot path. */
export function writeSettled(out: RecordWriter, session: number, serial: number): void {
  out.byte(tags.settled);
  out.number(session);
  out.number(serial);
}

export function writeFeed(out: RecordWriter, serial: number, isFirst: boolean, line: string): void {
  out.byte(tags.feed);
  out.number(serial);
  out.byte(isFirst ? 1 : 0);
  out.text(line);
}

/** Tells `visitor` every record of a segment; throws a RecordFault when it is none that we wrote. */
export function readRecords(bytes: Buffer, visitor: RecordVisitor): void {
  const from = new RecordReader(bytes);
  while (!from.isAtEnd) {
    const tag = from.byte();
    const read = readers[tag];
    if (read === undefined) throw new RecordFault(`there is no record ${tag}`);
    read(from, visitor);
  }
}

const readers: Readonly<Record<number, (from: RecordReader, to: RecordVisitor) => void>> = {
  [tags.head]: (from, to) => to.head(from.number(), from.number()),
  [tags.session]: (from, to) => to.session(readSession(from)),
  [tags.sessionState]: (from, to) => to.sessionState(from.number(), from.number(), from.number()),
  [tags.sessionEnded]: (from, to) => to.sessionEnded(from.number()),
  [tags.subscribed]: (from, to) => to.subscribed(from.number(), readSubscription(from)),
  [tags.unsubscribed]: (from, to) => to.unsubscribed(from.number(), from.text()),
  [tags.received]: (from, to) => to.received(from.number(), from.number()),
  [tags.receivedReleased]: (from, to) => to.receivedReleased(from.number(), from.number()),
  [tags.will]: (from, to) => to.will(from.number(), readWill(from)),
  [tags.willGone]: (from, to) => to.willGone(from.number()),
  [tags.message]: (from, to) => {
    const start = from.at;
    const id = from.number();
    const flag = from.byte(); // 1: retained, by a version that wrote no time
    const message = readMessage(from, flag === 2 ? from.number() : 0);
    to.message(id, flag !== 0, message, from.at - start);
  },
  [tags.unretained]: (from, to) => to.unretained(from.number()),
  [tags.owed]: (from, to) => to.owed(from.number(), readOwed(from)),
  [tags.sent]: (from, to) => to.sent(from.number(), from.number(), from.number()),
  [tags.released]: (from, to) => to.released(from.number(), from.number(), from.number()),
  [tags.settled]: (from, to) => to.settled(from.number(), from.number()),
  [tags.feed]: (from, to) => {
    const start = from.at;
    const serial = from.number();
    const isFirst = from.byte() === 1;
    const line = from.text();
    to.feed(serial, isFirst, line, from.at - start);
  },
};

function readSession(from: RecordReader): SessionRecord<MessageRecord> {
  return {
    id: from.number(),
    subject: from.text(),
    clientId: from.text(),
    expirySeconds: from.number(),
    disconnectedAt: from.number(),
    subscriptions: Array.from({ length: from.number() }, () => readSubscription(from)),
    received: Array.from({ length: from.number() }, () => from.number()),
    will: from.byte() === 0 ? undefined : readWill(from),
  };
}

function subscriptionInto(out: RecordWriter, subscription: Subscription): void {
  const { filter, topicFilter, group, qos, noLocal, retainAsPublished, identifier } = subscription;
  out.byte(qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (group === undefined ? 0 : 16));
  out.text(filter);
  if (group !== undefined) {
    out.text(group);
    out.text(topicFilter);
  }
  out.number(identifier);
}

function readSubscription(from: RecordReader): Subscription {
  const flags = from.byte();
  const filter = from.text();
  const isShared = (flags & 16) !== 0;
  return {
    qos: (flags & 3) as QoS,
    noLocal: (flags & 4) !== 0,
    retainAsPublished: (flags & 8) !== 0,
    filter,
    group: isShared ? from.text() : undefined,
    topicFilter: isShared ? from.text() : filter,
    identifier: from.number(),
  };
}

function willInto(out: RecordWriter, will: WillRecord<ApplicationMessage>): void {
  const { message, delaySeconds, expiryInterval } = will;
  out.number(delaySeconds === Number.POSITIVE_INFINITY ? 0 : delaySeconds + 1);
  out.number(expiryInterval + 1);
  messageInto(out, message);
}

function readWill(from: RecordReader): WillRecord<MessageRecord> {
  const delay = from.number();
  const expiryInterval = from.number() - 1;
  const message = readMessage(from);
  return {
    message,
    delaySeconds: delay === 0 ? Number.POSITIVE_INFINITY : delay - 1,
    expiryInterval,
  };
}

function messageInto(out: RecordWriter, message: ApplicationMessage): void {
  const { bytes, propertiesStart, propertiesEnd, payloadStart, payloadEnd } = message;
  const propertiesLength = propertiesEnd - propertiesStart;
  out.bytes(message.topic.encoded, 2);
  out.bytes(encodedSubject(message.publisher));
  out.byte(message.qos | (message.retain ? 4 : 0));
  out.number(message.expiresAt === Number.POSITIVE_INFINITY ? 0 : message.expiresAt);
  out.number(message.expiryAt < 0 ? 0 : message.expiryAt - propertiesStart + 1);
  out.number(propertiesLength);
  out.number(propertiesLength + message.payloadLength);
  if (propertiesLength > 0) out.copy(bytes, propertiesStart, propertiesEnd);
  out.copy(bytes, payloadStart, payloadEnd);
}

function readMessage(from: RecordReader, retainedAt = 0): MessageRecord {
  const topic = from.text();
  const publisher = from.text();
  const flags = from.byte();
  const expiresAt = from.number();
  const expiryAt = from.number() - 1;
  const propertiesLength = from.number();
  const propertiesStart = from.skipBytes();
  return {
    topic,
    publisher,
    qos: (flags & 3) as QoS,
    retain: (flags & 4) !== 0,
    expiresAt: expiresAt === 0 ? Number.POSITIVE_INFINITY : expiresAt,
    retainedAt,
    bytes: from.buffer,
    propertiesStart,
    payloadStart: propertiesStart + propertiesLength,
    payloadEnd: from.at,
    expiryAt: expiryAt < 0 ? -1 : propertiesStart + expiryAt,
  };
}

function readOwed(from: RecordReader): OwedRecord {
  const serial = from.number();
  const message = from.number();
  const flags = from.byte();
  return {
    serial,
    message,
    qos: (flags & 3) as 1 | 2,
    retain: (flags & 4) !== 0,
    identifiers: (flags & 8) === 0 ? undefined : Buffer.from(from.bytes()),
    group: (flags & 16) === 0 ? "" : from.text(),
    packetId: from.number(),
  };
}
