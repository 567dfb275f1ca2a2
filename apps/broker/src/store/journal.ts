import type { ApplicationMessage } from "../routing/application-message.ts";
import type { Subscription } from "../routing/subscription.ts";
import type { JournalStore, StoredSegment, StoreReport } from "./journal-store.ts";
import { RecordWriter, type Slab } from "./record-writer.ts";
import {
  type SessionRecord,
  type WillRecord,
  writeFeed,
  writeHead,
  writeMessage,
  writeOwed,
  writeReceived,
  writeReceivedReleased,
  writeReleased,
  writeSent,
  writeSession,
  writeSessionEnded,
  writeSessionState,
  writeSettled,
  writeSubscribed,
  writeUnretained,
  writeUnsubscribed,
  writeWill,
  writeWillGone,
} from "./records.ts";
import { Segment, type Stored } from "./segment.ts";
import { StoredMessage } from "./stored-message.ts";

export interface JournalParts {
  readonly store: JournalStore;
  /** Runs `work` at the end of this turn of the event loop. */
  readonly schedule: (work: () => void) => void;
  /** Runs `work` after so many milliseconds. */
  readonly later: (work: () => void, ms: number) => void;
  /** The journal may be twice what lives in it, and this much at any rate. */
  readonly spareBytes: number;
  /** `limits.storedBytes`. */
  readonly limit: () => number;
  /** The store refuses to keep; once, until it keeps again. */
  readonly onFailing: (error: Error) => void;
  readonly onRecovered: () => void;
}

/** Whoever waits for a commit. */
export interface CommitWaiter {
  committed(): void;
}

/** A segment that the store is keeping. */
interface InFlight {
  readonly segment: Segment;
  readonly slab: Slab;
  readonly bytes: Buffer;
  readonly keepFrom: number;
  /** The store has refused it, and is asked again once it has answered for those behind. */
  isRefused: boolean;
}

/** How long a record that nobody waits for may wait for company. */
const lazyMs = 20;
/** How long the store is left alone after it has refused. */
const retryMs = 1_000;
/** Records that wait for the store, from which on publishers are read more slowly. */
const behindBytes = 16 * 1024 * 1024;
/** What was gathered does not wait for segments on their way when it is this large, and larger the more of them there are. */
const largeBytes = 64 * 1024;
const inFlightAtMost = 8;
/** How much is moved to the end at once. */
const movedAtOnce = 1024 * 1024;

/**
 * What has to outlive the process, as a log of records:
 *
 *     said -> gathered (all of one turn, or of the time the store is busy, or enough) -> one segment -> committed
 *
 * What is said is in memory at once and on disk later; whatever may only be seen once it is on disk (an acknowledgement,
 * a PUBLISH with its Packet Identifier) is held back until `committed` has reached `mark`. Segments are committed in
 * their order, so what is on disk is always what was true at one moment.
 *
 * Space: the oldest segments go first, never one from the middle. When nothing lives in the oldest, it goes; when the
 * journal is larger than twice what lives, what lives in the oldest is written anew at the end. So a record that says
 * "settled" outlives the one it speaks of, and nothing that was settled comes back.
 */
export class Journal {
  /** The number of the latest segment on disk. */
  committed = 0;
  /** How many records were said: a caller sees whether something was. */
  said = 0;
  /** The store refuses: nothing new may be promised. */
  isFailing = false;
  /** Hot path. No new message may be stored; looked at with each commit, so a batch may go beyond. */
  isRefusing = false;
  readonly #parts: JournalParts;
  readonly #writer = new RecordWriter();
  readonly #segments = new Map<number, Segment>();
  /** Of the oldest segment that is kept. */
  #first = 1;
  /** The latest segment that was given to the store. */
  #previous = 0;
  /** What is said goes here. */
  #gathering = new Segment(1);
  /** Whether somebody waits for what is gathered. */
  #isUrgent = false;
  #isScheduled = false;
  #isLazilyScheduled = false;
  /** In their order. */
  readonly #inFlight: InFlight[] = [];
  #inFlightBytes = 0;
  #waiters: CommitWaiter[] = [];
  #storedBytes = 0;
  #liveBytes = 0;
  #lastId = 0;
  /** Segments before this number are to be given up, and who waits for that. */
  #rewriteUntil = 0;
  readonly #rewritten: (() => void)[] = [];
  #isClosing: (() => void) | undefined;

  constructor(parts: JournalParts) {
    this.#parts = parts;
  }

  // --- what is true -----------------------------------------------------------------------------

  /** The commit that covers everything said so far that somebody could wait for. */
  get mark(): number {
    return this.#isUrgent ? this.#gathering.number : this.#gathering.number - 1;
  }

  get isSettled(): boolean {
    return this.mark <= this.committed;
  }

  /** More is said than the store takes. */
  get isBehind(): boolean {
    return this.#writer.length + this.#inFlightBytes > behindBytes;
  }

  /** Why no new message may be stored: a limit, or the store itself. */
  get refusal(): "storedBytes" | "store" | undefined {
    if (this.isFailing) return "store";
    return this.#liveBytes > this.#parts.limit() ? "storedBytes" : undefined;
  }

  /** On disk. */
  get storedBytes(): number {
    return this.#storedBytes;
  }

  get liveBytes(): number {
    return this.#liveBytes;
  }

  get segments(): number {
    return this.#segments.size;
  }

  /** A number for a session, a message or what is owed; never given twice. */
  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  // --- reading at the start -----------------------------------------------------------------------

  /** Hands over what the store has, oldest first, each with the segment that what is found in it lives in. */
  async read(
    onSegment: (segment: Segment, stored: StoredSegment, progress: number) => void,
  ): Promise<StoreReport> {
    const report = await this.#parts.store.read((stored, progress) => {
      const segment = new Segment(stored.number);
      segment.storedBytes = stored.storedBytes;
      if (this.#segments.size === 0) this.#first = stored.number;
      this.#segments.set(stored.number, segment);
      this.#storedBytes += stored.storedBytes;
      this.committed = stored.number;
      onSegment(segment, stored, progress);
    });
    this.#previous = this.committed;
    // Numbers of a later life of the store are not used again.
    const latest = Math.max(this.committed, report.rolledBack?.was ?? 0);
    this.committed = latest;
    this.#gathering = new Segment(latest + 1);
    if (this.#segments.size === 0) this.#first = this.#gathering.number;
    return report;
  }

  /** Something was found in a segment and lives on. */
  adopt(item: Stored, segment: Segment, bytes: number): void {
    item.settleIn(segment, bytes);
    this.#liveBytes += bytes;
  }

  /** Numbers up to this one are taken. */
  usedIds(highest: number): void {
    this.#lastId = Math.max(this.#lastId, highest);
  }

  // --- sessions -------------------------------------------------------------------------------------

  session(item: Stored, session: SessionRecord<ApplicationMessage>): void {
    const start = this.#begin(true);
    writeSession(this.#writer, session);
    this.#place(item, start);
  }

  sessionState(id: number, expirySeconds: number, disconnectedAt: number): void {
    this.#begin(false);
    writeSessionState(this.#writer, id, expirySeconds, disconnectedAt);
  }

  sessionEnded(item: Stored, id: number): void {
    this.sessionIsGone(id);
    this.#leave(item);
  }

  /** A session that was found and has no place here any more. */
  sessionIsGone(id: number): void {
    this.#begin(true);
    writeSessionEnded(this.#writer, id);
  }

  subscribed(id: number, subscription: Subscription): void {
    this.#begin(true);
    writeSubscribed(this.#writer, id, subscription);
  }

  unsubscribed(id: number, filter: string): void {
    this.#begin(true);
    writeUnsubscribed(this.#writer, id, filter);
  }

  received(id: number, packetId: number): void {
    this.#begin(true);
    writeReceived(this.#writer, id, packetId);
  }

  receivedReleased(id: number, packetId: number): void {
    this.#begin(true);
    writeReceivedReleased(this.#writer, id, packetId);
  }

  will(id: number, will: WillRecord<ApplicationMessage>): void {
    this.#begin(true);
    writeWill(this.#writer, id, will);
  }

  willGone(id: number): void {
    this.#begin(true);
    writeWillGone(this.#writer, id);
  }

  // --- messages ---------------------------------------------------------------------------------------

  /** Hot path. The kept message as one that is stored; the same one for everybody who is owed it. */
  store(kept: ApplicationMessage): StoredMessage {
    let stored = kept.stored;
    if (stored === undefined) {
      stored = new StoredMessage(this.nextId(), kept, this);
      kept.stored = stored;
    }
    return stored;
  }

  /** Hot path. Writes the message itself, unless it is in the journal already. */
  #ensure(stored: StoredMessage): void {
    if (stored.segment === undefined) this.message(stored);
  }

  message(stored: StoredMessage): void {
    const start = this.#begin(true);
    writeMessage(this.#writer, stored.id, stored.isRetained, stored.message);
    this.#place(stored, start);
    if (!stored.message.isInJournal) return;
    const { slab, end } = this.#writer;
    stored.message.liesIn(slab.bytes, end);
    slab.users += 1;
    this.#letGo(stored);
    stored.slab = slab;
  }

  /** Hot path. The message lies in other bytes from now on, or is needed no more. */
  #letGo({ slab }: StoredMessage): void {
    if (slab !== undefined) this.#writer.leave(slab);
  }

  retained(kept: ApplicationMessage): void {
    const stored = this.store(kept);
    stored.isRetained = true;
    this.message(stored);
  }

  unretained(kept: ApplicationMessage): void {
    const { stored } = kept;
    if (stored === undefined) return;
    stored.isRetained = false;
    this.#begin(true);
    writeUnretained(this.#writer, stored.id);
    this.#forget(stored);
  }

  /** Another message has taken its place in the same topic, which says so to whoever reads on. */
  replaced(kept: ApplicationMessage): void {
    const { stored } = kept;
    if (stored === undefined) return;
    stored.isRetained = false;
    this.#forget(stored);
  }

  /** Hot path. `packetId` is 0 for a message that waits. The caller counts `message.owedTo` up when it is new. */
  owed(
    item: Stored,
    session: number,
    serial: number,
    message: StoredMessage,
    qos: 1 | 2,
    retain: boolean,
    identifiers: Buffer | undefined,
    group: string,
    packetId: number,
  ): void {
    this.#ensure(message);
    const start = this.#begin(true);
    writeOwed(this.#writer, session, serial, message.id, qos, retain, identifiers, group, packetId);
    this.#place(item, start);
  }

  /** Hot path. */
  sent(session: number, serial: number, packetId: number): void {
    this.#begin(true);
    writeSent(this.#writer, session, serial, packetId);
  }

  released(item: Stored, session: number, serial: number, packetId: number): void {
    const start = this.#begin(true);
    writeReleased(this.#writer, session, serial, packetId);
    this.#place(item, start);
  }

  /** Hot path. Nobody waits for this: a message that is delivered once more for its want is one of QoS 1. */
  settled(item: Stored, session: number, serial: number): void {
    this.#begin(false);
    writeSettled(this.#writer, session, serial);
    this.#leave(item);
  }

  /** Hot path. One session less is owed the message. */
  disowned(message: StoredMessage): void {
    message.owedTo -= 1;
    this.#forget(message);
  }

  /** What is owed goes with its session, whose end says so. */
  gone(item: Stored): void {
    this.#leave(item);
  }

  #forget(message: StoredMessage): void {
    if (message.owedTo > 0 || message.isRetained) return;
    this.#leave(message);
    this.#letGo(message);
    message.slab = undefined;
    message.message.stored = undefined;
  }

  // --- the feed -----------------------------------------------------------------------------------------

  feedLine(item: Stored, serial: number, isFirst: boolean, line: string): void {
    const start = this.#begin(true);
    writeFeed(this.#writer, serial, isFirst, line);
    this.#place(item, start);
  }

  // --- committing -----------------------------------------------------------------------------------------

  /** `waiter` hears of the next commit, once. */
  whenCommitted(waiter: CommitWaiter): void {
    this.#waiters.push(waiter);
  }

  /** Gives what was gathered to the store, unless it is busy: then it goes as soon as it is not. */
  commit(): void {
    if (this.#inFlight.length === 0 && !this.#isEmpty) this.#send();
  }

  /**
   * Hot path. Gives what was gathered to a busy store as well, once it is much. Called between two packets: what one of
   * them has said belongs to one segment.
   */
  commitLarge(): void {
    const inFlight = this.#inFlight.length;
    if (this.#writer.length < largeBytes * (1 + inFlight) || this.isFailing) return;
    if (inFlight < inFlightAtMost) this.#send();
  }

  #send(): void {
    const segment = this.#gathering;
    this.#segments.set(segment.number, segment);
    while (this.#first <= this.committed && this.#segments.get(this.#first)?.isDead !== false) {
      this.#giveUpFirst();
    }
    const keepFrom = this.#first;
    writeHead(this.#writer, keepFrom, this.#previous);
    this.#previous = segment.number;
    const { slab } = this.#writer;
    slab.users += 1;
    const inFlight = { segment, slab, bytes: this.#writer.take(), keepFrom, isRefused: false };
    this.#inFlight.push(inFlight);
    this.#inFlightBytes += inFlight.bytes.length;
    this.#gathering = new Segment(segment.number + 1);
    this.#isUrgent = false;
    this.#append(inFlight);
  }

  /** Moves what lives in the oldest segments to the end while the journal is larger than it has to be. */
  clean(): void {
    let moved = 0;
    while (
      (this.#isTooLarge || this.#first < this.#rewriteUntil) &&
      this.#first <= this.committed &&
      moved < movedAtOnce
    ) {
      const item = this.#segments.get(this.#first)?.newest;
      if (item === undefined) this.#giveUpFirst();
      else {
        moved += item.storedBytes;
        item.rewrite();
      }
    }
  }

  /** Resolves when everything that was committed before is written anew: nothing is sealed as it was. */
  rewriteAll(): Promise<void> {
    return new Promise((resolve) => {
      this.#rewriteUntil = this.#gathering.number;
      this.#rewritten.push(resolve);
      this.clean();
      this.#begin(true);
    });
  }

  /** Commits what is left and closes the store. */
  async close(): Promise<void> {
    if (!this.isFailing && (this.#inFlight.length > 0 || !this.#isEmpty)) {
      const done = new Promise<void>((resolve) => {
        this.#isClosing = resolve;
      });
      this.commit();
      await done;
    }
    await this.#parts.store.close();
  }

  /** It goes with the next commit, and is counted no longer. */
  #giveUpFirst(): void {
    this.#storedBytes -= this.#segments.get(this.#first)?.storedBytes ?? 0;
    this.#segments.delete(this.#first);
    this.#first += 1;
  }

  /** Nothing is to be committed; a rewriting has to be, also where it found nothing alive. */
  get #isEmpty(): boolean {
    return this.#writer.length === 0 && this.#rewritten.length === 0;
  }

  get #isTooLarge(): boolean {
    return this.#storedBytes > Math.max(this.#parts.spareBytes, 2 * this.#liveBytes);
  }

  /** A record begins at the returned place. */
  #begin(isUrgent: boolean): number {
    this.said += 1;
    if (isUrgent) {
      this.#isUrgent = true;
      if (!this.#isScheduled && this.#inFlight.length === 0) {
        this.#isScheduled = true;
        this.#parts.schedule(() => {
          this.#isScheduled = false;
          this.commit();
        });
      }
    } else if (!this.#isUrgent && !this.#isLazilyScheduled) {
      this.#isLazilyScheduled = true;
      this.#parts.later(() => {
        this.#isLazilyScheduled = false;
        this.commit();
      }, lazyMs);
    }
    return this.#writer.length;
  }

  #place(item: Stored, start: number): void {
    const bytes = this.#writer.length - start;
    this.#liveBytes -= item.storedBytes;
    item.settleIn(this.#gathering, bytes);
    this.#liveBytes += bytes;
  }

  #leave(item: Stored): void {
    this.#liveBytes -= item.leave();
  }

  #append(inFlight: InFlight): void {
    const { segment, bytes, keepFrom } = inFlight;
    this.#parts.store.append(
      segment.number,
      bytes,
      keepFrom,
      (storedBytes) => this.#done(inFlight, storedBytes),
      (error) => this.#refused(inFlight, error),
    );
  }

  #done({ segment, slab, bytes, keepFrom }: InFlight, storedBytes: number): void {
    this.#inFlight.shift(); // INVARIANT: the store answers in the order it was asked in
    this.#inFlightBytes -= bytes.length;
    this.#writer.leave(slab);
    segment.storedBytes = storedBytes;
    this.#storedBytes += storedBytes;
    this.committed = segment.number;
    if (this.isFailing && this.#inFlight.length === 0) {
      this.isFailing = false;
      this.#parts.onRecovered();
    }
    this.isRefusing = this.isFailing || this.#liveBytes > this.#parts.limit();
    this.clean();
    this.#sayRewritten(keepFrom);
    if (this.#isUrgent || !this.#isLazilyScheduled || this.#isClosing !== undefined) this.commit();
    this.commitLarge();
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.committed();
    if (this.#inFlight.length === 0) this.#isClosing?.();
  }

  #sayRewritten(keepFrom: number): void {
    if (this.#rewritten.length === 0) return;
    if (keepFrom >= this.#rewriteUntil) for (const resolve of this.#rewritten.splice(0)) resolve();
    else this.#begin(true); // another commit, which gives up what has been moved
  }

  #refused(refused: InFlight, error: Error): void {
    refused.isRefused = true;
    if (!this.isFailing) {
      this.isFailing = true;
      this.isRefusing = true;
      this.#parts.onFailing(error);
    }
    if (!this.#inFlight.every(({ isRefused }) => isRefused)) return;
    if (this.#isClosing !== undefined) this.#isClosing();
    else this.#parts.later(() => this.#appendAgain(), retryMs);
  }

  #appendAgain(): void {
    const again = [...this.#inFlight];
    for (const inFlight of again) inFlight.isRefused = false;
    for (const inFlight of again) this.#append(inFlight);
  }
}
