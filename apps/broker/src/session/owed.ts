import type {
  ApplicationMessage,
  SubscriptionIdentifiers,
} from "../routing/application-message.ts";
import type { SharedGroup } from "../routing/shared-group.ts";
import type { Journal } from "../store/journal.ts";
import { Stored } from "../store/segment.ts";

/** A session in the journal: there while it may outlive its connection. */
export class StoredSession extends Stored {
  readonly id: number;
  readonly #write: (item: StoredSession) => void;

  constructor(id: number, write: (item: StoredSession) => void) {
    super();
    this.id = id;
    this.#write = write;
  }

  override rewrite(): void {
    this.#write(this);
  }
}

/** A message owed to a session, in its queue or in flight. */
export class OwedMessage extends Stored {
  readonly message: ApplicationMessage;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  readonly identifiers: SubscriptionIdentifiers;
  /** The group of a Shared Subscription, which gets the message back if this session ends before it. */
  readonly group: SharedGroup | undefined;
  /** The enforcement epoch in which the right to it was last asked. */
  epoch: number;
  /** Its place in the queue it waits in. */
  order = 0;
  /** 0 until it is sent. */
  packetId = 0;
  /** Its place in the order of what is owed; 0 when it ends with the process. */
  serial = 0;
  #journal: Journal | undefined;
  #session = 0;

  constructor(
    message: ApplicationMessage,
    qos: 1 | 2,
    retain: boolean,
    identifiers: SubscriptionIdentifiers,
    group: SharedGroup | undefined,
    epoch: number,
  ) {
    super();
    this.message = message;
    this.qos = qos;
    this.retain = retain;
    this.identifiers = identifiers;
    this.group = group;
    this.epoch = epoch;
  }

  get importance(): number {
    return this.message.topic.importance;
  }

  /** Hot path. From here on the message outlives the process, until it is settled or released. */
  store(journal: Journal, session: number): void {
    this.#journal = journal;
    this.#session = session;
    this.serial = journal.nextId();
    journal.store(this.message).owedTo += 1;
    this.rewrite();
  }

  /** As `store`, for what was found in the journal. */
  restore(journal: Journal, session: number, serial: number, packetId: number): void {
    this.#journal = journal;
    this.#session = session;
    this.serial = serial;
    this.packetId = packetId;
    journal.store(this.message).owedTo += 1;
  }

  override rewrite(): void {
    const journal = this.#journal as Journal; // INVARIANT: only what is in the journal is written anew
    journal.owed(
      this,
      this.#session,
      this.serial,
      journal.store(this.message),
      this.qos,
      this.retain,
      this.identifiers,
      this.group?.filter ?? "",
      this.packetId,
    );
  }

  /** It leaves under this Packet Identifier. */
  sent(packetId: number): void {
    this.packetId = packetId;
    this.#journal?.sent(this.#session, this.serial, packetId);
  }

  /** Delivered, dropped or expired: owed no longer. */
  settled(): void {
    if (this.#journal === undefined) return;
    this.#journal.settled(this, this.#session, this.serial);
    this.#disown();
  }

  /** Its session has ended, and the journal knows. */
  gone(): void {
    if (this.#journal === undefined) return;
    this.#journal.gone(this);
    this.#disown();
  }

  /** The PUBREC has come. What is left of it in the journal, where it is there. */
  released(): ReleasedMessage | undefined {
    const journal = this.#journal;
    if (journal === undefined) return undefined;
    const left = new ReleasedMessage(journal, this.#session, this.serial, this.packetId);
    left.rewrite();
    this.gone();
    return left;
  }

  #disown(): void {
    const { stored } = this.message;
    if (stored !== undefined) this.#journal?.disowned(stored);
    this.#journal = undefined;
  }
}

/** A QoS 2 message whose PUBREC has come: only its Packet Identifier is in use, until the PUBCOMP. */
export class ReleasedMessage extends Stored {
  readonly #journal: Journal;
  readonly #session: number;
  readonly #serial: number;
  readonly #packetId: number;

  constructor(journal: Journal, session: number, serial: number, packetId: number) {
    super();
    this.#journal = journal;
    this.#session = session;
    this.#serial = serial;
    this.#packetId = packetId;
  }

  override rewrite(): void {
    this.#journal.released(this, this.#session, this.#serial, this.#packetId);
  }

  settled(): void {
    this.#journal.settled(this, this.#session, this.#serial);
  }

  gone(): void {
    this.#journal.gone(this);
  }
}
