import assert from "node:assert/strict";
import { chmodSync, existsSync, linkSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { SealError } from "@wardmq/sealing";
import { KeyFile, KeyProviders, readKeyFile, replaceSecretFile } from "../src/index.ts";
import { fails } from "./contract/key-provider.contract.ts";
import { noEnvironment, TemporaryFolder } from "./temporary-folder.ts";

const now = Date.UTC(2026, 10, 27);
const place = { purpose: "control", store: "1", table: "events" };

/** A fresh key file of control, and what opens it again as another process would. */
class KeyFileUnderTest extends TemporaryFolder {
  readonly file = this.in("keys.json");
  readonly keys = KeyFile.create(
    this.file,
    "control",
    new KeyProviders(noEnvironment).create({ name: "file" }, this.path),
    now,
  );

  reopen(purpose = "control"): KeyFile {
    return KeyFile.open(this.file, purpose, new KeyProviders(noEnvironment));
  }

  change(change: (content: Record<string, unknown>) => void): void {
    const content = JSON.parse(readFileSync(this.file, "utf8"));
    change(content);
    writeFileSync(this.file, JSON.stringify(content));
  }
}

describe("a key file", () => {
  test("is refused when it is missing, open to others, or for another purpose", () => {
    using it = new KeyFileUnderTest();
    fails("ERR_KEY_FILE", () => it.reopen("broker"));
    chmodSync(it.file, 0o604);
    fails("ERR_KEY_MODE", () => it.reopen());
    fails("ERR_KEY_FILE", () => readKeyFile(it.in("none.json")));
    chmodSync(it.file, 0o600);
    it.reopen();
  });

  for (const [what, change] of Object.entries<(content: Record<string, unknown>) => void>({
    "an unknown key": (content) => Object.assign(content, { note: "" }),
    "another version": (content) => Object.assign(content, { version: 2 }),
    "no current key": (content) => Object.assign(content, { keys: [] }),
    "a key twice": (content) =>
      Object.assign(content, { keys: [content["keys"], content["keys"]].flat() }),
    "an unknown provider": (content) => Object.assign(content, { provider: { name: "none" } }),
    "a store that is no id": (content) => Object.assign(content, { store: "here" }),
  })) {
    test(`is refused with ${what}`, () => {
      using it = new KeyFileUnderTest();
      it.change(change);
      fails("ERR_KEY_FILE", () => it.reopen());
    });
  }

  test("is refused when it was cut off at any place", () => {
    using it = new KeyFileUnderTest();
    const text = readFileSync(it.file, "utf8").trimEnd();
    for (let length = 0; length < text.length; length += 1) {
      writeFileSync(it.file, text.slice(0, length));
      fails("ERR_KEY_FILE", () => it.reopen());
    }
  });

  test("is refused when a wrapped key was moved from another file", () => {
    using it = new KeyFileUnderTest();
    const other = KeyFile.create(
      it.in("other.json"),
      "control",
      new KeyProviders(noEnvironment).create({ name: "file" }, it.path), // the same key-encryption key
      now,
    );
    it.change((content) => Object.assign(content, { keys: other.entries }));
    fails("ERR_KEY_WRONG", () => it.reopen());
  });

  test("is for its owner only, and shows no key", () => {
    using it = new KeyFileUnderTest();
    assert.equal(statSync(it.file).mode & 0o777, 0o600);
    const [{ key } = { key: Buffer.alloc(0) }] = it.keys.dataKeys;
    const text = readFileSync(it.file, "utf8");
    for (const form of ["hex", "base64"] as const)
      assert.ok(!text.includes(Buffer.from(key).toString(form)));
  });

  test("opens what was sealed before a restart", () => {
    using it = new KeyFileUnderTest();
    const sealed = it.keys.ring.at(place).seal("1", Buffer.from("event"));
    const again = it.reopen();
    assert.equal(again.ring.at(place).open("1", sealed).toString(), "event");
    assert.equal(again.store, it.keys.store);
  });
});

describe("rotation", () => {
  test("seals with the new key, opens with the former until it is destroyed, then never", () => {
    using it = new KeyFileUnderTest();
    const former = it.keys.ring.currentId;
    const sealed = it.keys.ring.at(place).seal("1", Buffer.from("event"));
    const next = it.keys.rotate(now + 1);
    assert.equal(it.keys.ring.currentId, next);
    assert.equal(it.reopen().ring.at(place).open("1", sealed).toString(), "event");

    it.keys.destroy(former, now + 2);
    for (const keys of [it.keys, it.reopen()])
      assert.throws(() => keys.ring.at(place).open("1", sealed), SealError);
    const states = it.reopen().entries.map(({ id, state }) => [id, state]);
    assert.deepEqual(states, [
      [next, "current"],
      [former, "destroyed"],
    ]);
  });

  test("does not destroy the current key, nor one that it does not know", () => {
    using it = new KeyFileUnderTest();
    assert.throws(() => it.keys.destroy(it.keys.ring.currentId, now));
    assert.throws(() => it.keys.destroy("00000000", now));
    it.reopen();
  });

  test("overwrites the wrapped key that it destroys", () => {
    using it = new KeyFileUnderTest();
    const former = it.keys.ring.currentId;
    it.keys.rotate(now);
    linkSync(it.file, it.in("held")); // a second name for the same blocks
    it.keys.destroy(former, now);
    assert.ok(readFileSync(it.in("held")).every((octet) => octet === 0));
  });

  test("ends what a crash interrupted when the file is opened again", () => {
    using it = new KeyFileUnderTest();
    writeFileSync(it.in("keys.json.former"), "an old key", { mode: 0o600 });
    it.reopen();
    assert.ok(!existsSync(it.in("keys.json.former")));
  });
});

describe("rewrapping", () => {
  test("lets another provider open the same keys, and the former one not any more", () => {
    using it = new KeyFileUnderTest();
    const sealed = it.keys.ring.at(place).seal("1", Buffer.from("event"));
    it.keys.rotate(now);
    const environment = { ...noEnvironment, passphrase: () => "correct horse battery" };
    const next = new KeyProviders(environment).create({ name: "passphrase" }, it.path);
    replaceSecretFile(it.file, it.keys.rewrapped(next));

    fails("ERR_KEY_PROVIDER", () => it.reopen());
    const wrong = { ...noEnvironment, passphrase: () => "another horse battery" };
    fails("ERR_KEY_WRONG", () => KeyFile.open(it.file, "control", new KeyProviders(wrong)));
    const keys = KeyFile.open(it.file, "control", new KeyProviders(environment));
    assert.equal(keys.ring.at(place).open("1", sealed).toString(), "event");
    assert.equal(keys.provider.name, "passphrase");
  });
});
