import { DatabaseSync } from "node:sqlite";
import { Failure } from "../failure.ts";
import { type CertificateRow, type RegisteredSubject, recordOf, type SubjectRow } from "./rows.ts";
import { schema, schemaVersion } from "./schema.ts";

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
}

export interface RevokedRow {
  readonly serialNumber: string;
  readonly revokedAt: number;
}

export interface CertificateStatus {
  readonly state: "active" | "revoked";
  readonly changedAt: number;
}

export interface Expiry {
  readonly kind: "device" | "service";
  readonly subject: string;
  readonly issuer: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

/**
 * Who exists, and which certificates are theirs. Every change commits together with its line of history before the
 * method returns.
 *
 *     subject      active --revoke--> revoked --add--> active (its certificates stay revoked)
 *     certificate  active --revoke--> revoked
 */
export class Registry {
  readonly #database: DatabaseSync;
  readonly #identity: DeploymentIdentity;

  private constructor(database: DatabaseSync, identity: DeploymentIdentity) {
    this.#database = database;
    this.#identity = identity;
  }

  /** Makes the registry of a new deployment. */
  static create(path: string, identity: DeploymentIdentity, doing: Doing): void {
    const database = new DatabaseSync(path);
    try {
      database.exec("PRAGMA journal_mode = WAL");
      database.exec(schema);
      const insert = database.prepare("INSERT INTO deployment (key, value) VALUES (?, ?)");
      for (const [key, value] of Object.entries(identity)) insert.run(key, value);
      writeHistory(database, doing, "init", null, identity);
    } finally {
      database.close();
    }
  }

  /** Opens a registry after checking that its file is whole and of a form we know. */
  static open(path: string): Registry {
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(path, { enableForeignKeyConstraints: true });
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      const [check] = database.prepare("PRAGMA quick_check(1)").all() as { quick_check: string }[];
      const [form] = database.prepare("PRAGMA user_version").all() as { user_version: number }[];
      if (check?.quick_check !== "ok") throw new Error(check?.quick_check);
      if (form?.user_version !== schemaVersion) throw new Error(`form ${form?.user_version}`);
      return new Registry(database, readIdentity(database));
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
    const row = this.#database.prepare("SELECT * FROM subjects WHERE id = ?").get(id);
    if (row === undefined) return undefined;
    const certificates = this.#database
      .prepare("SELECT * FROM certificates WHERE subject = ? ORDER BY changed_at, fingerprint")
      .all(id);
    return recordOf(row as unknown as SubjectRow, certificates as unknown as CertificateRow[]);
  }

  /** All subjects, in the order of their ids. */
  subjects(): readonly RegisteredSubject[] {
    const rows = this.#database.prepare("SELECT * FROM subjects ORDER BY id").all();
    const certificates = this.#database
      .prepare("SELECT * FROM certificates ORDER BY subject, changed_at, fingerprint")
      .all() as unknown as CertificateRow[];
    const bySubject = Map.groupBy(certificates, ({ subject }) => subject);
    return (rows as unknown as SubjectRow[]).map((row) =>
      recordOf(row, bySubject.get(row.id) ?? []),
    );
  }

  /** Registers a subject, or one that was revoked once more; an active one is refused. */
  addSubject(
    record: Omit<RegisteredSubject, "state" | "certificates">,
    doing: Doing,
  ): RegisteredSubject {
    return this.#transaction(() => {
      if (this.subject(record.id)?.state === "active") {
        throw new Failure("ERR_SUBJECT_EXISTS", `${record.id} is already registered`, {
          hint: "wardmq list DIR shows it",
        });
      }
      this.#database
        .prepare(
          `INSERT INTO subjects (id, kind, state, attributes, spiffe_id, changed_at, changed_by)
           VALUES (?, ?, 'active', ?, ?, ?, ?)
           ON CONFLICT (id) DO UPDATE SET state = 'active', attributes = excluded.attributes,
             changed_at = excluded.changed_at, changed_by = excluded.changed_by`,
        )
        .run(
          record.id,
          record.kind,
          JSON.stringify(record.attributes),
          record.spiffeId,
          doing.at,
          doing.actor,
        );
      writeHistory(this.#database, doing, "subject.add", record.id, record.attributes);
      return this.#existing(record.id);
    });
  }

  /** Revokes a subject and all its certificates; `certificatesRevoked` is 0 when that had been done before. */
  revokeSubject(
    id: string,
    doing: Doing,
  ): { readonly record: RegisteredSubject; readonly certificatesRevoked: number } {
    return this.#transaction(() => {
      const before = this.#existing(id);
      const { changes } = this.#database
        .prepare(
          "UPDATE certificates SET state = 'revoked', changed_at = ?, changed_by = ? WHERE subject = ? AND state = 'active'",
        )
        .run(doing.at, doing.actor, id);
      if (before.state === "active") {
        this.#database
          .prepare(
            "UPDATE subjects SET state = 'revoked', changed_at = ?, changed_by = ? WHERE id = ?",
          )
          .run(doing.at, doing.actor, id);
        writeHistory(this.#database, doing, "subject.revoke", id, {
          certificatesRevoked: Number(changes),
        });
      }
      return { record: this.#existing(id), certificatesRevoked: Number(changes) };
    });
  }

  /** One key, one subject; and a key that was revoked never comes back, not even to its own subject. */
  refuseUsedKey(publicKeyHash: string, subject: string): void {
    const rows = this.#database
      .prepare("SELECT subject, state FROM certificates WHERE public_key_hash = ?")
      .all(publicKeyHash) as unknown as Pick<CertificateRow, "subject" | "state">[];
    const hint = "make a new key";
    if (rows.some((row) => row.state === "revoked")) {
      throw new Failure("ERR_KEY_REVOKED", "the public key was revoked", { hint });
    }
    if (rows.some((row) => row.subject !== subject)) {
      throw new Failure("ERR_KEY_IN_USE", "the public key belongs to another subject", { hint });
    }
  }

  /** Written before the signature exists: there is no certificate that the history has never heard of. */
  recordIntent(subject: string, serialNumber: string, publicKeyHash: string, doing: Doing): void {
    writeHistory(this.#database, doing, "certificate.intent", subject, {
      serialNumber,
      publicKeyHash,
    });
  }

  /** Binds a certificate to its subject, who may have been revoked while it was signed. */
  recordCertificate(certificate: NewCertificate, doing: Doing): RegisteredSubject {
    return this.#transaction(() => {
      const {
        subject,
        fingerprint,
        serialNumber,
        issuer,
        publicKeyHash,
        notBefore,
        notAfter,
        der,
      } = certificate;
      this.activeSubject(subject);
      this.refuseUsedKey(publicKeyHash, subject);
      this.#database
        .prepare(
          `INSERT INTO certificates (fingerprint, subject, serial_number, issuer, public_key_hash, not_before, not_after,
             state, der, changed_at, changed_by) VALUES (?, ?, ?, ?, ?, ?, ?, 'active', ?, ?, ?)`,
        )
        .run(
          fingerprint,
          subject,
          serialNumber,
          issuer,
          publicKeyHash,
          notBefore,
          notAfter,
          der,
          doing.at,
          doing.actor,
        );
      writeHistory(this.#database, doing, "certificate.issue", subject, {
        fingerprint,
        serialNumber,
        notAfter,
      });
      return this.#existing(subject);
    });
  }

  /** Certificates of one CA that were revoked and had not expired by `from`. */
  revokedCertificates(issuer: string, from: number): readonly RevokedRow[] {
    return this.#database
      .prepare(
        `SELECT serial_number AS serialNumber, changed_at AS revokedAt FROM certificates
         WHERE issuer = ? AND state = 'revoked' AND not_after >= ? ORDER BY changed_at, serial_number`,
      )
      .all(issuer, from) as unknown as RevokedRow[];
  }

  /** What is known about a serial number of one CA. */
  certificateStatus(issuer: string, serialNumber: string): CertificateStatus | undefined {
    return this.#database
      .prepare(
        "SELECT state, changed_at AS changedAt FROM certificates WHERE issuer = ? AND serial_number = ?",
      )
      .get(issuer, serialNumber) as unknown as CertificateStatus | undefined;
  }

  /** The active certificates that had not expired by `from`: whose they are, and when each ends. */
  expiries(from: number): readonly Expiry[] {
    return this.#database
      .prepare(
        `SELECT subjects.kind, certificates.subject, issuer, not_before AS notBefore,
           not_after AS notAfter FROM certificates
         JOIN subjects ON subjects.id = certificates.subject
         WHERE certificates.state = 'active' AND not_after >= ? ORDER BY not_after`,
      )
      .all(from) as unknown as Expiry[];
  }

  /** A subject that may get a certificate. */
  activeSubject(id: string): RegisteredSubject {
    const record = this.#existing(id);
    if (record.state === "active") return record;
    throw new Failure("ERR_SUBJECT_REVOKED", `${id} is revoked`, {
      hint: "add it again, then make a credential",
    });
  }

  /** Adds a line of history that belongs to no subject, such as a new policy. */
  recordChange(action: string, doing: Doing): void {
    writeHistory(this.#database, doing, action, null, {});
  }

  close(): void {
    this.#database.close();
  }

  #existing(id: string): RegisteredSubject {
    const record = this.subject(id);
    if (record !== undefined) return record;
    throw new Failure("ERR_SUBJECT_UNKNOWN", `there is no ${id}`, {
      hint: "wardmq list DIR shows who exists",
    });
  }

  #transaction<Result>(work: () => Result): Result {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }
}

function writeHistory(
  database: DatabaseSync,
  { at, actor }: Doing,
  action: string,
  subject: string | null,
  details: object,
): void {
  database
    .prepare("INSERT INTO history (at, actor, action, subject, details) VALUES (?, ?, ?, ?, ?)")
    .run(at, actor, action, subject, JSON.stringify(details));
}

function readIdentity(database: DatabaseSync): DeploymentIdentity {
  const rows = database.prepare("SELECT key, value FROM deployment").all() as {
    key: string;
    value: string;
  }[];
  const { org, environment, trustDomain } = Object.fromEntries(
    rows.map(({ key, value }) => [key, value]),
  );
  if (!org || !environment || !trustDomain)
    throw new Error("identity of the deployment is missing");
  return { org, environment, trustDomain };
}
