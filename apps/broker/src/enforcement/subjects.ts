import type { BoundCertificate, Origin, SubjectRecord } from "@wardmq/feed";
import type { CompiledPolicy, SubjectRights } from "@wardmq/policy/compile";
import type { Grant } from "@wardmq/tokens/verify";
import { quarantineRights } from "./quarantine.ts";
import { RecordTable } from "./record-table.ts";

/** A subject as the broker knows it: its record and, once it acts, its rights under the policy of the moment. */
export class SubjectState {
  record: SubjectRecord;
  rights: SubjectRights | undefined;
  /** The policy they are of. */
  policy: CompiledPolicy | undefined;
  /** The token that speaks for it, of a person or an app. */
  grant: Grant | undefined;
  /** Authenticated MQTT connections open now. */
  connections = 0;

  constructor(record: SubjectRecord) {
    this.record = record;
  }

  get id(): string {
    return this.record.id;
  }

  get isQuarantined(): boolean {
    return this.record.state === "quarantined";
  }

  /** Whether the subject may connect at all. */
  get isAdmitted(): boolean {
    return this.record.state === "active" || this.isQuarantined;
  }

  /** Whether the certificate of this fingerprint speaks for the subject now. */
  isProvenBy(fingerprint: string): boolean {
    return this.isAdmitted && this.certificate(fingerprint)?.state === "active";
  }

  certificate(fingerprint: string): BoundCertificate | undefined {
    return this.record.certificates.find((bound) => bound.fingerprint === fingerprint);
  }
}

/** Who an event is about; nobody where no token has said it yet. */
export function named({ id }: SubjectState): { readonly subject?: string } {
  return id === "" ? {} : { subject: id };
}

/**
 * Every subject of the world. One that has a connection, a session or a message here has a SubjectState, and all who
 * hold it hold the same; the others are a line in the table.
 */
export class Subjects {
  #table = new RecordTable();
  readonly #states = new Map<string, WeakRef<SubjectState>>();
  readonly #collected = new FinalizationRegistry<string>((id) => {
    if (this.#states.get(id)?.deref() === undefined) this.#states.delete(id);
  });

  get size(): number {
    return this.#table.size;
  }

  get(id: string): SubjectState | undefined {
    const known = this.#stateOf(id);
    if (known !== undefined) return known;
    const record = this.#table.get(id);
    if (record === undefined) return undefined;
    const state = new SubjectState(record);
    this.#states.set(id, new WeakRef(state));
    this.#collected.register(state, id);
    return state;
  }

  byFingerprint(
    fingerprint: string,
  ): { readonly subject: SubjectState; readonly certificate: BoundCertificate } | undefined {
    const id = this.#table.byFingerprint(fingerprint)?.id;
    const subject = id === undefined ? undefined : this.get(id);
    const certificate = subject?.certificate(fingerprint);
    return subject && certificate && { subject, certificate };
  }

  /** Everybody whose record says this of its maker. */
  byOrigin(origin: Origin): readonly SubjectState[] {
    return this.#table
      .byOrigin(origin)
      .map(({ id }) => this.get(id))
      .filter((subject) => subject !== undefined);
  }

  /**
   * Puts a record in place; whoever holds the subject's state sees it at once. Returns the state if anybody does, or if a
   * known subject is revoked: that is told of even when it ended nothing.
   */
  put(record: SubjectRecord): SubjectState | undefined {
    const state = record.state === "revoked" ? this.get(record.id) : this.#stateOf(record.id);
    this.#table.put(record);
    if (state !== undefined) become(state, record);
    return state;
  }

  /** Takes a record away. Its state stays with those who hold it, as that of a revoked subject. */
  remove(id: string): SubjectState | undefined {
    this.#table.remove(id);
    const state = this.#stateOf(id);
    this.#states.delete(id);
    if (state !== undefined) become(state, gone(state.record));
    return state;
  }

  /** Puts a whole world in place of the former one; returns the states that are no longer what they were. */
  replaceAll(table: RecordTable): ReadonlySet<SubjectState> {
    this.#table = table;
    const changed = new Set<SubjectState>();
    for (const [id, reference] of this.#states) {
      const state = reference.deref();
      if (state === undefined) continue;
      const record = table.get(id);
      if (JSON.stringify(record) === JSON.stringify(state.record)) continue;
      if (record === undefined) this.#states.delete(id);
      become(state, record ?? gone(state.record));
      changed.add(state);
    }
    return changed;
  }

  /** Forgets what was worked out under an older policy. */
  forgetRights(): void {
    for (const reference of this.#states.values()) {
      const state = reference.deref();
      if (state !== undefined) state.rights = undefined;
    }
  }

  /** `now` is for grants; rights that are remembered hold until the policy is used anew. */
  rightsOf(subject: SubjectState, policy: CompiledPolicy, now: number): SubjectRights {
    // Those of tokens are in no table that could be told of a new policy.
    if (subject.policy !== policy) subject.rights = undefined;
    subject.policy = policy;
    const { id, kind, attributes } = subject.record;
    subject.rights ??= subject.isQuarantined
      ? quarantineRights(subject.record)
      : policy.rightsOf({ id, kind, attributes, roles: subject.grant?.roles ?? [] }, now);
    return subject.rights;
  }

  #stateOf(id: string): SubjectState | undefined {
    return this.#states.get(id)?.deref();
  }
}

/** Rights come from the state and the attributes of a record: who only gets a certificate keeps what was worked out. */
function become(state: SubjectState, record: SubjectRecord): void {
  const isSame =
    state.record.state === record.state &&
    JSON.stringify(state.record.attributes) === JSON.stringify(record.attributes);
  state.record = record;
  if (!isSame) state.rights = undefined;
}

function gone(record: SubjectRecord): SubjectRecord {
  return { ...record, state: "revoked", certificates: [] };
}
