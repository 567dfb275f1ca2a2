import type { DatabaseSync } from "node:sqlite";
import type { RegisteredSubject } from "./rows.ts";
import type { SealedDatabase } from "./sealed-database.ts";

interface SubjectRow {
  id: string;
  kind: "device" | "service" | "operator";
  state: "active" | "revoked";
  attributes: string;
  spiffe_id: string;
  changed_at: number;
  changed_by: string;
}

interface CertificateRow {
  fingerprint: string;
  subject: string;
  serial_number: string;
  issuer?: string;
  public_key_hash: string;
  not_before: number;
  not_after: number;
  state: "active" | "revoked";
  der: Uint8Array;
  changed_at: number;
}

interface HistoryRow {
  at: number;
  actor: string;
  action: string;
  subject: string | null;
  details: string;
}

/** The attributes that a policy may use; what else an old record had is text for people. */
const policyAttributes = new Set(["org", "id", "site", "ward", "model"]);

/**
 * Brings a registry of version 1 or 2, whose tables lay in the clear, to sealed tables, and takes what lay there off the
 * file. `issuerOf` tells the key identifier of the CA that signed a certificate: version 1 did not keep it.
 */
export function migrate(file: SealedDatabase, issuerOf: (der: Uint8Array) => string): void {
  const { database } = file;
  database.exec("PRAGMA secure_delete = ON");
  file.transaction(() => {
    const old = readOld(database);
    database.exec(`DROP TRIGGER history_keeps; DROP TRIGGER history_stays; DROP TABLE certificates;
      DROP TABLE subjects; DROP TABLE deployment; DROP TABLE history;`);
    file.makeTables();
    file.write("deployment", 1, old.identity);
    const numbers = new Map(old.subjects.map(({ id }, i) => [id, i + 1]));
    const bySubject = Map.groupBy(old.certificates, ({ subject }) => subject);
    let certificates = 0;
    for (const row of old.subjects) {
      const own = (bySubject.get(row.id) ?? []).map((certificate) => {
        certificates += 1;
        file.write("certificates", certificates, certificate.der);
        const issuer = certificate.issuer ?? issuerOf(certificate.der);
        return { ...certificateOf(certificate), issuer, number: certificates };
      });
      const number = numbers.get(row.id) as number;
      file.write("subjects", number, subjectOf(row, number, own));
    }
    for (const { subject, details, ...line } of old.history) {
      const told = {
        ...line,
        ...(subject === null ? {} : { subject }),
        details: JSON.parse(details),
      };
      file.addHistory(told, numbers.get(subject ?? "") ?? null);
    }
  });
  database.exec("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);");
}

function readOld(database: DatabaseSync) {
  const all = <Row>(sql: string) => database.prepare(sql).all() as unknown as Row[];
  const identity = all<{ key: string; value: string }>("SELECT key, value FROM deployment");
  return {
    identity: Object.fromEntries(identity.map(({ key, value }) => [key, value])),
    subjects: all<SubjectRow>("SELECT * FROM subjects ORDER BY id"),
    certificates: all<CertificateRow>(
      "SELECT * FROM certificates ORDER BY changed_at, fingerprint",
    ),
    history: all<HistoryRow>(
      "SELECT at, actor, action, subject, details FROM history ORDER BY number",
    ),
  };
}

function subjectOf(
  row: SubjectRow,
  number: number,
  certificates: RegisteredSubject["certificates"],
): RegisteredSubject {
  const all = Object.entries(JSON.parse(row.attributes) as Record<string, string>);
  const isCertified = certificates.some(({ state }) => state === "active");
  return {
    number,
    id: row.id,
    kind: row.kind,
    state: row.state === "active" && !isCertified ? "registered" : row.state,
    attributes: Object.fromEntries(
      all.filter(([name]) => row.kind !== "device" || policyAttributes.has(name)),
    ),
    spiffeId: row.spiffe_id,
    details: Object.fromEntries(
      all.filter(([name]) => row.kind === "device" && !policyAttributes.has(name)),
    ),
    tags: [],
    certificates,
    changedAt: row.changed_at,
    changedBy: row.changed_by,
  };
}

function certificateOf(row: CertificateRow) {
  return {
    fingerprint: row.fingerprint,
    serialNumber: row.serial_number,
    publicKeyHash: row.public_key_hash,
    notBefore: row.not_before,
    notAfter: row.not_after,
    state: row.state,
    changedAt: row.changed_at,
  };
}
