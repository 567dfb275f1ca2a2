import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { holdsCredential, stageKey } from "../src/enrol/device-folder.ts";
import { temporaryFolder } from "./wardmq.ts";

test("a key that is discarded is gone, unless it has been installed", async () => {
  await using folder = await temporaryFolder();
  const out = join(folder.path, "device");
  const first = stageKey(out, "first");
  first.discard();
  assert.deepEqual([readdirSync(out), holdsCredential(out)], [[], false]);
  const second = stageKey(out, "second");
  assert.equal(holdsCredential(out), false);
  second.install("certificate", "authorities");
  second.discard();
  assert.equal(readFileSync(join(out, "key.pem"), "utf8"), "second");
});

test("the pair in use stays whole while the next one is made, and what a crash left is swept", async () => {
  await using folder = await temporaryFolder();
  const out = join(folder.path, "device");
  stageKey(out, "one").install("certificate one", "authorities");
  stageKey(out, "of a crash");
  const read = () => ["key.pem", "cert.pem"].map((file) => readFileSync(join(out, file), "utf8"));
  assert.deepEqual(read(), ["one", "certificate one"]);
  stageKey(out, "two").install("certificate two", "authorities");
  assert.deepEqual(read(), ["two", "certificate two"]);
  assert.equal(readdirSync(out).filter((name) => name.startsWith(".credential-")).length, 1);
  assert.ok(existsSync(join(out, "ca.pem")));
});
