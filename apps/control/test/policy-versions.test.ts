import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { keySigner } from "@wardmq/keys";
import { KeyRing, newDataKey } from "@wardmq/sealing";
import { encodePem } from "@wardmq/x509";
import { Failure } from "../src/failure.ts";
import { sealedNumberedTexts } from "../src/files.ts";
import { PolicyVersions } from "../src/policy/policy-versions.ts";
import { TestFolder } from "./control-under-test.ts";

const files = (text: string) => [{ name: "policy.yaml", text }];
const doing = { actor: "operator:canary-alice", at: 1 };
const isRefused = (code: string) => (error: unknown) =>
  error instanceof Failure && error.code === code;

function versionsIn(folder: TestFolder, key = newDataKey()) {
  const path = join(folder.path, "policies");
  const ring = new KeyRing([key], key.id);
  const place = ring.at({ purpose: "control", store: "1", table: "policies" });
  const texts = sealedNumberedTexts(path, place);
  const signer = keySigner(generateKeyPairSync("ed25519").privateKey);
  const versions = new PolicyVersions(texts, signer);
  versions.record(files("canary-text 1"), "start", doing);
  versions.record(files("canary-text 2"), "because", doing);
  return { path, ring, key, texts, signer, versions };
}

describe("versions of the policy", () => {
  test("are refused when a bit of one differs, or when it lies in another's place", () => {
    using folder = new TestFolder();
    const { path, versions } = versionsIn(folder);
    const [one, two] = [join(path, "000001.sealed"), join(path, "000002.sealed")];
    const bytes = readFileSync(two);
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    writeFileSync(two, bytes);
    assert.throws(() => versions.read(2), isRefused("ERR_STATE"));
    copyFileSync(one, two);
    assert.throws(() => versions.read(2), isRefused("ERR_STATE"));
    assert.throws(() => versions.read(3), isRefused("ERR_POLICY_VERSION"));
    assert.equal(versions.read(1).files[0]?.text, "canary-text 1");
  });

  test("are refused when somebody who can seal has not signed them, until the signer is known", () => {
    using folder = new TestFolder();
    const { texts, signer } = versionsIn(folder);
    const other = keySigner(generateKeyPairSync("ed25519").privateKey);
    assert.throws(() => new PolicyVersions(texts, other).read(1), isRefused("ERR_POLICY_VERSION"));
    texts.add(3, "no document");
    assert.throws(() => new PolicyVersions(texts, signer).read(3), isRefused("ERR_POLICY_VERSION"));
    const former = encodePem("PUBLIC KEY", signer.publicKey);
    assert.equal(new PolicyVersions(texts, other, [former]).read(2).reason, "because");
  });

  test("show nothing of a policy on the disk, and stay what they are under a new key", async () => {
    using folder = new TestFolder();
    const { path, ring, key, texts, versions } = versionsIn(folder);
    const contents = () =>
      readdirSync(path).map((name) => readFileSync(join(path, name), "latin1"));
    assert.doesNotMatch(contents().join(""), /canary|policy/);
    const before = contents();
    ring.rotate(newDataKey());
    await texts.reseal();
    ring.forget(key.id);
    assert.ok(contents().every((content, i) => content !== before[i]));
    assert.deepEqual(versions.numbers(), [2, 1]);
    assert.equal(versions.read(1).files[0]?.text, "canary-text 1");
    assert.deepEqual(readdirSync(path).sort(), ["000001.sealed", "000002.sealed"]);
  });
});
