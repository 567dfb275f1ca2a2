import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { KeyRing, newDataKey } from "@wardmq/sealing";
import { Registry } from "../src/registry/registry.ts";
import { newDeployment, TestFolder, uuid } from "./control-under-test.ts";

const key = newDataKey();
const keys = { ring: new KeyRing([key], key.id), store: "a store" };

/** A registry as versions 1 and 2 wrote it: everything in the clear. */
function writeOld(path: string, version: 1 | 2, der: Uint8Array): void {
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

describe("a registry of before it was sealed", () => {
  for (const version of [1, 2] as const) {
    test(`is taken over from version ${version}, all of it, and nothing stays in the clear`, async () => {
      using deployment = await newDeployment();
      const pem = readFileSync(deployment.in("broker/server.pem"), "utf8");
      const [, base64 = ""] = /-----BEGIN CERTIFICATE-----([^-]*)-----END/.exec(pem) ?? [];
      using folder = new TestFolder();
      const path = join(folder.path, "registry.db");
      writeOld(path, version, Buffer.from(base64, "base64"));
      Registry.open(path, keys).close();
      const registry = Registry.open(path, keys);
      assert.deepEqual(
        registry
          .subjects()
          .map(({ id, state, certificates }) => [
            id,
            state,
            certificates.map((one) => [one.serialNumber, one.state, one.changedAt]),
          ]),
        [
          [`device:${uuid}`, "active", [["s1", "active", 4]]],
          ["service:gone", "revoked", [["s2", "revoked", 5]]],
          ["service:new", "registered", []],
        ],
      );
      const [issuer] =
        registry.subject(`device:${uuid}`)?.certificates.map((one) => one.issuer) ?? [];
      if (version === 2) assert.equal(issuer, "aabb");
      else assert.match(issuer ?? "", /^[0-9a-f]{40}$/);
      assert.deepEqual(registry.history(`device:${uuid}`, 10), [
        {
          at: 1,
          actor: "uid:1",
          action: "subject.add",
          subject: `device:${uuid}`,
          details: { ward: "icu" },
        },
      ]);
      assert.throws(() => registry.refuseUsedKey("k2", "service:new"), { code: "ERR_KEY_REVOKED" });
      const files = ["", "-wal", "-shm"].map((end) => readFileSync(path + end, "latin1")).join("");
      for (const word of ["Hospital_1", uuid, "icu", "spiffe", "WardMQ broker"]) {
        assert.ok(!files.includes(word), word);
      }
      registry.close();
    });
  }
});
