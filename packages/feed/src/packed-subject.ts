import type {
  BoundCertificate,
  CertificateState,
  SubjectKind,
  SubjectRecord,
  SubjectState,
} from "./world.ts";

/** A SubjectRecord without the names of its fields: as it travels, and as a broker keeps a hundred thousand of them. */
export type PackedSubject = readonly [
  id: string,
  state: SubjectState,
  attributes: Readonly<Record<string, string>>,
  spiffeId: string,
  ...certificates: PackedCertificate[],
];

type PackedCertificate = readonly [fingerprint: string, notAfter: number, state: CertificateState];

export function packSubject(record: SubjectRecord): PackedSubject {
  const { id, state, attributes, spiffeId, certificates } = record;
  return [id, state, attributes, spiffeId, ...certificates.map(packCertificate)];
}

export function unpackSubject(packed: PackedSubject): SubjectRecord {
  const [id, state, attributes, spiffeId, ...certificates] = packed;
  const kind = id.slice(0, id.indexOf(":")) as SubjectKind; // INVARIANT: an id is `<kind>:<name>`
  return {
    id,
    kind,
    state,
    attributes,
    spiffeId,
    certificates: certificates.map(unpackCertificate),
  };
}

function packCertificate({ fingerprint, notAfter, state }: BoundCertificate): PackedCertificate {
  return [fingerprint, notAfter, state];
}

function unpackCertificate([fingerprint, notAfter, state]: PackedCertificate): BoundCertificate {
  return { fingerprint, notAfter, state };
}
