import assert from "node:assert/strict";
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { KeyRing, newDataKey } from "@wardmq/sealing";
import { Failure } from "../src/failure.ts";
import { openPending } from "../src/pending/pending.ts";
import { sealPlainPending } from "../src/pending/plain-pending.ts";
import { TestFolder } from "./control-under-test.ts";
import { plainPendingTables } from "./plain-pending.ts";

const subject = "device:0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";
const add = {
  command: "operator.add",
  arguments: { name: "canary-operator", role: "viewer" },
} as const;
const alice = { actor: "operator:canary-alice", at: 1_000 };
const isDamaged = (error: unknown) => error instanceof Failure && error.code === "ERR_PENDING";

function keysOf(...keys: readonly ReturnType<typeof newDataKey>[]) {
  return { ring: new KeyRing(keys, keys[0]?.id ?? ""), store: "0".repeat(32) };
}

/** A file of what waits with one of each kind, and the code. */
function filled(folder: TestFolder, keys = keysOf(newDataKey())) {
  const path = join(folder.path, "pending.sealed.db");
  const pending = openPending(path, keys);
  const approval = pending.approvals.request(add, alice);
  const code = pending.codes.make(subject, 5_000);
  pending.answers.claim("operator:canary-alice", "canary-key", "hash", 1_000);
  pending.answers.answered("operator:canary-alice", "canary-key", { status: 200, body: '"body"' });
  return { path, keys, pending, approval, code };
}

const contents = (folder: TestFolder) =>
  readdirSync(folder.path)
    .map((name) => readFileSync(join(folder.path, name), "latin1"))
    .join("");

describe("what waits, sealed", () => {
  test("is refused when a row was given more time, or another's place", () => {
    for (const change of [
      "UPDATE enrolment_codes SET expires_at = 9999",
      "UPDATE enrolment_codes SET sealed = (SELECT sealed FROM approvals)",
      "UPDATE enrolment_codes SET sealed = zeroblob(150)",
    ]) {
      using folder = new TestFolder();
      const { path, keys, pending, code } = filled(folder);
      pending.close();
      const database = new DatabaseSync(path);
      database.exec(change);
      database.close();
      const again = openPending(path, keys);
      assert.throws(() => again.codes.take(subject, code, 2_000), isDamaged, change);
      assert.equal(again.approvals.list(2_000).length, 1);
      again.close();
    }
  });

  test("is refused under other keys, and where the file is none", () => {
    using folder = new TestFolder();
    const { path, pending } = filled(folder);
    pending.close();
    const key = newDataKey();
    const other = openPending(path, keysOf(key));
    assert.throws(() => other.approvals.list(2_000), isDamaged);
    other.close();
    copyFileSync(import.meta.filename, `${path}.text`);
    assert.throws(() => openPending(`${path}.text`, keysOf(key)), isDamaged);
  });

  test("names nobody and nothing on the disk", () => {
    using folder = new TestFolder();
    const { pending } = filled(folder);
    assert.doesNotMatch(contents(folder), /device:|0b1e6f3a|canary|operator|body/);
    pending.close();
    assert.doesNotMatch(contents(folder), /device:|0b1e6f3a|canary|operator|body/);
  });

  test("takes a code once, until its end, and only the right one", () => {
    using folder = new TestFolder();
    const { pending, code } = filled(folder);
    const other = pending.codes.make("device:other", 5_000);
    assert.equal(pending.codes.take(subject, other, 2_000), undefined);
    assert.equal(pending.codes.take(subject, code, 5_000), undefined);
    pending.codes.take(subject, code, 2_000)?.restore();
    assert.ok(pending.codes.take(subject, code.toLowerCase(), 2_000));
    assert.equal(pending.codes.take(subject, code, 2_000), undefined);
    pending.close();
  });

  test("decides an approval once, shows it for a month, and does not decide an expired one", () => {
    using folder = new TestFolder();
    const { pending, approval } = filled(folder);
    const late = { actor: "operator:bob", at: approval.expiresAt };
    assert.equal(pending.approvals.decide(approval.id, "approved", late), undefined);
    assert.equal(pending.approvals.get(approval.id, late.at)?.state, "expired");
    const bob = { actor: "operator:bob", at: 2_000 };
    assert.equal(pending.approvals.decide(approval.id, "approved", bob)?.decidedBy, "operator:bob");
    assert.equal(pending.approvals.decide(approval.id, "refused", bob), undefined);
    const month = 30 * 24 * 60 * 60 * 1000;
    const later = pending.approvals.request(add, { ...alice, at: approval.expiresAt + month });
    assert.deepEqual(pending.approvals.list(later.requestedAt), [later]);
    pending.close();
  });

  test("answers the same request again for a day, and no other one", () => {
    using folder = new TestFolder();
    const { pending } = filled(folder);
    const claim = (caller: string, request: string, at = 2_000) =>
      pending.answers.claim(caller, "canary-key", request, at).is;
    assert.equal(claim("operator:canary-alice", "other"), "other");
    assert.equal(claim("operator:canary-alice", "hash"), "answered");
    assert.equal(claim("operator:bob", "hash"), "new");
    assert.equal(claim("operator:bob", "hash"), "unfinished");
    assert.equal(claim("operator:canary-alice", "other", 1_000 + 24 * 60 * 60 * 1000), "new");
    pending.close();
  });

  test("is found while the keys change, and after the former one is gone", async () => {
    using folder = new TestFolder();
    const former = newDataKey();
    const { keys, pending, approval, code } = filled(folder, keysOf(former));
    keys.ring.rotate(newDataKey());
    const bob = { actor: "operator:bob", at: 2_000 };
    assert.equal(pending.approvals.decide(approval.id, "refused", bob)?.state, "refused");
    assert.equal(pending.approvals.list(2_000).length, 1);
    await pending.reseal();
    keys.ring.forget(former.id);
    assert.equal(pending.approvals.get(approval.id, 2_000)?.state, "refused");
    assert.ok(pending.codes.take(subject, code, 2_000));
    const known = pending.answers.claim("operator:canary-alice", "canary-key", "hash", 2_000);
    assert.deepEqual(known, { is: "answered", answer: { status: 200, body: '"body"' } });
    pending.close();
  });
});

describe("what waits of the time when it lay in the clear", () => {
  /** A former file as a process that was killed leaves it: with its write-ahead log. */
  function plainFile(folder: TestFolder): string {
    using elsewhere = new TestFolder();
    const path = join(folder.path, "pending.db");
    const made = join(elsewhere.path, "made.db");
    const database = new DatabaseSync(made);
    database.exec(
      `PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; ${plainPendingTables}`,
    );
    const [id, name] = ["0123456789abcdef", JSON.stringify(add.arguments)];
    database
      .prepare(
        "INSERT INTO approvals VALUES (?, 'operator.add', ?, 'operator:canary-alice', 1, 5000, 'waiting', NULL, NULL)",
      )
      .run(id, name);
    database.prepare("INSERT INTO enrolment_codes VALUES (?, zeroblob(32), 5000)").run(subject);
    database
      .prepare(
        "INSERT INTO answers VALUES ('operator:canary-alice', 'k', 'hash', 200, '1', NULL, 5000)",
      )
      .run();
    for (const end of ["", "-wal"]) copyFileSync(made + end, path + end);
    database.close();
    return path;
  }

  function isTakenOver(folder: TestFolder, plain: string, keys: ReturnType<typeof keysOf>): void {
    const path = join(folder.path, "pending.sealed.db");
    sealPlainPending(plain, path, keys);
    const pending = openPending(path, keys);
    assert.deepEqual(pending.approvals.get("0123456789abcdef", 2)?.arguments, add.arguments);
    assert.equal(pending.answers.claim("operator:canary-alice", "k", "hash", 2).is, "answered");
    assert.equal(pending.codes.take(subject, "wrong", 2), undefined);
    pending.close();
    assert.doesNotMatch(contents(folder), /device:|canary/);
    assert.deepEqual(readdirSync(folder.path), ["pending.sealed.db"]);
  }

  test("is sealed once, and the plain file is destroyed with its log", () => {
    using folder = new TestFolder();
    const keys = keysOf(newDataKey());
    isTakenOver(folder, plainFile(folder), keys);
    assert.equal(sealPlainPending(join(folder.path, "pending.db"), "none", keys), false);
    assert.ok(!existsSync("none"));
  });

  test("is sealed when that was cut off before or after the plain file was put aside", () => {
    using folder = new TestFolder();
    const keys = keysOf(newDataKey());
    const plain = plainFile(folder);
    const copies = ["", "-wal"].map((end) => [plain + end, readFileSync(plain + end)] as const);
    const path = join(folder.path, "pending.sealed.db");
    sealPlainPending(plain, path, keys);
    for (const [file, bytes] of copies) writeFileSync(file, bytes); // killed before it was put aside
    isTakenOver(folder, plain, keys);
    writeFileSync(`${plain}.former`, "canary"); // killed while it was overwritten
    isTakenOver(folder, plain, keys);
  });
});
