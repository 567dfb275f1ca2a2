/** Counts up with every change of `schema`; a registry of another form is not opened. */
export const schemaVersion = 2;

/** The tables of control/registry.db. `history` is only ever added to. */
export const schema = `
BEGIN;
CREATE TABLE deployment (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE subjects (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('device', 'service')),
  state TEXT NOT NULL CHECK (state IN ('active', 'revoked')),
  attributes TEXT NOT NULL,
  spiffe_id TEXT NOT NULL UNIQUE,
  changed_at INTEGER NOT NULL,
  changed_by TEXT NOT NULL
) STRICT;

CREATE TABLE certificates (
  fingerprint TEXT PRIMARY KEY,
  subject TEXT NOT NULL REFERENCES subjects (id),
  serial_number TEXT NOT NULL UNIQUE,
  issuer TEXT NOT NULL,
  public_key_hash TEXT NOT NULL,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'revoked')),
  der BLOB NOT NULL,
  changed_at INTEGER NOT NULL,
  changed_by TEXT NOT NULL
) STRICT;
CREATE INDEX certificates_by_subject ON certificates (subject);
CREATE INDEX certificates_by_public_key ON certificates (public_key_hash);
CREATE INDEX certificates_by_issuer ON certificates (issuer, state, not_after);

CREATE TABLE history (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT,
  details TEXT NOT NULL
) STRICT;
CREATE TRIGGER history_keeps BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'history is only added to'); END;
CREATE TRIGGER history_stays BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'history is only added to'); END;
PRAGMA user_version = ${schemaVersion};
COMMIT;
`;
