import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type RunOptions, start } from "./wardmq.ts";

const folder = await mkdtemp(join(tmpdir(), "wardmq-backup-cli-"));
after(() => rm(folder, { recursive: true, force: true }));

const passphrase = "correct horse battery";
const wrong = "another horse battery";
const forKeys = (text: string): RunOptions => ({
  cwd: folder,
  passphrase: `${text}\n`,
  environment: { WARDMQ_PASSPHRASE_FD: "3" },
});
const run = (words: string, options: RunOptions = { cwd: folder }) =>
  start(words.split(" "), options).ended;
const at = (...names: readonly string[]) => join(folder, ...names);

for (const words of [
  "init plain --org hospital --host localhost",
  "service add plain dashboard",
  "backup-key --out pair --type P-256",
])
  assert.equal((await run(words)).code, 0, words);
const made = await run("backup plain --out by-key --to pair.pub");

describe("keys behind a passphrase", () => {
  test("are made with a long one only, open with the same only, and lie on no disk", async () => {
    const init = "init d --org hospital --host localhost --keys passphrase";
    const short = await run(init, forKeys("short"));
    assert.equal(short.code, 2);
    assert.match(short.stderr, /less than 12 characters/);
    assert.ok(!existsSync(at("d")));
    assert.equal((await run(init, forKeys(passphrase))).code, 0);
    assert.ok(!existsSync(at("d/control/kek.key")));

    const unread = await run("list d", { cwd: folder, environment: { WARDMQ_PASSPHRASE_FD: "a" } });
    assert.equal(unread.code, 2);
    assert.match(unread.stderr, /WARDMQ_PASSPHRASE_FD is no number of a file descriptor/);
    const refused = await run("service add d dashboard", forKeys(wrong));
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /does not open this; give the passphrase/);
    assert.equal((await run("service add d dashboard", forKeys(passphrase))).code, 0);
    assert.ok(!readFileSync(at("d/control/keys.json"), "utf8").includes(passphrase));
  });
});

describe("wardmq keys change", () => {
  test("asks for what opens the keys now and from here on, and says which that is", async () => {
    assert.equal((await run("init moved --org hospital --host localhost")).code, 0);
    const change = "keys change moved --to passphrase --new-passphrase-fd 3";
    const short = await run(change, { cwd: folder, passphrase: "short" });
    assert.equal(short.code, 2);
    assert.match(short.stderr, /less than 12 characters/);
    assert.equal((await run("keys change moved")).code, 2);
    const { code, stdout, stderr } = await run(change, { cwd: folder, passphrase });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /5 files with keys: passphrase opens them now, in place of file/);
    assert.equal((await run("list moved", forKeys(wrong))).code, 2);
    assert.equal((await run("list moved", forKeys(passphrase))).code, 0);
    const back = await run("keys change moved --to file --json", forKeys(passphrase));
    assert.deepEqual(JSON.parse(back.stdout), { from: "passphrase", to: "file", files: 5 });
    assert.match((await run("events moved --last 1")).stdout, /keys-changed/);
  });
});

describe("wardmq backup and restore", () => {
  const byPassphrase = (text: string): RunOptions => ({ cwd: folder, passphrase: text });

  test("refuse words that leave open what a backup is sealed to or opened with", async () => {
    for (const words of [
      "backup d --out b",
      "backup d --out b --to pair.pub --passphrase-fd 3",
      "restore b --into r",
    ]) {
      const { code, stderr } = await run(words);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /exactly one of/);
    }
    assert.equal((await run("backup-key")).code, 2);
  });

  test("seal to a key pair that is never written over, and record the backup", async () => {
    assert.equal(statSync(at("pair")).mode & 0o777, 0o600);
    assert.equal((await run("backup-key --out pair")).code, 2);
    const toPrivate = await run("backup plain --out to-private --to pair");
    assert.equal(toPrivate.code, 2);
    assert.match(toPrivate.stderr, /the recipient is a private key; give the \.pub/);
    assert.ok(!existsSync(at("to-private")));
    assert.match(made.stdout, /SHA-256 [0-9a-f]{64}\nwithout the keys of the CAs/);
    assert.match((await run("events plain --last 1")).stdout, /backup-made/);
  });

  test("say what came back and how old it is, once and with the private key only", async () => {
    assert.equal((await run("restore by-key --into again --key pair.pub")).code, 2);
    const { stdout, code } = await run("restore by-key --into again --key pair");
    assert.equal(code, 0);
    assert.match(stdout, /restored prod\.hospital into again/);
    assert.match(stdout, /less than a minute old|minutes? old/);
    assert.match(stdout, /restoring took \d+\.\d s/);
    assert.match(stdout, /no key of the issuing CA.*\n.*--ca-keys FOLDER/);
    assert.match((await run("credential again service:dashboard --out c")).stderr, /--ca-keys/);
    assert.match((await run("list again")).stdout, /service:dashboard/);
    assert.match((await run("restore by-key --into again --key pair")).stderr, /is not empty/);
  });

  test("take the keys of the CAs from where they are kept, behind another passphrase", async () => {
    const given = forKeys(passphrase);
    assert.equal(
      (await run("init e --org hospital --host localhost --keys passphrase", given)).code,
      0,
    );
    assert.equal((await run("service add e dashboard", given)).code, 0);
    assert.equal((await run("backup e --out e.backup --to pair.pub", given)).code, 0);
    const words = "restore e.backup --into e.again --key pair --ca-keys e/control";
    const refused = await run(words, forKeys(wrong));
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /issuing-ca\.key can not be opened/);
    const { code, stdout, stderr } = await run(words, given);
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stdout, /no key of the issuing CA/);
    assert.equal((await run("credential e.again service:dashboard --out e.c")).code, 0);
  });

  test("seal to a passphrase, which nothing else opens", async () => {
    const out = "backup plain --out by-passphrase --with-ca-key --passphrase-fd 3";
    assert.equal((await run(out, byPassphrase("short"))).code, 2);
    assert.equal((await run(out, byPassphrase(passphrase))).code, 0);
    const words = "restore by-passphrase --into whole --passphrase-fd 3";
    const refused = await run(words, byPassphrase(wrong));
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /the passphrase is another one/);
    assert.match(
      (await run("restore by-passphrase --into whole --key pair")).stderr,
      /is sealed to a passphrase; give --passphrase instead of --key/,
    );
    assert.equal((await run(words, byPassphrase(passphrase))).code, 0);
    assert.ok(existsSync(at("whole/control/issuing-ca.key")));
  });
});
