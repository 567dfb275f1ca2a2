import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  labelsIn,
  makeToken,
  softHsmIsMissing,
  withSoftHsm,
} from "../../../packages/keys/test/soft-hsm.ts";
import { parseKeyStore } from "../src/enrol/device-key.ts";
import { engineIsMissing, type SimulatedTpm, simulatedTpm, tpmIsMissing } from "./simulated-tpm.ts";
import { done, servedDeployment, temporaryFolder, wardmq } from "./wardmq.ts";

const served = servedDeployment();

const rootFile = () => join(served.directory, "control/root-ca.pem");
const topicOf = (id: string) => `hospital-1/main/icu/device/${id}/telemetry`;

/** A new device that has a code, and what its enrolment needs. */
async function newDevice(): Promise<{ readonly id: string; readonly words: readonly string[] }> {
  const added = await done(
    "device",
    "add",
    served.directory,
    "--site",
    "main",
    "--ward",
    "icu",
    "--json",
  );
  const id: string = JSON.parse(added).id.slice("device:".length);
  const code = join(served.parent, `code-${id}`);
  writeFileSync(code, await done("device", "code", served.directory, `device:${id}`));
  return { id, words: ["--ca", rootFile(), "--id", id, "--code-file", code] };
}

type Environment = Readonly<Record<string, string>>;
const enroll = (out: string, environment: Environment, ...words: readonly string[]) =>
  wardmq(
    ["device", "enroll", "--url", `https://localhost:${served.ports.est}`, "--out", out, ...words],
    {
      environment,
      limitMs: 100_000,
    },
  );

const read = (out: string, file: string) => readFileSync(join(out, file), "utf8");

/** Everything in the folder, so that a key that lies in the clear anywhere is found. */
const allOf = (out: string) =>
  readdirSync(out, { recursive: true, encoding: "utf8" })
    .map((name) => join(out, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, "latin1"))
    .join("");

describe("where a key is kept", () => {
  for (const text of ["", "tpm", "file:x", "pkcs11", "TPM2"]) {
    test(`is not said by ${JSON.stringify(text)}`, async () => {
      assert.equal(parseKeyStore(text), undefined);
    });
  }

  test("is refused with what to write, before anything is made", async () => {
    for (const key of ["tpm", "pkcs11:token=a"]) {
      const out = join(served.parent, "nothing");
      const { words } = await newDevice();
      const { code, stderr } = await enroll(out, {}, ...words, "--key", key);
      assert.deepEqual([code, existsSync(out)], [2, false], stderr);
      assert.match(stderr, /write file, tpm2, or pkcs11:token=LABEL/);
    }
  });

  test("needs the program openssl when it is a TPM, and says so", async () => {
    const { words } = await newDevice();
    const out = join(served.parent, "no-openssl");
    const empty = { PATH: served.parent };
    const { code, stderr } = await enroll(out, empty, ...words, "--key", "tpm2");
    assert.deepEqual([code, existsSync(out)], [2, false]);
    assert.match(stderr, /need the program openssl, which is not there; install openssl/);
  });

  test("is a TPM that is there, or the code is not used up", async () => {
    const { words } = await newDevice();
    const out = join(served.parent, "no-tpm");
    const nowhere = { TPM2OPENSSL_TCTI: "swtpm:port=1" };
    const failed = await enroll(out, nowhere, ...words, "--key", "tpm2");
    assert.notEqual(failed.code, 0);
    assert.match(failed.stderr, /openssl genpkey could not use the key/);
    assert.equal(existsSync(out), false);
    assert.equal((await enroll(out, {}, ...words)).code, 0);
  });
});

describe("a device whose key is in a TPM", { skip: tpmIsMissing }, () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let tpm: SimulatedTpm;
  before(async () => {
    folder = await temporaryFolder();
    tpm = await simulatedTpm(folder.path);
  });
  after(async () => {
    await tpm?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  /** As docs/enrolment.md has it. */
  const opensslConfiguration = () => {
    const path = join(folder.path, "openssl-tpm.cnf");
    const text = readFileSync(join(import.meta.dirname, "../../../docs/enrolment.md"), "utf8");
    const [, block = ""] = /```ini\n([\s\S]*?)```/.exec(text) ?? [];
    writeFileSync(path, block);
    return path;
  };

  const publishes = (out: string, id: string, environment: Environment) =>
    spawnSync(
      "mosquitto_pub",
      [
        ...["-V", "5", "-h", "localhost", "-p", String(served.ports.mqtts), "-i", id, "-q", "1"],
        ...["--cafile", join(out, "ca.pem"), "--cert", join(out, "cert.pem")],
        ...["--key", join(out, "key.pem"), "-t", topicOf(id), "-m", "1", "-d"],
      ],
      { encoding: "utf8", timeout: 60_000, env: { PATH: process.env["PATH"], ...environment } },
    ).stdout;

  test("enrols, connects, renews with a new key, and connects again; no key is ever in the clear", async () => {
    const { id, words } = await newDevice();
    const out = join(served.parent, "tpm-device");
    const enrolled = await enroll(out, tpm.environment, ...words, "--key", "tpm2");
    assert.equal(enrolled.code, 0, enrolled.stderr);
    const former = read(out, "key.pem");
    assert.match(former, /^-----BEGIN TSS2 PRIVATE KEY-----/);
    const environment = { ...tpm.environment, OPENSSL_CONF: opensslConfiguration() };
    const mosquitto = spawnSync("mosquitto_pub", ["--help"]).error === undefined;
    if (mosquitto) assert.match(publishes(out, id, environment), /received PUBACK/);

    const renewed = await enroll(out, tpm.environment, "--renew", "--force");
    assert.equal(renewed.code, 0, renewed.stderr);
    assert.match(read(out, "key.pem"), /^-----BEGIN TSS2 PRIVATE KEY-----/);
    assert.notEqual(read(out, "key.pem"), former);
    if (mosquitto) assert.match(publishes(out, id, environment), /received PUBACK/);
    assert.doesNotMatch(allOf(out), /BEGIN (EC )?PRIVATE KEY/);
    assert.ok(!allOf(out).includes(former.split("\n")[3] ?? "-"), "the former key is gone");
  });

  test("does not renew once it is revoked, with another CA, or without its TPM: it keeps what it has", async () => {
    const { id, words } = await newDevice();
    const out = join(served.parent, "tpm-revoked");
    assert.equal((await enroll(out, tpm.environment, ...words, "--key", "tpm2")).code, 0);
    const kept = ["key.pem", "cert.pem"].map((file) => read(out, file));
    const other = join(served.parent, "tpm-other");
    await done("init", other, "--org", "hospital-2", "--host", "localhost");
    const wrongCa = ["--ca", join(other, "control/root-ca.pem")];
    const renewals: readonly (readonly [Environment, readonly string[], RegExp])[] = [
      [{ TPM2OPENSSL_TCTI: "swtpm:port=1" }, [], /openssl \w+ could not use the key/],
      [tpm.environment, wrongCa, /does not lead to the CA that is trusted/],
    ];
    for (const [environment, more, says] of renewals) {
      const failed = await enroll(out, environment, "--renew", "--force", ...more);
      assert.equal(failed.code, 1);
      assert.match(failed.stderr, says);
    }
    await done("revoke", served.directory, `device:${id}`);
    const late = await enroll(out, tpm.environment, "--renew", "--force");
    assert.equal(late.code, 1, late.stdout);
    assert.deepEqual(
      ["key.pem", "cert.pem"].map((file) => read(out, file)),
      kept,
    );
    assert.equal(readdirSync(out).filter((name) => name.startsWith(".credential-")).length, 1);
  });

  test("may enrol with openssl and curl alone", async () => {
    const { id, words } = await newDevice();
    const code = readFileSync(words.at(-1) ?? "", "utf8").split("\n")[0] ?? "";
    const key = join(folder.path, "plain.pem");
    const options = {
      encoding: "utf8",
      env: { PATH: process.env["PATH"], ...tpm.environment },
    } as const;
    const tpm2 = [
      "-provider",
      "tpm2",
      "-provider",
      "default",
      "-propquery",
      "?provider=tpm2,tpm2.digest!=yes,tpm2.rand!=yes",
    ];
    const run = (program: string, ...given: readonly string[]) => {
      const { status, stdout, stderr } = spawnSync(program, given, options);
      assert.equal(status, 0, stderr);
      return stdout;
    };
    run("openssl", "genpkey", ...tpm2, "-algorithm", "EC", "-pkeyopt", "group:P-256", "-out", key);
    const request = run("openssl", "req", "-new", ...tpm2, "-key", key, "-subj", `/CN=${id}`);
    const body = request.replace(/-----[^-]+-----|\n/g, "");
    const url = `https://localhost:${served.ports.est}/.well-known/est/simpleenroll`;
    const type = ["-H", "Content-Type: application/pkcs10", "--data", body];
    const answer = run(
      "curl",
      "-sS",
      "--fail",
      "--cacert",
      rootFile(),
      "-u",
      `${id}:${code}`,
      ...type,
      url,
    );
    assert.match(answer, /^MII/);
  });
});

describe("a device whose key is in a PKCS#11 token", {
  skip: softHsmIsMissing || engineIsMissing,
}, () => {
  test("enrols, renews with a new key, and destroys the former one", async () => {
    await using folder = await temporaryFolder();
    const environment = { SOFTHSM2_CONF: String(withSoftHsm(folder.path)["SOFTHSM2_CONF"]) };
    const uri = makeToken(folder.path, "dev", { ...process.env, ...environment })("wardmq");
    const labels = () => labelsIn("dev", { ...process.env, ...environment });
    const { words } = await newDevice();
    const out = join(served.parent, "token-device");

    const wrong = join(served.parent, "wrong");
    writeFileSync(wrong, "AAAAA-AAAAA-AAAAA-AAAAA\n");
    const refused = await enroll(out, environment, ...words.with(-1, wrong), "--key", uri);
    assert.equal(refused.code, 1);
    assert.deepEqual([labels(), readdirSync(out)], [[], []], "no key is left behind");

    const enrolled = await enroll(out, environment, ...words, "--key", uri);
    assert.equal(enrolled.code, 0, enrolled.stderr);
    assert.match(read(out, "key.pem"), /^-----BEGIN PKCS#11 PROVIDER URI-----/);
    const [label = "", ...others] = labels();
    assert.match(label, /^wardmq-[0-9a-f]{8}$/);
    assert.deepEqual(others, []);
    const before = new X509Certificate(read(out, "cert.pem"));

    const renewed = await enroll(out, environment, "--renew", "--force");
    assert.equal(renewed.code, 0, renewed.stderr);
    const now = new X509Certificate(read(out, "cert.pem"));
    assert.notDeepEqual(
      now.publicKey.export({ type: "spki", format: "der" }),
      before.publicKey.export({ type: "spki", format: "der" }),
    );
    assert.equal(labels().length, 1);
    assert.ok(!labels().includes(label), "the former key is destroyed");

    const moved = await enroll(out, environment, "--renew", "--force", "--key", "file");
    assert.equal(moved.code, 0, moved.stderr);
    assert.deepEqual(labels(), []);
    assert.match(read(out, "key.pem"), /BEGIN PRIVATE KEY/);
  });
});
