/** Counts up with every change of `schema`. `migrate.ts` brings older ones here; a newer one is not opened. */
export const schemaVersion = 3;

/** Taken away only while the same lines are sealed again under another key. */
export const historyKeeps =
  "CREATE TRIGGER history_keeps BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'history is only added to'); END;";

/**
 * The tables of control/registry.db. Rows have opaque numbers and sealed contents (packages/sealing): the file says how
 * many subjects there are and how often each was changed, and no more. `history` is only ever added to.
 */
export const tables = `
CREATE TABLE deployment (number INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE subjects (number INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE certificates (number INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE history (number INTEGER PRIMARY KEY, subject INTEGER, sealed BLOB NOT NULL) STRICT;
CREATE INDEX history_of_subject ON history (subject);
${historyKeeps}
CREATE TRIGGER history_stays BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'history is only added to'); END;
PRAGMA user_version = ${schemaVersion};
`;

export const tableNames = ["deployment", "subjects", "certificates", "history"] as const;
export type TableName = (typeof tableNames)[number];
