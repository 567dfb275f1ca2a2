import type {
  BoundCertificate,
  CertificateState,
  SubjectRecord,
  SubjectState,
  WorldChange,
} from "@wardmq/feed";

/** Whoever has certificates: what brokers know, and operators, of whom they hear nothing. */
export type RegisteredSubject = DeviceOrService | OperatorRecord;

export interface DeviceOrService extends SubjectRecord, Registered {
  readonly kind: "device" | "service";
  readonly certificates: readonly RegisteredCertificate[];
}

export interface OperatorRecord extends Omit<DeviceOrService, "kind"> {
  readonly kind: "operator";
}

/** What only the registry keeps of a subject. Immutable: a change makes another. */
interface Registered {
  /** Of its row, and of its lines of history. */
  readonly number: number;
  /** Of a device: what its maker and its owner say of it. Text for people, which no policy uses. */
  readonly details: Details;
  /** In order, each once; closed alphabet. */
  readonly tags: readonly string[];
  readonly changedAt: number;
  readonly changedBy: string;
}

export interface Details {
  readonly maker?: string;
  readonly serial?: string;
  readonly owner?: string;
}

export interface RegisteredCertificate extends BoundCertificate {
  readonly serialNumber: string;
  /** Key identifier of the CA that signed it, lower-case hex. */
  readonly issuer: string;
  /** SHA-256 over the SubjectPublicKeyInfo, lower-case hex. */
  readonly publicKeyHash: string;
  readonly notBefore: number;
  /** When it came to its state, milliseconds since 1970. */
  readonly changedAt: number;
  /** Of its row, which holds the certificate itself. */
  readonly number: number;
}

/** What a new record says; it is `registered` until its first certificate. */
export type NewSubject = Pick<RegisteredSubject, "id" | "kind" | "attributes" | "spiffeId"> & {
  readonly details?: Details;
  readonly tags?: readonly string[];
};

/** A change of the world as control has it; brokers hear of it without the operators. */
export interface RegistryChange extends Omit<WorldChange, "subjects"> {
  readonly subjects?: readonly RegisteredSubject[];
}

/** Without what only the registry keeps. */
export function recordForBrokers(subject: RegisteredSubject): readonly SubjectRecord[] {
  if (subject.kind === "operator") return [];
  const { id, kind, state, attributes, spiffeId, certificates } = subject;
  return [{ id, kind, state, attributes, spiffeId, certificates }];
}

export interface Transition {
  readonly from: readonly SubjectState[];
  /** Where the subject is then; `its own`: active when it has a certificate that counts, else registered. */
  readonly to: SubjectState | "its own";
  /** What becomes of its active certificates. */
  readonly ends?: CertificateState;
}

/**
 * The states of a subject, one row for each way from one to another:
 *
 *     registered --first certificate--> active <--release-- quarantined
 *         |                               |  ---quarantine-->   |
 *         +------------- retire, revoke --+---------------------+
 *                              v
 *                     retired, revoked --add--> registered (its former certificates never count again)
 */
export const transitions = {
  activate: { from: ["registered"], to: "active" },
  quarantine: { from: ["registered", "active"], to: "quarantined" },
  release: { from: ["quarantined"], to: "its own" },
  retire: { from: ["registered", "active", "quarantined"], to: "retired", ends: "revoked" },
  revoke: { from: ["registered", "active", "quarantined"], to: "revoked", ends: "revoked" },
  add: { from: ["retired", "revoked"], to: "registered" },
} as const satisfies Record<string, Transition>;

export type TransitionName = keyof typeof transitions;

/** The subject after a transition that its state allows, else undefined. */
export function afterTransition(
  subject: RegisteredSubject,
  name: TransitionName,
  { actor, at }: { readonly actor: string; readonly at: number },
): RegisteredSubject | undefined {
  const { from, to, ends }: Transition = transitions[name];
  if (!from.includes(subject.state)) return undefined;
  const certificates = subject.certificates.map((certificate) =>
    ends === undefined || certificate.state === "revoked"
      ? certificate
      : { ...certificate, state: ends, changedAt: at },
  );
  const isCertified = certificates.some(({ state }) => state === "active");
  const state = to === "its own" ? (isCertified ? "active" : "registered") : to;
  return { ...subject, state, certificates, changedAt: at, changedBy: actor };
}
