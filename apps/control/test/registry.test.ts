import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { Failure } from "../src/failure.ts";
import { Registry } from "../src/registry/registry.ts";
import { TestFolder } from "./control-under-test.ts";

const identity = { org: "Hospital_1", environment: "prod", trustDomain: "prod.hospital_1" };
const doing = (at: number) => ({ actor: `uid:${at}`, at });
const dashboard = {
  id: "service:dashboard",
  kind: "service",
  attributes: { org: "Hospital_1", id: "dashboard" },
  spiffeId: "spiffe://prod.hospital_1/service/dashboard",
} as const;
const certificate = (number: number, subject = dashboard.id as string) => ({
  subject,
  fingerprint: `f${number}`,
  serialNumber: `s${number}`,
  issuer: "ca",
  publicKeyHash: `k${number}`,
  notBefore: 0,
  notAfter: 10,
  der: new Uint8Array(3),
});

function newRegistry() {
  const folder = new TestFolder();
  const path = join(folder.path, "registry.db");
  Registry.create(path, identity, doing(0));
  return { path, folder, registry: Registry.open(path) };
}

const refuses = (work: () => unknown, code: string) =>
  assert.throws(work, (error) => error instanceof Failure && error.code === code);

describe("the registry", () => {
  test("does not open a file of another form", () => {
    const { folder, path, registry } = newRegistry();
    using _ = folder;
    registry.close();
    const database = new DatabaseSync(path);
    database.exec("PRAGMA user_version = 1");
    database.close();
    refuses(() => Registry.open(path), "ERR_REGISTRY");
  });

  test("binds no certificate to a subject that was revoked while it was signed, and keeps nothing of it", () => {
    const { folder, registry } = newRegistry();
    using _ = folder;
    registry.addSubject(dashboard, doing(1));
    registry.revokeSubject(dashboard.id, doing(2));
    refuses(() => registry.recordCertificate(certificate(1), doing(3)), "ERR_SUBJECT_REVOKED");
    assert.deepEqual(registry.subject(dashboard.id)?.certificates, []);
    registry.close();
  });

  test("binds no key twice, whoever comes first", () => {
    const { folder, registry } = newRegistry();
    using _ = folder;
    registry.addSubject(dashboard, doing(1));
    registry.addSubject(
      { ...dashboard, id: "service:b", spiffeId: "spiffe://prod.hospital_1/service/b" },
      doing(1),
    );
    registry.recordCertificate(certificate(1), doing(2));
    refuses(
      () =>
        registry.recordCertificate(
          { ...certificate(2, "service:b"), publicKeyHash: "k1" },
          doing(3),
        ),
      "ERR_KEY_IN_USE",
    );
    registry.close();
  });

  test("tells what of each CA is revoked or ends, and leaves out what has expired", () => {
    const { folder, registry } = newRegistry();
    using _ = folder;
    registry.addSubject(dashboard, doing(1));
    registry.recordCertificate(certificate(1), doing(2));
    registry.recordCertificate({ ...certificate(2), issuer: "other" }, doing(2));
    assert.deepEqual(registry.revokedCertificates("ca", 0), []);
    assert.deepEqual(
      registry.expiries(0).map(({ kind, issuer, notAfter }) => [kind, issuer, notAfter]),
      [
        ["service", "ca", 10],
        ["service", "other", 10],
      ],
    );
    registry.revokeSubject(dashboard.id, doing(3));
    assert.deepEqual(
      registry
        .revokedCertificates("ca", 10)
        .map(({ serialNumber, revokedAt }) => [serialNumber, revokedAt]),
      [["s1", 3]],
    );
    assert.deepEqual(registry.revokedCertificates("ca", 11), []);
    assert.deepEqual(registry.expiries(0), []);
    assert.equal(registry.certificateStatus("ca", "s1")?.state, "revoked");
    assert.equal(registry.certificateStatus("other", "s1"), undefined);
    registry.close();
  });

  test("knows who changed what and when, and lets nobody rewrite it", () => {
    const { folder, path, registry } = newRegistry();
    using _ = folder;
    registry.addSubject(dashboard, doing(1));
    registry.recordIntent(dashboard.id, "s1", "k1", doing(2));
    registry.recordCertificate(certificate(1), doing(3));
    registry.revokeSubject(dashboard.id, doing(4));
    registry.revokeSubject(dashboard.id, doing(5));
    registry.close();
    const database = new DatabaseSync(path);
    const rows = database
      .prepare("SELECT at, actor, action, subject FROM history ORDER BY number")
      .all();
    assert.deepEqual(
      rows.map(({ at, actor, action, subject }) => [at, actor, action, subject]),
      [
        [0, "uid:0", "init", null],
        [1, "uid:1", "subject.add", dashboard.id],
        [2, "uid:2", "certificate.intent", dashboard.id],
        [3, "uid:3", "certificate.issue", dashboard.id],
        [4, "uid:4", "subject.revoke", dashboard.id],
      ],
    );
    assert.throws(() => database.exec("UPDATE history SET actor = 'x'"), /only added to/);
    assert.throws(() => database.exec("DELETE FROM history"), /only added to/);
    database.close();
  });
});
