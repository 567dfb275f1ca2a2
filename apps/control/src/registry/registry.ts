import { DatabaseSync } from "node:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import { printable } from "@wardmq/events";
import type { CertificateState } from "@wardmq/feed";
import { decodeCertificate, extensionOids } from "@wardmq/x509";
import { Failure } from "../failure.ts";
import { migrate } from "./migrate.ts";
import {
  afterTransition,
  type Details,
  type DeviceOrService,
  type NewSubject,
  type OperatorRecord,
  type RegisteredCertificate,
  type RegisteredSubject,
  type TransitionName,
} from "./rows.ts";
import { schemaVersion } from "./schema.ts";
import { type HistoryLine, type RegistryKeys, SealedDatabase } from "./sealed-database.ts";

/** What a deployment is and stays: fixed by `init`. */
export interface DeploymentIdentity {
  readonly org: string;
  readonly environment: string;
  readonly trustDomain: string;
}

/** Who changed something, and when (milliseconds since 1970). */
export interface Doing {
  readonly actor: string;
  readonly at: number;
  /** Why, in the operator's words. */
  readonly reason?: string;
}

export interface NewCertificate {
  readonly subject: string;
  readonly fingerprint: string;
  readonly serialNumber: string;
  /** Key identifier of the CA that signed it, lower-case hex. */
  readonly issuer: string;
  /** SHA-256 over the SubjectPublicKeyInfo, lower-case hex. */
  readonly publicKeyHash: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly der: Uint8Array;
  /** The foreign CA that signed it; absent where it is ours. */
  readonly foreignCa?: string;
}

export interface RevokedRow {
  readonly serialNumber: string;
  readonly revokedAt: number;
  readonly state: Exclude<CertificateState, "active">;
}

export interface CertificateStatus {
  readonly state: CertificateState;
  readonly changedAt: number;
}

export interface Expiry {
  readonly kind: RegisteredSubject["kind"];
  readonly subject: string;
  readonly issuer: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** The foreign CA that signed it; absent where it is ours. */
  readonly foreignCa?: string;
}

/** What an edit changes of a record: `null` takes a detail away. */
export interface Edit {
  readonly site?: string;
  readonly ward?: string;
  readonly model?: string | null;
  /** Of an operator: whose tokens are the operator's, without `person:`. */
  readonly person?: string | null;
  readonly maker?: string | null;
  readonly serial?: string | null;
  readonly owner?: string | null;
  readonly tags?: readonly string[];
}

/** A change as it is committed: the subject as it is then, and what the history says of it. */
interface Change {
  readonly subject: RegisteredSubject;
  readonly action: string;
  readonly details: Readonly<Record<string, unknown>>;
  /** The certificate that comes with it. */
  readonly der?: { readonly number: number; readonly bytes: Uint8Array };
}

/** A device's former certificate ends this long after its successor came, used or not. */
const changeOverMs = 7 * 24 * 60 * 60 * 1000;
const mostCertificatesOfDevice = 2;

/**
 * Who exists, and which certificates are theirs. All of it is in memory; on disk it is sealed. Every change commits
 * together with its line of history before the method returns. The states of a subject are in `rows.ts`.
 *
 *     certificate  active --revoke, retire--> revoked
 *                  active --a device's newer one is used, or a third comes, or seven days pass--> superseded --> revoked
 */
export class Registry {
  readonly #file: SealedDatabase;
  readonly #identity: DeploymentIdentity;
  readonly #subjects = new Map<string, RegisteredSubject>();
  /** The subject that ever had a key; one key, one subject. */
  readonly #byKey = new Map<string, string>();
  readonly #bySerialNumber = new Map<string, string>();
  readonly #byFingerprint = new Map<string, string>();
  #sortedIds: readonly string[] | undefined;
  #lastSubject = 0;
  #lastCertificate = 0;

  private constructor(file: SealedDatabase) {
    this.#file = file;
    this.#identity = identityOf([...file.rows("deployment")][0]?.value);
    this.#load();
  }

  /** Makes the registry of a new deployment. */
  static create(
    path: string,
    identity: DeploymentIdentity,
    keys: RegistryKeys,
    doing: Doing,
  ): void {
    const database = new DatabaseSync(path);
    try {
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      const file = new SealedDatabase(database, keys);
      file.transaction(() => {
        file.makeTables();
        file.write("deployment", 1, identity);
        file.addHistory(lineOf(doing, "init", undefined, { ...identity }), null);
      });
    } finally {
      database.close();
    }
  }

  /** Opens a registry after checking that its file is whole and of a form we know; one of an older form is brought up. */
  static open(path: string, keys: RegistryKeys): Registry {
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(path, { enableForeignKeyConstraints: false });
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      const [check] = database.prepare("PRAGMA quick_check(1)").all() as { quick_check: string }[];
      const [form] = database.prepare("PRAGMA user_version").all() as { user_version: number }[];
      if (check?.quick_check !== "ok") throw new Error(check?.quick_check);
      const version = form?.user_version ?? 0;
      if (version < 1 || version > schemaVersion) throw new Error(`form ${version}`);
      const file = new SealedDatabase(database, keys);
      if (version < schemaVersion) migrate(file, issuerOf);
      return new Registry(file);
    } catch (cause) {
      database?.close();
      throw new Failure("ERR_REGISTRY", "the registry control/registry.db is damaged", {
        hint: "restore the folder control from a backup",
        cause,
      });
    }
  }

  get identity(): DeploymentIdentity {
    return this.#identity;
  }

  subject(id: string): RegisteredSubject | undefined {
    return this.#subjects.get(id);
  }

  /** All devices and services, in the order of their ids. */
  subjects(): readonly DeviceOrService[] {
    return this.#all().filter((record): record is DeviceOrService => record.kind !== "operator");
  }

  /** All operators, in the order of their ids. */
  operators(): readonly OperatorRecord[] {
    return this.#all().filter((record): record is OperatorRecord => record.kind === "operator");
  }

  /** The ids of everybody that come after this text, in order. */
  idsAfter(text: string): readonly string[] {
    const ids = this.#ids;
    let [low, high] = [0, ids.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ids[middle] as string) > text) high = middle;
      else low = middle + 1;
    }
    return ids.slice(low);
  }

  /** Whose certificate has this fingerprint. */
  holderOf(fingerprint: string): RegisteredSubject | undefined {
    return this.#subjects.get(this.#byFingerprint.get(fingerprint) ?? "");
  }

  /**
   * The device that a maker gave this serial number; none where two records say they are it. One that is out of use does
   * not stand in the way of its successor.
   */
  deviceOfMaker(maker: string, serial: string): DeviceOrService | undefined {
    const all = this.subjects().filter(
      ({ details }) => details.maker === maker && details.serial === serial,
    );
    const inUse = all.filter(({ state }) => state !== "retired" && state !== "revoked");
    const [found, ...more] = inUse.length > 0 ? inUse : all;
    return more.length === 0 ? found : undefined;
  }

  /** Registers a subject, or once more one that is retired or revoked. */
  addSubject(record: NewSubject, doing: Doing): RegisteredSubject {
    const [added] = this.addSubjects([record], doing);
    return added as RegisteredSubject;
  }

  /** Registers all of these together, or none. */
  addSubjects(records: readonly NewSubject[], doing: Doing): readonly RegisteredSubject[] {
    return this.#commit(
      doing,
      records.map((record, i) => ({
        subject: this.#added(record, this.#lastSubject + 1 + i, doing),
        action: "subject.add",
        details: { ...record.attributes, ...record.details, tags: record.tags ?? [] },
      })),
    );
  }

  /** Why `addSubject` would refuse this id; nothing when it would not. */
  refusesToAdd(id: string): Failure | undefined {
    const state = this.#subjects.get(id)?.state;
    if (state === undefined || state === "retired" || state === "revoked") return undefined;
    return new Failure("ERR_SUBJECT_EXISTS", `${id} is already registered`, {
      hint: `${listOf(id)} shows it`,
    });
  }

  /** Changes what the record says of a subject. */
  editSubject(id: string, edit: Edit, doing: Doing): RegisteredSubject {
    const before = this.#existing(id);
    const { attributes, details, tags, changed } = edited(before, edit);
    if (Object.keys(changed).length === 0) return before;
    const { actor, at } = doing;
    const subject = { ...before, attributes, details, tags, changedAt: at, changedBy: actor };
    const [result] = this.#commit(doing, [
      { subject: subject as RegisteredSubject, action: "subject.edit", details: { changed } },
    ]);
    return result as RegisteredSubject;
  }

  /** Takes each of these subjects through a transition, all together; those whose state does not allow it stay out. */
  move(
    ids: readonly string[],
    name: Exclude<TransitionName, "activate" | "add">,
    doing: Doing,
  ): readonly RegisteredSubject[] {
    const changes = ids.flatMap((id) => {
      const before = this.#existing(id);
      const subject = afterTransition(before, name, doing);
      if (subject === undefined) return [];
      const ended = activeOf(before).length - activeOf(subject).length;
      const details = { from: before.state, to: subject.state, certificatesRevoked: ended };
      return [{ subject, action: `subject.${name}`, details }];
    });
    return this.#commit(doing, changes);
  }

  /** Revokes a subject and all its certificates; `certificatesRevoked` is 0 when that had been done before. */
  revokeSubject(
    id: string,
    doing: Doing,
  ): { readonly record: RegisteredSubject; readonly certificatesRevoked: number } {
    const before = this.#existing(id);
    const [record = before] = this.move([id], "revoke", doing);
    return { record, certificatesRevoked: activeOf(before).length - activeOf(record).length };
  }

  /** One key, one subject; and a key that was revoked never comes back, not even to its own subject. */
  refuseUsedKey(publicKeyHash: string, subject: string | undefined): void {
    const owner = this.#byKey.get(publicKeyHash);
    if (owner === undefined) return;
    const isRevoked = this.#subjects
      .get(owner)
      ?.certificates.some((one) => one.publicKeyHash === publicKeyHash && one.state === "revoked");
    const hint = "make a new key";
    if (isRevoked) throw new Failure("ERR_KEY_REVOKED", "the public key was revoked", { hint });
    if (owner === subject) return;
    throw new Failure("ERR_KEY_IN_USE", "the public key belongs to another subject", { hint });
  }

  /** Written before the signature exists: there is no certificate that the history has never heard of. */
  recordIntent(subject: string, serialNumber: string, publicKeyHash: string, doing: Doing): void {
    const { number } = this.#existing(subject);
    const line = lineOf(doing, "certificate.intent", subject, { serialNumber, publicKeyHash });
    this.#file.transaction(() => this.#file.addHistory(line, number));
  }

  /** Binds a certificate to its subject, who may have been revoked while it was signed: from now on it counts. */
  recordCertificate(certificate: NewCertificate, doing: Doing): RegisteredSubject {
    const { subject: id, der, ...rest } = certificate;
    const before = this.activeSubject(id);
    this.refuseUsedKey(rest.publicKeyHash, id);
    const { at, actor } = doing;
    const number = this.#lastCertificate + 1;
    const bound: RegisteredCertificate = { ...rest, state: "active", changedAt: at, number };
    const former = before.kind === "device" ? activeOf(before) : [];
    const tooMany = former.slice(0, Math.max(0, former.length + 1 - mostCertificatesOfDevice));
    const subject = {
      ...(afterTransition(before, "activate", doing) ?? before),
      certificates: [...withState(before, tooMany, "superseded", at), bound],
      changedAt: at,
      changedBy: actor,
    };
    const { fingerprint, serialNumber, notAfter } = rest;
    const [result] = this.#commit(doing, [
      {
        subject: subject as RegisteredSubject,
        action: rest.foreignCa === undefined ? "certificate.issue" : "certificate.adopt",
        details: { fingerprint, serialNumber, notAfter, superseded: tooMany.map(serialOf) },
        der: { number, bytes: der },
      },
    ]);
    return result as RegisteredSubject;
  }

  /** A device has connected with this certificate: its older ones end. Gives the subject if that changed anything. */
  certificateUsed(fingerprint: string, doing: Doing): RegisteredSubject | undefined {
    const before = this.holderOf(fingerprint);
    if (before?.kind !== "device") return undefined;
    const active = activeOf(before);
    const used = active.findIndex((one) => one.fingerprint === fingerprint);
    return used <= 0 ? undefined : this.#supersede([[before, active.slice(0, used)]], doing)[0];
  }

  /** Ends the former certificates of devices that have had a newer one for seven days; gives those it changed. */
  endChangeOvers(doing: Doing): readonly RegisteredSubject[] {
    const due: [RegisteredSubject, readonly RegisteredCertificate[]][] = [];
    for (const subject of this.#subjects.values()) {
      if (subject.kind !== "device") continue;
      const active = activeOf(subject);
      const newest = active.at(-1);
      if (newest === undefined || active.length < 2) continue;
      if (newest.changedAt + changeOverMs <= doing.at) due.push([subject, active.slice(0, -1)]);
    }
    return this.#supersede(due, doing);
  }

  /** Revokes every active certificate that one CA has signed; gives the subjects that had one. */
  revokeCertificatesOf(issuer: string, doing: Doing): readonly RegisteredSubject[] {
    const { at, actor: changedBy } = doing;
    const changes = [...this.#subjects.values()].flatMap((before): readonly Change[] => {
      const ended = activeOf(before).filter((one) => one.issuer === issuer);
      if (ended.length === 0) return [];
      const certificates = withState(before, ended, "revoked", at);
      return [
        {
          subject: { ...before, certificates, changedAt: at, changedBy },
          action: "certificate.revoke",
          details: { revoked: ended.map(serialOf), issuer },
        },
      ];
    });
    return this.#commit(doing, changes);
  }

  /** Certificates of one CA that do not count any more and had not expired by `from`. */
  revokedCertificates(issuer: string, from: number): readonly RevokedRow[] {
    const ended: RevokedRow[] = [];
    for (const { certificates } of this.#subjects.values()) {
      for (const { issuer: by, state, notAfter, serialNumber, changedAt } of certificates) {
        if (by !== issuer || state === "active" || notAfter < from) continue;
        ended.push({ serialNumber, revokedAt: changedAt, state });
      }
    }
    return ended;
  }

  /** What is known about a serial number of one CA. */
  certificateStatus(issuer: string, serialNumber: string): CertificateStatus | undefined {
    const owner = this.#subjects.get(this.#bySerialNumber.get(serialNumber) ?? "");
    const found = owner?.certificates.find(
      (one) => one.issuer === issuer && one.serialNumber === serialNumber,
    );
    return found && { state: found.state, changedAt: found.changedAt };
  }

  /** The active certificates that had not expired by `from`: whose they are, and when each ends. */
  expiries(from: number): readonly Expiry[] {
    const expiries: Expiry[] = [];
    for (const { kind, id, certificates } of this.#subjects.values()) {
      for (const { issuer, state, notBefore, notAfter, foreignCa } of certificates) {
        if (state !== "active" || notAfter < from) continue;
        const theirs = foreignCa === undefined ? {} : { foreignCa };
        expiries.push({ kind, subject: id, issuer, notBefore, notAfter, ...theirs });
      }
    }
    return expiries.sort((one, other) => one.notAfter - other.notAfter);
  }

  /** Those of our own CAs alone: what a rotation has to wait for. */
  ownExpiries(from: number): readonly Expiry[] {
    return this.expiries(from).filter(({ foreignCa }) => foreignCa === undefined);
  }

  /** A subject that may get a certificate. */
  activeSubject(id: string): RegisteredSubject {
    const record = this.#existing(id);
    if (record.state !== "revoked" && record.state !== "retired") return record;
    throw new Failure("ERR_SUBJECT_REVOKED", `${id} is ${record.state}`, {
      hint: "add it again, then make a credential",
    });
  }

  /**
   * Makes several changes in one transaction. They are on the disk when it returns; where it throws none of them is, and
   * none has happened.
   */
  together<Result>(changes: () => Result): Result {
    try {
      return this.#file.transaction(changes);
    } catch (error) {
      this.#load(); // memory followed each of them
      throw error;
    }
  }

  /** Adds a line of history that belongs to no subject, such as a new policy. */
  recordChange(
    action: string,
    doing: Doing,
    details: Readonly<Record<string, unknown>> = {},
  ): void {
    const line = lineOf(doing, action, undefined, details);
    this.#file.transaction(() => this.#file.addHistory(line, null));
  }

  /** The last lines of history about a subject, or about everything, oldest first. */
  history(id: string | undefined, last: number): readonly HistoryLine[] {
    return this.#file.history(id === undefined ? undefined : this.#existing(id).number, last);
  }

  /** Where the history stands, to be given back one day: see `hasBeenAt`. */
  get position(): string {
    return this.#file.position;
  }

  /** Whether the history goes on from what was its position once: an older copy does not. */
  hasBeenAt(position: string): boolean {
    return this.#file.hasBeenAt(position);
  }

  /** Seals everything again that a former key sealed, a thousand rows at a time: others work in between. */
  async reseal(): Promise<void> {
    for (const _ of this.#file.resealing(1_000)) await nextTurn();
  }

  close(): void {
    this.#file.database.close();
  }

  #load(): void {
    this.#file.checkHistory();
    this.#subjects.clear();
    this.#sortedIds = undefined;
    for (const index of [this.#byKey, this.#bySerialNumber, this.#byFingerprint]) index.clear();
    const shared = new Map<string, string>();
    for (const { value } of this.#file.rows("subjects")) {
      this.#hold(withShared(value as RegisteredSubject, shared));
    }
  }

  get #ids(): readonly string[] {
    this.#sortedIds ??= [...this.#subjects.keys()].sort();
    return this.#sortedIds;
  }

  #all(): readonly RegisteredSubject[] {
    return this.#ids.map((id) => this.#subjects.get(id) as RegisteredSubject);
  }

  #existing(id: string): RegisteredSubject {
    const record = this.subject(id);
    if (record !== undefined) return record;
    throw new Failure("ERR_SUBJECT_UNKNOWN", `there is no ${printable(id, 100)}`, {
      hint: `${listOf(id)} shows who exists`,
    });
  }

  #added(record: NewSubject, number: number, doing: Doing): RegisteredSubject {
    const refusal = this.refusesToAdd(record.id);
    if (refusal !== undefined) throw refusal;
    const former = this.#subjects.get(record.id);
    const { details = {}, tags = [], ...rest } = record;
    return {
      ...rest,
      number: former?.number ?? number,
      state: "registered",
      details,
      tags,
      certificates: former?.certificates ?? [],
      changedAt: doing.at,
      changedBy: doing.actor,
    } as RegisteredSubject;
  }

  #supersede(
    due: readonly (readonly [RegisteredSubject, readonly RegisteredCertificate[]])[],
    doing: Doing,
  ): readonly RegisteredSubject[] {
    const { at, actor } = doing;
    return this.#commit(
      doing,
      due.map(([before, former]) => ({
        subject: {
          ...before,
          certificates: withState(before, former, "superseded", at),
          changedAt: at,
          changedBy: actor,
        },
        action: "certificate.supersede",
        details: { superseded: former.map(serialOf) },
      })),
    );
  }

  /** Writes the changes and their lines of history in one transaction; only then does memory follow. */
  #commit(doing: Doing, changes: readonly Change[]): readonly RegisteredSubject[] {
    if (changes.length === 0) return [];
    this.#file.transaction(() => {
      for (const { subject, action, details, der } of changes) {
        if (der !== undefined) this.#file.write("certificates", der.number, der.bytes);
        this.#file.write("subjects", subject.number, subject);
        this.#file.addHistory(lineOf(doing, action, subject.id, details), subject.number);
      }
    });
    for (const { subject } of changes) this.#hold(subject);
    return changes.map(({ subject }) => subject);
  }

  #hold(subject: RegisteredSubject): void {
    if (!this.#subjects.has(subject.id)) this.#sortedIds = undefined;
    this.#subjects.set(subject.id, subject);
    this.#lastSubject = Math.max(this.#lastSubject, subject.number);
    for (const certificate of subject.certificates) {
      const { publicKeyHash, serialNumber, fingerprint, number, foreignCa } = certificate;
      this.#byKey.set(publicKeyHash, subject.id);
      // A foreign CA may have chosen a serial number of ours.
      if (foreignCa === undefined) this.#bySerialNumber.set(serialNumber, subject.id);
      this.#byFingerprint.set(fingerprint, subject.id);
      this.#lastCertificate = Math.max(this.#lastCertificate, number);
    }
  }
}

/** The certificates that count, the oldest first. */
function activeOf({ certificates }: RegisteredSubject): readonly RegisteredCertificate[] {
  return certificates.filter(({ state }) => state === "active");
}

const serialOf = ({ serialNumber }: RegisteredCertificate) => serialNumber;

function withState(
  { certificates }: RegisteredSubject,
  some: readonly RegisteredCertificate[],
  state: CertificateState,
  at: number,
): readonly RegisteredCertificate[] {
  return certificates.map((one) => (some.includes(one) ? { ...one, state, changedAt: at } : one));
}

/** A record after an edit, and what changed: each name with what it said before and says now. */
function edited(before: RegisteredSubject, { tags, site, ward, model, person, ...rest }: Edit) {
  const attributes = withValues(before.attributes, { site, ward, model, person });
  const details = withValues(before.details as Record<string, string>, rest) as Details;
  const after = { ...attributes, ...details, tags: (tags ?? before.tags).join(" ") };
  const was = { ...before.attributes, ...before.details, tags: before.tags.join(" ") };
  const names = new Set([...Object.keys(was), ...Object.keys(after)]) as Set<keyof typeof after>;
  const changed = Object.fromEntries(
    [...names]
      .filter((name) => was[name] !== after[name])
      .map((name) => [name, [was[name] ?? null, after[name] ?? null]]),
  );
  return { attributes, details, tags: tags ?? before.tags, changed };
}

function withValues(
  values: Readonly<Record<string, string>>,
  edit: Readonly<Record<string, string | null | undefined>>,
): Record<string, string> {
  const all = Object.entries({ ...values, ...withoutUndefined(edit) });
  return Object.fromEntries(all.filter((one): one is [string, string] => one[1] !== null));
}

function withoutUndefined<Value>(values: Readonly<Record<string, Value | undefined>>) {
  return Object.fromEntries(
    Object.entries(values).filter((one): one is [string, Value] => one[1] !== undefined),
  );
}

function lineOf(
  { at, actor, reason }: Doing,
  action: string,
  subject: string | undefined,
  details: Readonly<Record<string, unknown>>,
): HistoryLine {
  return {
    at,
    actor,
    action,
    ...(subject === undefined ? {} : { subject }),
    ...(reason === undefined ? {} : { reason }),
    details,
  };
}

/** Sites, wards, models and CAs are few: a hundred thousand records share the texts that name them. */
function withShared(subject: RegisteredSubject, shared: Map<string, string>): RegisteredSubject {
  const share = (text: string) => {
    const known = shared.get(text);
    if (known !== undefined) return known;
    shared.set(text, text);
    return text;
  };
  const attributes = Object.fromEntries(
    Object.entries(subject.attributes).map(([name, value]) => [
      name,
      name === "id" ? value : share(value),
    ]),
  );
  const certificates = subject.certificates.map((one) => ({ ...one, issuer: share(one.issuer) }));
  return {
    ...subject,
    attributes,
    certificates,
    tags: subject.tags.map(share),
  } as RegisteredSubject;
}

function identityOf(value: unknown): DeploymentIdentity {
  const { org, environment, trustDomain } = (value ?? {}) as Partial<DeploymentIdentity>;
  if (!org || !environment || !trustDomain)
    throw new Error("identity of the deployment is missing");
  return { org, environment, trustDomain };
}

/** Our CAs write nothing but their key identifier, 20 octets, into an authorityKeyIdentifier. */
function issuerOf(der: Uint8Array): string {
  const { extensions } = decodeCertificate(der);
  const found = extensions.find(({ oid }) => oid === extensionOids.authorityKeyIdentifier);
  return Buffer.from(found?.value.subarray(-20) ?? []).toString("hex");
}

/** The command that lists subjects of its kind. */
function listOf(id: string): string {
  return id.startsWith("operator:") ? "wardmq operator list DIR" : "wardmq list DIR";
}
