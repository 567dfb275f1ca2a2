import type { SubjectState } from "../enforcement/subjects.ts";
import type { Connection } from "./connection.ts";

/** Every connection that is past the door, found by its subject: what a subject loses is ended at once. */
export class Connections {
  readonly #bySubject = new Map<SubjectState, Connection[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  of(subject: SubjectState): readonly Connection[] {
    return this.#bySubject.get(subject) ?? [];
  }

  *[Symbol.iterator](): Generator<Connection> {
    for (const connections of this.#bySubject.values()) yield* connections;
  }

  add(connection: Connection): void {
    const { subject } = connection.peer;
    const others = this.#bySubject.get(subject);
    if (others === undefined) this.#bySubject.set(subject, [connection]);
    else others.push(connection);
    this.#size += 1;
  }

  delete(connection: Connection): void {
    const { subject } = connection.peer;
    const all = this.#bySubject.get(subject) ?? [];
    const at = all.indexOf(connection);
    if (at < 0) return;
    this.#size -= 1;
    if (all.length === 1) this.#bySubject.delete(subject);
    else all.splice(at, 1);
  }
}
