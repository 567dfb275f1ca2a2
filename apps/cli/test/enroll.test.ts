import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import mqtt from "mqtt";
import { done, servedDeployment, wardmq } from "./wardmq.ts";

const served = servedDeployment();

const inParent = (name: string) => join(served.parent, name);
const rootFile = () => join(served.directory, "control/root-ca.pem");
const est = () => `https://localhost:${served.ports.est}`;

async function newDevice(...more: readonly string[]): Promise<string> {
  const words = ["device", "add", served.directory, "--site", "main", "--ward", "icu", "--json"];
  return JSON.parse(await done(...words, ...more)).id.slice("device:".length);
}

async function codeFileFor(id: string): Promise<string> {
  const path = inParent(`code-${id}`);
  writeFileSync(path, await done("device", "code", served.directory, `device:${id}`));
  return path;
}

const enroll = (out: string, ...more: readonly string[]) =>
  wardmq(["device", "enroll", "--url", est(), "--out", out, ...more]);

async function enrolled(id: string, out: string): Promise<void> {
  const code = await codeFileFor(id);
  const words = ["--ca", rootFile(), "--id", id, "--code-file", code];
  const { code: exit, stdout, stderr } = await enroll(out, ...words);
  assert.equal(exit, 0, stderr);
  assert.match(stdout, new RegExp(`for spiffe://[^ ]+/device/${id} to `));
}

const read = (folder: string, file: string) => readFileSync(join(folder, file), "utf8");
const certificateIn = (folder: string) => new X509Certificate(read(folder, "cert.pem"));

/** Connects as the device whose credential the folder holds. */
async function connects(folder: string, id: string): Promise<void> {
  const client = await mqtt.connectAsync(`mqtts://localhost:${served.ports.mqtts}`, {
    protocolVersion: 5,
    clientId: id,
    key: read(folder, "key.pem"),
    cert: read(folder, "cert.pem"),
    ca: read(folder, "ca.pem"),
    ALPNProtocols: ["mqtt"],
    servername: "localhost",
    reconnectPeriod: 0,
    connectTimeout: 30_000,
  });
  await client.endAsync();
}

const newKey = (name: string) => [
  "-newkey",
  "ec",
  "-pkeyopt",
  "ec_paramgen_curve:P-256",
  "-nodes",
  "-keyout",
  `${name}.key`,
];

function openssl(words: readonly string[]): void {
  const { status, stderr } = spawnSync("openssl", words, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
}

describe("device enroll refuses with exit code 2", () => {
  for (const [words, says] of [
    [["--ca", "x"], /which device/],
    [["--id", "x"], /--id/],
    [["--id", "6b0d6a3e-9f7c-4d2a-8f7e-2f0c1d9a4b55"], /whom to trust/],
    [["--fingerprint", "00", "--id", "6b0d6a3e-9f7c-4d2a-8f7e-2f0c1d9a4b55"], /64 hex digits/],
    [["--renew", "--id", "6b0d6a3e-9f7c-4d2a-8f7e-2f0c1d9a4b55"], /cannot be used with/],
    [["--renew"], /cannot read .*cert.pem/],
  ] as const) {
    test(words.join(" "), async () => {
      const out = inParent("nothing");
      const { code, stderr } = await enroll(out, ...words);
      assert.deepEqual([code, existsSync(out)], [2, false], stderr);
      assert.match(stderr, says);
    });
  }

  test("no code at all, and a URL that is not https", async () => {
    const id = await newDevice();
    const empty = await enroll(inParent("nothing"), "--ca", rootFile(), "--id", id);
    assert.equal(empty.code, 2);
    assert.match(empty.stderr, /the one-time code is empty/);
    const plain = await wardmq(["device", "enroll", "--url", "http://a", "--out", "x", "--id", id]);
    assert.equal(plain.code, 2);
    assert.match(plain.stderr, /no https URL/);
  });
});

describe("device enroll refuses with exit code 1, and leaves no key behind", () => {
  async function refused(says: RegExp, ...words: readonly string[]): Promise<void> {
    const out = inParent("refused");
    const { code, stderr } = await enroll(out, ...words);
    assert.equal(code, 1, stderr);
    assert.match(stderr, says);
    assert.deepEqual(existsSync(out) ? readdirSync(out) : [], []);
  }

  test("a wrong code, one that was used, and one of a revoked device", async () => {
    const id = await newDevice();
    const file = inParent("wrong");
    writeFileSync(file, "AAAAA-AAAAA-AAAAA-AAAAA\n");
    const who = ["--ca", rootFile(), "--id", id, "--code-file"];
    await refused(/the code is not the device's, was used, .*device code/, ...who, file);
    const code = await codeFileFor(id);
    assert.equal((await enroll(inParent("once"), ...who, code)).code, 0);
    await refused(/the code is not the device's, was used/, ...who, code);
    const next = await codeFileFor(id);
    await done("revoke", served.directory, `device:${id}`);
    await refused(/revoked/, ...who, next);
  });

  test("another CA, another fingerprint, another host, and a port where nobody listens", async () => {
    const id = await newDevice();
    const code = await codeFileFor(id);
    const who = ["--id", id, "--code-file", code];
    const other = inParent("other");
    await done("init", other, "--org", "hospital-2", "--host", "localhost");
    const otherRoot = join(other, "control/root-ca.pem");
    await refused(/does not lead to the CA that is trusted/, "--ca", otherRoot, ...who);
    const wrong = new X509Certificate(readFileSync(otherRoot)).fingerprint256;
    await refused(/no CA of .* has the fingerprint/, "--fingerprint", wrong, ...who);
    const ip = ["--url", `https://127.0.0.1:${served.ports.est}`, "--ca", rootFile()];
    await refused(/127\.0\.0\.1:\d+/, ...ip, ...who);
    const closed = ["--url", "https://localhost:1", "--ca", rootFile()];
    await refused(/localhost:1: nobody listens there/, ...closed, ...who);
    await enrolledWith(code, id); // none of them used the code up
  });

  async function enrolledWith(code: string, id: string): Promise<void> {
    const words = ["--ca", rootFile(), "--id", id, "--code-file", code];
    const { code: exit, stderr } = await enroll(inParent("kept"), ...words);
    assert.equal(exit, 0, stderr);
  }
});

describe("a device that enrolled itself", () => {
  test("keeps its key to itself, connects, renews with a new key, and connects again", async () => {
    const [id, out] = [await newDevice(), inParent("device")];
    await enrolled(id, out);
    assert.equal(statSync(join(out, "key.pem")).mode & 0o777, 0o600);
    assert.ok(certificateIn(out).checkPrivateKey(createPrivateKey(read(out, "key.pem"))));
    assert.equal(read(out, "ca.pem").trim(), readFileSync(rootFile(), "utf8").trim());
    await connects(out, id);

    const before = ["key.pem", "cert.pem"].map((file) => read(out, file));
    const early = await enroll(out, "--renew");
    assert.deepEqual([early.code, /not yet time/.test(early.stdout)], [0, true], early.stderr);
    const again = await enroll(out, "--ca", rootFile(), "--id", id);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /holds a credential already/);
    assert.deepEqual(
      ["key.pem", "cert.pem"].map((file) => read(out, file)),
      before,
    );

    const renewed = await enroll(out, "--renew", "--force");
    assert.equal(renewed.code, 0, renewed.stderr);
    assert.notEqual(read(out, "key.pem"), before[0]);
    assert.ok(certificateIn(out).checkPrivateKey(createPrivateKey(read(out, "key.pem"))));
    await connects(out, id);
    assert.equal(readdirSync(out).filter((name) => name.startsWith(".credential-")).length, 1);
  });

  test("trusts the CA that a fingerprint names", async () => {
    const [id, out] = [await newDevice(), inParent("pinned")];
    const { fingerprint256 } = new X509Certificate(readFileSync(rootFile()));
    const code = await codeFileFor(id);
    const words = ["--fingerprint", fingerprint256, "--id", id, "--code-file", code];
    const { code: exit, stderr } = await enroll(out, ...words);
    assert.equal(exit, 0, stderr);
    await connects(out, id);
  });

  test("needs no code when its maker gave it a certificate", async () => {
    const idevid = inParent("idevid");
    mkdirSync(idevid);
    const maker = join(idevid, "maker");
    openssl([
      "req",
      "-x509",
      "-new",
      "-subj",
      "/CN=maker",
      "-days",
      "9",
      "-out",
      `${maker}.pem`,
      ...newKey(maker),
    ]);
    const by = ["-CA", `${maker}.pem`, "-CAkey", `${maker}.key`, "-days", "9"];
    const device = join(idevid, "key");
    openssl([
      "req",
      "-new",
      "-x509",
      "-subj",
      "/serialNumber=SN-7",
      "-addext",
      "basicConstraints=critical,CA:FALSE",
      ...by,
      "-out",
      join(idevid, "cert.pem"),
      ...newKey(device),
    ]);
    renameSync(`${device}.key`, `${device}.pem`);
    chmodSync(`${device}.pem`, 0o600);
    const id = await newDevice("--maker", "acme", "--serial", "SN-7");
    const out = inParent("made");
    const words = ["--ca", rootFile(), "--idevid", idevid];
    const early = await enroll(out, ...words);
    assert.equal(early.code, 1, early.stdout);
    await done("manufacturer", "add", served.directory, "acme", "--certificate", `${maker}.pem`);
    const { code, stdout, stderr } = await enroll(out, ...words);
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`/device/${id} to `));
    await connects(out, id);
  });

  test("renews what wardmq credential made, in its place, and not once it is revoked", async () => {
    const [id, out] = [await newDevice(), inParent("credential")];
    await done("credential", served.directory, `device:${id}`, "--out", out);
    const former = read(out, "key.pem");
    const { code, stderr } = await enroll(out, "--renew", "--force");
    assert.equal(code, 0, stderr);
    assert.notEqual(read(out, "key.pem"), former);
    assert.ok(lstatSync(join(out, "key.pem")).isSymbolicLink());
    await connects(out, id);
    await done("revoke", served.directory, `device:${id}`);
    const kept = read(out, "key.pem");
    const late = await enroll(out, "--renew", "--force");
    assert.equal(late.code, 1);
    assert.match(late.stderr, /revoked/);
    assert.equal(read(out, "key.pem"), kept);
  });
});
