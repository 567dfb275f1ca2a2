import type { SubjectState } from "../enforcement/subjects.ts";
import type { Connection } from "./connection.ts";

/**
 * Every connection that is past the door, found by its subject and by the holder of its certificate, who is another where
 * a token says who it is: what either loses is ended at once.
 */
export class Connections {
  readonly #bySubject = new Map<SubjectState, Connection[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Those of this subject, and those that came with its certificate. */
  of(subject: SubjectState): readonly Connection[] {
    return this.#bySubject.get(subject) ?? [];
  }

  *[Symbol.iterator](): Generator<Connection> {
    for (const [found, connections] of this.#bySubject) {
      for (const connection of connections) if (connection.peer.subject === found) yield connection;
    }
  }

  add(connection: Connection): void {
    const { subject, holder = subject } = connection.peer;
    this.#put(subject, connection);
    if (holder !== subject) this.#put(holder, connection);
    this.#size += 1;
  }

  delete(connection: Connection): void {
    const { subject, holder = subject } = connection.peer;
    if (!this.#remove(subject, connection)) return;
    if (holder !== subject) this.#remove(holder, connection);
    this.#size -= 1;
  }

  #put(subject: SubjectState, connection: Connection): void {
    const others = this.#bySubject.get(subject);
    if (others === undefined) this.#bySubject.set(subject, [connection]);
    else others.push(connection);
  }

  #remove(subject: SubjectState, connection: Connection): boolean {
    const all = this.#bySubject.get(subject) ?? [];
    const at = all.indexOf(connection);
    if (at < 0) return false;
    if (all.length === 1) this.#bySubject.delete(subject);
    else all.splice(at, 1);
    return true;
  }
}
