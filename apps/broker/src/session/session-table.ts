import type { Session } from "./session.ts";

/** All sessions by (subject, client id): nobody reaches a session of another subject. */
export class SessionTable {
  readonly #sessions = new Map<string, Session>();

  get size(): number {
    return this.#sessions.size;
  }

  find(subjectId: string, clientId: string): Session | undefined {
    return this.#sessions.get(key(subjectId, clientId));
  }

  add(session: Session): void {
    this.#sessions.set(key(session.subject.id, session.clientId), session);
  }

  remove(session: Session): void {
    const at = key(session.subject.id, session.clientId);
    if (this.#sessions.get(at) === session) this.#sessions.delete(at);
  }

  values(): Iterable<Session> {
    return this.#sessions.values();
  }
}

/** A subject id holds no U+0000, and neither does an MQTT string: no two pairs share a key. */
function key(subjectId: string, clientId: string): string {
  return `${subjectId}\0${clientId}`;
}
