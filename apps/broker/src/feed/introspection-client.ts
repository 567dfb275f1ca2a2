import type { BrokerMessage, FeedAside } from "@wardmq/feed";
import type { Introspected } from "@wardmq/tokens/verify";

type Answer = (introspected: Introspected | undefined) => void;

interface Asked {
  readonly answer: Answer;
  readonly timer: NodeJS.Timeout;
}

/** Longer than control waits for an issuer. */
const patienceMs = 6_000;
const mostAsked = 64;

/** Asks control what the issuer says of opaque tokens: control has the client secret, and the broker makes no connection. */
export class IntrospectionClient {
  readonly #send: (message: BrokerMessage) => boolean;
  readonly #asked = new Map<number, Asked>();
  #lastId = 0;

  /** `send` tells whether the message is on its way. */
  constructor(send: (message: BrokerMessage) => boolean) {
    this.#send = send;
  }

  /** What the issuer says; undefined where it, or control, gives no answer in time. */
  ask(token: string): Promise<Introspected | undefined> {
    if (this.#asked.size >= mostAsked) return Promise.resolve(undefined);
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((answer) => {
      const timer = setTimeout(() => this.#settle(id, undefined), patienceMs);
      this.#asked.set(id, { answer, timer });
      if (!this.#send({ type: "introspect", id, token })) this.#settle(id, undefined);
    });
  }

  answered({ id, introspected }: Extract<FeedAside, { type: "introspected" }>): void {
    this.#settle(id, introspected);
  }

  /** Control is away: nobody answers what was asked. */
  lost(): void {
    for (const id of [...this.#asked.keys()]) this.#settle(id, undefined);
  }

  #settle(id: number, introspected: Introspected | undefined): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    this.#asked.delete(id);
    clearTimeout(asked.timer);
    asked.answer(introspected);
  }
}
