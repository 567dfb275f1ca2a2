import type { BoundCertificate, SubjectRecord } from "@wardmq/feed";

/** A certificate as the registry keeps it. */
export interface RegisteredCertificate extends BoundCertificate {
  readonly state: "active" | "revoked";
  readonly serialNumber: string;
}

/** A subject with all its certificates, as the registry keeps it. */
export interface RegisteredSubject extends SubjectRecord {
  readonly state: "active" | "revoked";
  readonly certificates: readonly RegisteredCertificate[];
}

/** As it lies in the table `subjects`. */
export interface SubjectRow {
  id: string;
  kind: "device" | "service";
  state: "active" | "revoked";
  attributes: string;
  spiffe_id: string;
}

/** As it lies in the table `certificates`. */
export interface CertificateRow {
  subject: string;
  fingerprint: string;
  serial_number: string;
  not_after: number;
  state: "active" | "revoked";
}

/** A subject with all its certificates, as brokers and tools know it. */
export function recordOf(
  row: SubjectRow,
  certificates: readonly CertificateRow[],
): RegisteredSubject {
  return {
    id: row.id,
    kind: row.kind,
    state: row.state,
    attributes: JSON.parse(row.attributes) as Record<string, string>,
    spiffeId: row.spiffe_id,
    certificates: certificates.map(
      ({ fingerprint, serial_number, not_after, state }): RegisteredCertificate => ({
        fingerprint,
        serialNumber: serial_number,
        notAfter: not_after,
        state,
      }),
    ),
  };
}
