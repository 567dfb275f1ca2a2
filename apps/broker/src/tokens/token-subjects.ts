import type { SubjectRecord } from "@wardmq/feed";
import type { Grant } from "@wardmq/tokens/verify";
import { SubjectState } from "../enforcement/subjects.ts";

/** Who has not said yet who it is: a subject without any right. */
export const nobody = new SubjectState({
  id: "",
  kind: "person",
  state: "revoked",
  attributes: {},
  spiffeId: "",
  certificates: [],
});

/** The subject a token makes of its session; it lives as long as somebody holds it. */
export function subjectOf(grant: Grant): SubjectState {
  const subject = new SubjectState(recordOf(grant));
  subject.grant = grant;
  return subject;
}

/** Puts a newer token of the same subject in the place of the former; tells whether its rights are others. */
export function replaceGrant(subject: SubjectState, grant: Grant): boolean {
  const former = subject.grant;
  subject.grant = grant;
  const rightsOf = (of: Grant | undefined) =>
    JSON.stringify([of?.roles, of?.actions, of?.attributes]);
  if (rightsOf(former) === rightsOf(grant)) return false;
  subject.record = recordOf(grant);
  subject.rights = undefined;
  return true;
}

/** The token counts no longer: from here on nothing is taken from its subject or delivered to it, its will included. */
export function withdrawGrant(subject: SubjectState): void {
  if (subject.grant !== undefined) subject.grant = { ...subject.grant, expiresAt: 0 };
}

function recordOf({ subject, kind, attributes }: Grant): SubjectRecord {
  return { id: subject, kind, state: "active", attributes, spiffeId: "", certificates: [] };
}

/**
 * Connections and sessions of one person or app together: each of its sessions has a subject of its own, with the
 * rights and the end of its own token.
 */
export class TokenSubjects {
  readonly #byId = new Map<string, Set<SubjectState>>();
  readonly #sessionsOf: (subject: SubjectState) => number;
  #sweepAt = 1_024;

  constructor(sessionsOf: (subject: SubjectState) => number) {
    this.#sessionsOf = sessionsOf;
  }

  /** From here on what this subject holds counts for all of its id. */
  add(subject: SubjectState): void {
    if (this.#byId.size >= this.#sweepAt) {
      for (const id of this.#byId.keys()) this.of({ id }); // forgets who holds nothing
      this.#sweepAt = Math.max(1_024, 2 * this.#byId.size);
    }
    const all = this.#byId.get(subject.id) ?? new Set();
    this.#byId.set(subject.id, all.add(subject));
  }

  /** What all subjects of this one's id hold together. */
  of({ id }: Pick<SubjectState, "id">): {
    readonly connections: number;
    readonly sessions: number;
  } {
    const all = this.#byId.get(id) ?? new Set();
    let [connections, sessions] = [0, 0];
    for (const subject of all) {
      const ofSubject = this.#sessionsOf(subject);
      connections += subject.connections;
      sessions += ofSubject;
      if (subject.connections + ofSubject === 0) all.delete(subject);
    }
    if (all.size === 0) this.#byId.delete(id);
    return { connections, sessions };
  }
}
