import { DatabaseSync } from "node:sqlite";
import { uuid } from "./control-under-test.ts";

/** A registry as versions 1 and 2 wrote it: everything in the clear. */
export function writePlainRegistry(path: string, version: 1 | 2, der: Uint8Array): void {
  const database = new DatabaseSync(path);
  const issuer = version === 1 ? "" : "issuer TEXT NOT NULL, ";
  database.exec(`
    PRAGMA journal_mode = WAL;
    CREATE TABLE deployment (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE subjects (id TEXT PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, attributes TEXT NOT NULL,
      spiffe_id TEXT NOT NULL UNIQUE, changed_at INTEGER NOT NULL, changed_by TEXT NOT NULL) STRICT;
    CREATE TABLE certificates (fingerprint TEXT PRIMARY KEY, subject TEXT NOT NULL, serial_number TEXT NOT NULL UNIQUE,
      ${issuer}public_key_hash TEXT NOT NULL, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, state TEXT NOT NULL,
      der BLOB NOT NULL, changed_at INTEGER NOT NULL, changed_by TEXT NOT NULL) STRICT;
    CREATE TABLE history (number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL,
      action TEXT NOT NULL, subject TEXT, details TEXT NOT NULL) STRICT;
    CREATE TRIGGER history_keeps BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'only added to'); END;
    CREATE TRIGGER history_stays BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'only added to'); END;
    INSERT INTO deployment VALUES ('org', 'Hospital_1'), ('environment', 'prod'), ('trustDomain', 'prod.hospital_1');
    INSERT INTO subjects VALUES
      ('device:${uuid}', 'device', 'active', '{"org":"Hospital_1","site":"main","ward":"icu","id":"${uuid}"}',
       'spiffe://prod.hospital_1/device/${uuid}', 1, 'uid:1'),
      ('service:new', 'service', 'active', '{"org":"Hospital_1","id":"new"}', 'spiffe://prod.hospital_1/service/new', 2, 'uid:2'),
      ('service:gone', 'service', 'revoked', '{"org":"Hospital_1","id":"gone"}', 'spiffe://prod.hospital_1/service/gone', 3, 'uid:3');
    INSERT INTO history (at, actor, action, subject, details) VALUES (0, 'uid:0', 'init', NULL, '{}'),
      (1, 'uid:1', 'subject.add', 'device:${uuid}', '{"ward":"icu"}');
    PRAGMA user_version = ${version};`);
  const values =
    version === 1 ? "?, ?, ?, ?, ?, ?, ?, ?, ?, ?" : "?, ?, ?, 'aabb', ?, ?, ?, ?, ?, ?, ?";
  const insert = database.prepare(`INSERT INTO certificates VALUES (${values})`);
  insert.run("f1", `device:${uuid}`, "s1", "k1", 0, 10, "active", der, 4, "uid:1");
  insert.run("f2", "service:gone", "s2", "k2", 0, 10, "revoked", der, 5, "uid:3");
  database.close();
}
