import type { Session } from "../session/session.ts";
import type { Subscription } from "./subscription.ts";

/** The sessions that share one filter under one group name; each message goes to one of them, 5.0 section 4.8.2. */
export class SharedGroup {
  /** As its members wrote it, `$share/group/filter`. */
  readonly filter: string;
  readonly members = new Map<Session, Subscription>();
  #order: Session[] = [];
  #next = 0;

  constructor(filter: string) {
    this.filter = filter;
  }

  add(session: Session, subscription: Subscription): void {
    this.members.set(session, subscription);
    this.#order = [...this.members.keys()];
  }

  remove(session: Session): void {
    this.members.delete(session);
    this.#order = [...this.members.keys()];
  }

  /** In turn, the first member that can take a message now; else one that is connected; else one that can wait. */
  choose(mayBe: (session: Session) => boolean = anybody): Session | undefined {
    let connected: Session | undefined;
    let waiting: Session | undefined;
    for (let i = 0; i < this.#order.length; i += 1) {
      const at = (this.#next + i) % this.#order.length;
      const session = this.#order[at] as Session;
      if (!mayBe(session)) continue;
      if (session.canSendNow()) {
        this.#next = at + 1;
        return session;
      }
      if (session.connection !== undefined) connected ??= session;
      else waiting ??= session;
    }
    this.#next += 1;
    return connected ?? waiting;
  }
}

const anybody = () => true;
