import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { FeedKeys } from "../src/feed/feed-keys.ts";

const [first, second, third] = [1, 2, 3].map(() => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  return { pem: String(publicKey.export({ type: "spki", format: "pem" })), privateKey };
}) as [Pair, Pair, Pair];
type Pair = { pem: string; privateKey: ReturnType<typeof generateKeyPairSync>["privateKey"] };

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "wardmq-keys-"));
  path = join(folder, "feed.pub");
  writeFileSync(path, first.pem);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const message = Buffer.from("a message");
const takes = (keys: FeedKeys, { privateKey }: Pair) =>
  keys.verify(message, sign(null, message, privateKey));

describe("the keys of the feed", () => {
  test("are none without a file, and none of another kind", () => {
    assert.throws(() => new FeedKeys(join(folder, "nothing")), { code: "ENOENT" });
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    for (const text of [
      "",
      "nonsense",
      String(publicKey.export({ type: "spki", format: "pem" })),
    ]) {
      writeFileSync(path, text);
      assert.throws(() => new FeedKeys(path), /Ed25519/);
    }
  });

  test("let their successor in when one of them named it, and keep it for the next start", () => {
    const keys = new FeedKeys(path);
    assert.deepEqual([takes(keys, first), takes(keys, second)], [true, false]);
    keys.use([first.pem, second.pem]);
    assert.deepEqual([takes(keys, first), takes(keys, second)], [true, true]);
    assert.equal(takes(new FeedKeys(path), second), true);
    keys.use([second.pem]);
    assert.deepEqual([takes(keys, first), takes(keys, second)], [false, true]);
    assert.equal(takes(new FeedKeys(path), first), false);
  });

  test("stay as they are when a successor is none", () => {
    const keys = new FeedKeys(path);
    for (const wrong of [
      [],
      ["nonsense"],
      ["-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"],
    ]) {
      assert.throws(() => keys.use(wrong));
    }
    assert.deepEqual([takes(keys, first), takes(keys, third)], [true, false]);
    assert.equal(readFileSync(path, "utf8"), first.pem);
  });
});
