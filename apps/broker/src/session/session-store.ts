import type { Session } from "./session.ts";

/** Where sessions live, by (subject, client id): nobody reaches a session of another subject. */
export interface SessionStore {
  readonly size: number;
  find(subjectId: string, clientId: string): Session | undefined;
  add(session: Session): void;
  remove(session: Session): void;
  values(): Iterable<Session>;
}
