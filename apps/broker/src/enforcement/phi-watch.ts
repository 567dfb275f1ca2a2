import { createHmac, randomBytes } from "node:crypto";
import { printable, type SecurityEvent } from "@wardmq/events";
import type { PhiFinding, PhiGuard } from "@wardmq/policy/compile";
import type { Requester } from "./enforcement.ts";

/** Where a client wrote the text. */
export type PhiPlace =
  | "topic"
  | "topic filter"
  | "will topic"
  | "client id"
  | "user property"
  | "response topic"
  | "content type";

/** What a message brings along beside its topic, as far as a client writes it freely. */
export interface FreeText {
  readonly contentType: string | undefined;
  /** Names and values of User Properties. */
  readonly userProperties: readonly string[];
}

const nothing: PhiGuard = () => [];

/**
 * Looks for identifiers of patients in what clients write, and keeps them out of events: a finding is told by detector,
 * place, position and a hash under a key that this process alone has, never by its text.
 */
export class PhiWatch {
  #guard: PhiGuard = nothing;
  /** The Content Type in which nothing was found last: there are few, and most messages of a client have the same. */
  #cleanContentType: string | undefined;
  readonly #record: (event: Omit<SecurityEvent, "at">) => void;
  readonly #key = randomBytes(32);

  constructor(record: (event: Omit<SecurityEvent, "at">) => void) {
    this.#record = record;
  }

  /** Takes the guard of the policy of the moment. */
  use(guard: PhiGuard): void {
    this.#guard = guard;
    this.#cleanContentType = undefined;
  }

  /** Hot path for messages with a Content Type and no User Properties. Whether what a message brings along may not pass. */
  blocksFreeText(requester: Requester, { contentType, userProperties }: FreeText): boolean {
    if (contentType !== undefined && contentType !== this.#cleanContentType) {
      if (this.blocks(requester, "content type", contentType)) return true;
      if (this.#guard(contentType).length === 0) this.#cleanContentType = contentType;
    }
    return userProperties.some((text) => this.blocks(requester, "user property", text));
  }

  /** Whether the text may not pass; what was found is an event. */
  blocks(requester: Requester, place: PhiPlace, text: string): boolean {
    const findings = this.#guard(text);
    for (const finding of findings) this.#tell(requester, place, finding);
    return findings.some(({ blocks }) => blocks);
  }

  /** The text as an event may show it. */
  shown(text: string): string {
    return this.#guard(text).length === 0 ? printable(text) : `hidden ${this.#hash(text)}`;
  }

  #tell({ subject, clientId, address }: Requester, place: PhiPlace, finding: PhiFinding): void {
    const { detector, at, text, blocks } = finding;
    this.#record({
      type: blocks ? "phi-blocked" : "phi-suspected",
      subject: subject.id,
      ...(clientId === undefined ? {} : { clientId: this.shown(clientId) }),
      ...(address === undefined ? {} : { address }),
      check: `phi:${detector}`,
      details: { place, position: at, hash: this.#hash(text) },
    });
  }

  #hash(text: string): string {
    return createHmac("sha256", this.#key).update(text).digest("hex").slice(0, 16);
  }
}
