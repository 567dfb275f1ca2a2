import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { chmodSync, linkSync, readFileSync, writeFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import {
  KeyProviders,
  keySigner,
  openPrivateKeyFile,
  openSigner,
  replaceSecretFile,
  rewrappedPrivateKey,
  writePrivateKeyFile,
} from "../src/index.ts";
import { fails } from "./contract/key-provider.contract.ts";
import { signerContract } from "./contract/signer.contract.ts";
import { noEnvironment, TemporaryFolder } from "./temporary-folder.ts";

const folder = new TemporaryFolder();
after(() => folder[Symbol.dispose]());
const providers = new KeyProviders(noEnvironment);
const provider = providers.create({ name: "file" }, folder.path);

const newKeys: Readonly<Record<string, () => KeyObject>> = {
  "P-256": () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey,
  "P-384": () => generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey,
  Ed25519: () => generateKeyPairSync("ed25519").privateKey,
};
const newKey = newKeys["P-256"] as () => KeyObject;

function newFile(key = newKey()): string {
  const path = folder.in(`${randomBytes(4).toString("hex")}.key`);
  writePrivateKeyFile(path, key, provider);
  return path;
}

for (const [type, make] of Object.entries(newKeys)) {
  describe(`a Signer of ${type} in a file`, () =>
    signerContract(() => openSigner(newFile(make()), providers)));
}

describe("the file of a private key", () => {
  test("is refused when others can read it, when it is plain, and when it names another public key", () => {
    const path = newFile();
    chmodSync(path, 0o640);
    fails("ERR_KEY_MODE", () => openSigner(path, providers));
    chmodSync(path, 0o600);
    const other = JSON.parse(readFileSync(newFile(), "utf8"));
    const content = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...content, publicKey: other.publicKey }));
    fails("ERR_KEY_WRONG", () => openSigner(path, providers));
    writeFileSync(path, newKey().export({ type: "pkcs8", format: "pem" }));
    fails("ERR_KEY_FILE", () => openSigner(path, providers));
    writeFileSync(path, JSON.stringify({ ...content, note: "" }));
    fails("ERR_KEY_FILE", () => openSigner(path, providers));
  });

  test("shows nothing of the private key, and signs as it does", () => {
    const key = newKey();
    const path = newFile(key);
    const { d = "" } = key.export({ format: "jwk" });
    const text = readFileSync(path, "utf8");
    for (const form of ["hex", "base64"] as const)
      assert.ok(!text.includes(Buffer.from(d, "base64url").toString(form)));
    assert.deepEqual(openSigner(path, providers).publicKey, keySigner(key).publicKey);
    assert.ok(openPrivateKeyFile(path, providers).equals(key));
  });

  test("is never written over", () => {
    const path = newFile();
    assert.throws(() => writePrivateKeyFile(path, newKey(), provider), /EEXIST/);
  });

  test("opens after rewrapping with the new provider only, and the old blocks are overwritten", () => {
    const path = newFile();
    linkSync(path, `${path}.held`);
    const environment = { ...noEnvironment, passphrase: () => "correct horse battery" };
    const withPassphrase = new KeyProviders(environment);
    const { publicKey } = openSigner(path, providers);
    const next = withPassphrase.create({ name: "passphrase" }, folder.path);
    replaceSecretFile(path, rewrappedPrivateKey(path, providers, next));
    fails("ERR_KEY_PROVIDER", () => openSigner(path, providers));
    assert.deepEqual(openSigner(path, withPassphrase).publicKey, publicKey);
    assert.ok(readFileSync(`${path}.held`).every((octet) => octet === 0));
  });
});
