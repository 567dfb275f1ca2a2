import type { ApplicationMessage } from "../routing/application-message.ts";
import type { Journal } from "./journal.ts";
import type { Slab } from "./record-writer.ts";
import { Stored } from "./segment.ts";

/** A message that somebody durable is owed, or that is retained: stored once, however many refer to it. */
export class StoredMessage extends Stored {
  readonly id: number;
  readonly message: ApplicationMessage;
  isRetained = false;
  /** How many sessions are owed it. */
  owedTo = 0;
  /** What its bytes lie in, where they lie in the journal. */
  slab: Slab | undefined;
  readonly #journal: Journal;

  constructor(id: number, message: ApplicationMessage, journal: Journal) {
    super();
    this.id = id;
    this.message = message;
    this.#journal = journal;
  }

  override rewrite(): void {
    this.#journal.message(this);
  }
}
