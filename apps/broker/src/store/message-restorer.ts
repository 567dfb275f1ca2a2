import type { Grant } from "@wardmq/tokens/verify";
import { SubjectState, type Subjects } from "../enforcement/subjects.ts";
import { ApplicationMessage } from "../routing/application-message.ts";
import type { Router } from "../routing/router.ts";
import { subjectOf, withdrawGrant } from "../tokens/token-subjects.ts";
import type { Journal } from "./journal.ts";
import type { MessageRecord } from "./records.ts";
import type { Found, FoundMessage } from "./replay.ts";
import { StoredMessage } from "./stored-message.ts";

/** Makes what the journal has found into messages again, each once. */
export class MessageRestorer {
  readonly #found: Found;
  readonly #journal: Journal;
  readonly #router: Router;
  readonly #subjects: Subjects;
  readonly #isRevoked: (grant: Grant) => boolean;
  readonly #made = new Map<number, ApplicationMessage>();
  readonly #others = new Map<string, SubjectState>();

  constructor(
    found: Found,
    journal: Journal,
    router: Router,
    subjects: Subjects,
    isRevoked: (grant: Grant) => boolean,
  ) {
    this.#found = found;
    this.#journal = journal;
    this.#router = router;
    this.#subjects = subjects;
    this.#isRevoked = isRevoked;
  }

  /** The message with this number, in the journal where it was found; undefined when it is lost. */
  stored(id: number): ApplicationMessage | undefined {
    const made = this.#made.get(id);
    if (made !== undefined) return made;
    const found = this.#found.messages.get(id);
    if (found === undefined) return undefined;
    return this.#adopt(found);
  }

  /** Puts every retained message in its place; one that has expired stays away. */
  retained(now: number): void {
    for (const { id, record } of this.#found.retained.values()) {
      if (record.expiresAt <= now) continue;
      const message = this.stored(id);
      if (message?.stored === undefined) continue;
      message.stored.isRetained = true;
      message.retainedAt = record.retainedAt || now;
      message.takeOut();
      this.#router.retained.put(message);
    }
  }

  /** The message of a will. */
  will(record: MessageRecord): ApplicationMessage {
    const message = this.#message(record);
    message.takeOut();
    return message;
  }

  #adopt({ id, record, segment, bytes }: FoundMessage): ApplicationMessage {
    const message = this.#message(record);
    const stored = new StoredMessage(id, message, this.#journal);
    message.stored = stored;
    this.#journal.adopt(stored, segment, bytes);
    this.#made.set(id, message);
    return message;
  }

  /** A message as it was kept, in the bytes of its whole segment: they are one object for many messages. */
  #message(record: MessageRecord): ApplicationMessage {
    const topic = this.#router.topic(record.topic);
    const message = new ApplicationMessage(topic, this.subject(record.publisher), record.bytes);
    message.qos = record.qos;
    message.retain = record.retain;
    message.propertiesStart = record.propertiesStart;
    message.propertiesEnd = record.payloadStart;
    message.payloadStart = record.payloadStart;
    message.payloadEnd = record.payloadEnd;
    message.expiryAt = record.expiryAt;
    message.expiresAt = record.expiresAt;
    message.wasRead();
    return message;
  }

  /** The subject of a session: where it is a token's the session has one of its own, whose token it renews by itself. */
  subjectOfSession(text: string): SubjectState {
    if (!isGrant(text)) return this.subject(text);
    const subject = subjectOf(JSON.parse(text) as Grant);
    if (this.#isRevoked(subject.grant as Grant)) withdrawGrant(subject); // before its will could be sent
    return subject;
  }

  /** A subject as `subjectText` wrote it; one that the feed no longer knows is revoked. */
  subject(text: string): SubjectState {
    let subject = this.#subjects.get(text) ?? this.#others.get(text);
    if (subject === undefined) {
      subject = isGrant(text) ? subjectOf(JSON.parse(text) as Grant) : revoked(text);
      this.#others.set(text, subject);
    }
    return subject;
  }
}

/** An id begins with a kind of subject. */
const isGrant = (text: string) => text.startsWith("{");

function revoked(id: string): SubjectState {
  return new SubjectState({
    id,
    kind: "service",
    state: "revoked",
    attributes: {},
    spiffeId: "",
    certificates: [],
  });
}
