import type {
  BoundCertificate,
  CertificateState,
  Origin,
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
  ...rest: (PackedCertificate | Origin)[],
];

type PackedCertificate = readonly [
  fingerprint: string,
  notAfter: number,
  state: CertificateState,
  foreignCa?: string,
];

export function packSubject(record: SubjectRecord): PackedSubject {
  const { id, state, attributes, spiffeId, certificates, origin } = record;
  const rest = origin === undefined ? [] : [origin]; // few have one
  return [id, state, attributes, spiffeId, ...certificates.map(packCertificate), ...rest];
}

/** Hot path: a snapshot has a hundred thousand of them. */
export function unpackSubject(packed: PackedSubject): SubjectRecord {
  const [id, state, attributes, spiffeId, ...rest] = packed;
  const kind = id.slice(0, id.indexOf(":")) as SubjectKind; // INVARIANT: an id is `<kind>:<name>`
  const certificates: BoundCertificate[] = [];
  let origin: Origin | undefined;
  for (const one of rest) {
    if (isCertificate(one)) certificates.push(unpackCertificate(one));
    else origin = one;
  }
  const record = { id, kind, state, attributes, spiffeId, certificates };
  return origin === undefined ? record : { ...record, origin };
}

function isCertificate(one: PackedCertificate | Origin): one is PackedCertificate {
  return Array.isArray(one);
}

function packCertificate(certificate: BoundCertificate): PackedCertificate {
  const { fingerprint, notAfter, state, foreignCa } = certificate;
  return foreignCa === undefined
    ? [fingerprint, notAfter, state]
    : [fingerprint, notAfter, state, foreignCa];
}

function unpackCertificate(packed: PackedCertificate): BoundCertificate {
  const [fingerprint, notAfter, state, foreignCa] = packed;
  const certificate = { fingerprint, notAfter, state };
  return foreignCa === undefined ? certificate : { ...certificate, foreignCa };
}
