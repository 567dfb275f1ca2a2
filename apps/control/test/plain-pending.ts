/** The tables of `control/pending.db` as they were when they lay in the clear. */
export const plainPendingTables = `
CREATE TABLE IF NOT EXISTS approvals (
  id TEXT PRIMARY KEY,
  command TEXT NOT NULL,
  arguments TEXT NOT NULL,
  requested_by TEXT NOT NULL,
  requested_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'approved', 'refused')),
  decided_by TEXT,
  decided_at INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS enrolment_codes (
  subject TEXT PRIMARY KEY,
  hash BLOB NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS answers (
  caller TEXT NOT NULL,
  key TEXT NOT NULL,
  request TEXT NOT NULL,
  status INTEGER,
  body TEXT,
  code TEXT,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (caller, key)
) STRICT;
`;
