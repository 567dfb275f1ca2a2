import type { BoundCertificate, SubjectRecord } from "@wardmq/feed";
import type { CompiledPolicy, SubjectRights } from "@wardmq/policy/compile";

/** A subject as the broker knows it: its record and, once it acts, its rights under the policy of the moment. */
export class SubjectState {
  record: SubjectRecord;
  rights: SubjectRights | undefined;
  /** Authenticated MQTT connections open now. */
  connections = 0;
  /** Sessions, with a connection or without. */
  sessions = 0;

  constructor(record: SubjectRecord) {
    this.record = record;
  }

  get id(): string {
    return this.record.id;
  }

  get isActive(): boolean {
    return this.record.state === "active";
  }

  /** Whether the certificate of this fingerprint speaks for the subject now. */
  isProvenBy(fingerprint: string): boolean {
    return (
      this.isActive &&
      this.record.certificates.some(
        (certificate) => certificate.fingerprint === fingerprint && certificate.state === "active",
      )
    );
  }
}

/** Every subject of the world, found by id or by the fingerprint of a certificate that was ever bound to it. */
export class Subjects {
  readonly #byId = new Map<string, SubjectState>();
  readonly #byFingerprint = new Map<
    string,
    { subject: SubjectState; certificate: BoundCertificate }
  >();

  get(id: string): SubjectState | undefined {
    return this.#byId.get(id);
  }

  byFingerprint(
    fingerprint: string,
  ): { readonly subject: SubjectState; readonly certificate: BoundCertificate } | undefined {
    return this.#byFingerprint.get(fingerprint);
  }

  values(): IterableIterator<SubjectState> {
    return this.#byId.values();
  }

  /** Puts a record in place; whoever holds the subject's state sees the new record at once. */
  put(record: SubjectRecord): SubjectState {
    let subject = this.#byId.get(record.id);
    if (subject === undefined) {
      subject = new SubjectState(record);
      this.#byId.set(record.id, subject);
    } else {
      for (const { fingerprint } of subject.record.certificates) {
        this.#byFingerprint.delete(fingerprint);
      }
      subject.record = record;
      subject.rights = undefined;
    }
    for (const certificate of record.certificates) {
      this.#byFingerprint.set(certificate.fingerprint, { subject, certificate });
    }
    return subject;
  }

  /** Takes a record away. Its state object stays with those who hold it, as a revoked subject. */
  remove(id: string): SubjectState | undefined {
    const subject = this.#byId.get(id);
    if (subject === undefined) return undefined;
    for (const { fingerprint } of subject.record.certificates)
      this.#byFingerprint.delete(fingerprint);
    this.#byId.delete(id);
    subject.record = { ...subject.record, state: "revoked", certificates: [] };
    subject.rights = undefined;
    return subject;
  }

  /** Forgets what was worked out under an older policy. */
  forgetRights(): void {
    for (const subject of this.#byId.values()) subject.rights = undefined;
  }

  rightsOf(subject: SubjectState, policy: CompiledPolicy): SubjectRights {
    subject.rights ??= policy.rightsOf({
      id: subject.record.id,
      kind: subject.record.kind,
      attributes: subject.record.attributes,
    });
    return subject.rights;
  }
}
