import type { SecurityEvent } from "@wardmq/events";
import type { StorePosition } from "@wardmq/feed";
import type { StateFile } from "../files.ts";

/** How far the broker's store was when the broker last said so, kept apart from that store; `anchored` is what the anchor says. */
export class BrokerStore {
  readonly #file: StateFile;
  readonly #record: (event: Omit<SecurityEvent, "at">) => void;
  #known: StorePosition | undefined;

  constructor(
    file: StateFile,
    record: (event: Omit<SecurityEvent, "at">) => void,
    anchored?: StorePosition,
  ) {
    this.#file = file;
    this.#record = record;
    const text = file.read();
    this.#known =
      anchored ?? (text === undefined ? undefined : (JSON.parse(text) as StorePosition));
  }

  /** Where it stood when the broker last said so. */
  get known(): StorePosition | undefined {
    return this.#known;
  }

  /** Keeps where the store stands, and says so when it has stood further. */
  hear(position: StorePosition): void {
    const known = this.#known;
    if (known !== undefined && !goesOn(known, position)) {
      const isOther = known.incarnation !== position.incarnation;
      const why = isOther
        ? `broker/state is another one than it was: what the former one held up to segment ${known.number} is missing`
        : `broker/state is an older copy of itself: it ended with segment ${position.number}, and there was segment ${known.number}; what came after it is missing, and what was delivered after it may be delivered again`;
      const details = { was: known.number, is: position.number };
      this.#record({ type: "store-rolled-back", why, details });
    }
    this.#known = position;
    this.#file.write(JSON.stringify(position));
  }
}

function goesOn(known: StorePosition, now: StorePosition): boolean {
  return known.incarnation === now.incarnation && known.number <= now.number;
}
