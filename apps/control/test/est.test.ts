import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import type { SecurityEvent } from "@wardmq/events";
import { decodeCertsOnly, decodePem } from "@wardmq/x509";
import fc from "fast-check";
import { OtherCa } from "../../../test/support/other-ca.ts";
import {
  newDeployment,
  newKey,
  RunningControl,
  requestFor,
  type TestFolder,
} from "./control-under-test.ts";
import { type Answer, ask, type Credential, tlsTo } from "./https-client.ts";

let folder: TestFolder;
let control: RunningControl;
before(async () => {
  folder = await newDeployment();
  control = await RunningControl.start(folder.deployment);
});
after(async () => {
  await control?.end();
  folder[Symbol.dispose]();
});

type Key = ReturnType<typeof newKey>;

const path = (operation: string) => `/.well-known/est/${operation}`;
const uuidOf = (subject: string) => subject.slice("device:".length);
const pemOf = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }).toString();
const basic = (user: string, code: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${code}`).toString("base64")}`,
});

async function newDevice(attributes: object = {}): Promise<string> {
  return (await control.result("device.add", { site: "main", ward: "icu", ...attributes })).id;
}

async function codeFor(subject: string): Promise<string> {
  return (await control.result("device.code", { subject })).code;
}

async function base64RequestFor(key: Key): Promise<string> {
  return Buffer.from(decodePem("CERTIFICATE REQUEST", await requestFor(key))).toString("base64");
}

interface Enrolling {
  readonly key?: Key;
  readonly headers?: Readonly<Record<string, string>>;
  readonly credential?: Credential;
  readonly body?: string;
}

async function enrol(operation: string, { key = newKey(), headers, credential, body }: Enrolling) {
  return ask(control, "est", path(operation), {
    method: "POST",
    headers: { "content-type": "application/pkcs10", ...headers },
    body: body ?? (await base64RequestFor(key)),
    ...(credential === undefined ? {} : { credential }),
  });
}

function certificateOf({ status, text }: Answer): X509Certificate {
  assert.equal(status, 200, text);
  const [der, ...more] = decodeCertsOnly(Buffer.from(text, "base64"));
  assert.ok(der !== undefined && more.length === 0);
  return new X509Certificate(der);
}

/** Enrols a new device with a code: its subject and a credential. */
async function enrolled(): Promise<{ readonly subject: string; readonly credential: Credential }> {
  const subject = await newDevice();
  const key = newKey();
  const headers = basic(uuidOf(subject), await codeFor(subject));
  const certificate = certificateOf(await enrol("simpleenroll", { key, headers }));
  const cert = certificate.toString() + readFileSync(folder.in("control/issuing-ca.pem"), "utf8");
  return { subject, credential: { key: pemOf(key.privateKey), cert } };
}

async function certificatesOf(subject: string): Promise<number> {
  const { subjects } = await control.result("list", {});
  return subjects.find(({ id }) => id === subject)?.certificates.length ?? 0;
}

async function lastRefusal(): Promise<SecurityEvent | undefined> {
  const { events } = await control.result("events", { last: 1000 });
  return (events as SecurityEvent[]).findLast(({ type }) => /refused$/.test(type));
}

describe("simpleenroll", () => {
  test("wants a code or a maker's certificate", async () => {
    const answer = await enrol("simpleenroll", {});
    assert.equal(answer.status, 401);
    assert.match(String(answer.headers["www-authenticate"]), /^Basic realm=/);
    assert.equal((await lastRefusal())?.check, "credential");
  });

  for (const [what, headers] of [
    ["another scheme", { authorization: "Bearer x" }],
    ["no base64", { authorization: "Basic !" }],
    ["no colon", { authorization: `Basic ${Buffer.from("x").toString("base64")}` }],
  ] as const) {
    test(`takes no credential with ${what}`, async () =>
      assert.equal((await enrol("simpleenroll", { headers })).status, 401));
  }

  test("takes no code of another device, no wrong one, and none of an unknown device", async () => {
    const [one, other] = [await newDevice(), await newDevice()];
    const code = await codeFor(one);
    for (const [user, password] of [
      [uuidOf(other), code],
      [uuidOf(one), "AAAAA-AAAAA-AAAAA-AAAAA"],
      ["00000000-0000-4000-8000-000000000000", code],
      ["../x", code],
      ["", ""],
    ] as const)
      assert.equal(
        (await enrol("simpleenroll", { headers: basic(user, password) })).status,
        401,
        user,
      );
    assert.equal((await lastRefusal())?.check, "code");
    assert.equal(await certificatesOf(one), 0);
  });

  test("takes a code once, written in any case and with or without hyphens", async () => {
    const subject = await newDevice();
    const code = await codeFor(subject);
    const headers = basic(uuidOf(subject), code.toLowerCase().replaceAll("-", ""));
    const certificate = certificateOf(await enrol("simpleenroll", { headers }));
    assert.match(
      String(certificate.subjectAltName),
      new RegExp(`^URI:spiffe://.*/device/${uuidOf(subject)}$`),
    );
    assert.equal((await enrol("simpleenroll", { headers })).status, 401);
    assert.equal(await certificatesOf(subject), 1);
  });

  test("takes the newest code only, and none that was revoked with its device", async () => {
    const subject = await newDevice();
    const [first, second] = [await codeFor(subject), await codeFor(subject)];
    assert.equal(
      (await enrol("simpleenroll", { headers: basic(uuidOf(subject), first) })).status,
      401,
    );
    await control.result("revoke", { subject });
    const late = await enrol("simpleenroll", { headers: basic(uuidOf(subject), second) });
    assert.equal(late.status, 400);
    assert.equal((await lastRefusal())?.check, "subject-revoked");
  });

  test("keeps the code when the request is none", async () => {
    const subject = await newDevice();
    const headers = basic(uuidOf(subject), await codeFor(subject));
    for (const body of ["", "!", "AAAA", "MIIB"])
      assert.equal((await enrol("simpleenroll", { headers, body })).status, 400, body);
    const forged = Buffer.from(
      decodePem("CERTIFICATE REQUEST", await requestFor(newKey(), newKey())),
    );
    assert.equal(
      (await enrol("simpleenroll", { headers, body: forged.toString("base64") })).status,
      400,
    );
    assert.equal(
      (await enrol("simpleenroll", { headers: { ...headers, "content-type": "text/plain" } }))
        .status,
      415,
    );
    assert.equal((await enrol("simpleenroll", { headers })).status, 200);
  });

  test("reads base64 in several lines (RFC 8951)", async () => {
    const subject = await newDevice();
    const headers = basic(uuidOf(subject), await codeFor(subject));
    const body = (await base64RequestFor(newKey())).replace(/(.{64})/g, "$1\r\n");
    certificateOf(await enrol("simpleenroll", { headers, body }));
  });

  test("lets exactly one of several at once have a code", async () => {
    const subject = await newDevice();
    const headers = basic(uuidOf(subject), await codeFor(subject));
    const answers = await Promise.all([1, 2, 3, 4].map(() => enrol("simpleenroll", { headers })));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 401, 401, 401]);
    assert.equal(await certificatesOf(subject), 1);
  });

  test("and revoke at once leave no certificate that is active", async () => {
    const subject = await newDevice();
    const headers = basic(uuidOf(subject), await codeFor(subject));
    await Promise.all([enrol("simpleenroll", { headers }), control.result("revoke", { subject })]);
    const { subjects } = await control.result("list", {});
    const found = subjects.find(({ id }) => id === subject);
    assert.equal(found?.state, "revoked");
    assert.ok(found.certificates.every(({ state }) => state === "revoked"));
  });

  test("answers 429 after ten wrong codes of one device", async () => {
    const headers = basic(uuidOf(await newDevice()), "AAAAA-AAAAA-AAAAA-AAAAA");
    const statuses: number[] = [];
    for (let i = 0; i < 11; i++) statuses.push((await enrol("simpleenroll", { headers })).status);
    assert.deepEqual(statuses, [...Array.from({ length: 10 }, () => 401), 429]);
  });
});

describe("simplereenroll", () => {
  test("wants the current certificate", async () => {
    const answer = await enrol("simplereenroll", {});
    assert.equal(answer.status, 403);
    assert.equal((await lastRefusal())?.check, "client-certificate");
  });

  test("wants a new key, then gives a second certificate that is active beside the first", async () => {
    const { subject, credential } = await enrolled();
    const { privateKey, publicKey } = newKey();
    const first = new X509Certificate(credential.cert);
    const same = {
      privateKey: createPrivateKey(credential.key),
      publicKey: first.publicKey,
    };
    assert.equal((await enrol("simplereenroll", { credential, key: same })).status, 400);
    assert.equal((await lastRefusal())?.check, "new-key");
    const next = certificateOf(
      await enrol("simplereenroll", { credential, key: { privateKey, publicKey } }),
    );
    assert.equal(next.subjectAltName, first.subjectAltName);
    const { subjects } = await control.result("list", {});
    const states = subjects
      .find(({ id }) => id === subject)
      ?.certificates.map(({ state }) => state);
    assert.deepEqual(states, ["active", "active"]);
  });

  test("is closed to a certificate that was revoked", async () => {
    const { subject, credential } = await enrolled();
    await control.result("revoke", { subject });
    await assert.rejects(enrol("simplereenroll", { credential }));
    assert.equal((await lastRefusal())?.check, "certificate-active");
  });

  test("and revoke at once leave no certificate that is active", async () => {
    const { subject, credential } = await enrolled();
    await Promise.allSettled([
      enrol("simplereenroll", { credential }),
      control.result("revoke", { subject }),
    ]);
    const { subjects } = await control.result("list", {});
    assert.ok(
      subjects
        .find(({ id }) => id === subject)
        ?.certificates.every(({ state }) => state === "revoked"),
    );
  });
});

describe("other paths of EST", () => {
  test("cacerts gives the CAs, to anybody, in one line with its length", async () => {
    const { headers, text, status } = await ask(control, "est", path("cacerts"));
    assert.equal(status, 200);
    assert.match(String(headers["content-type"]), /^application\/pkcs7-mime/);
    assert.equal(Number(headers["content-length"]), text.length);
    const found = decodeCertsOnly(Buffer.from(text, "base64")).map(
      (der) => new X509Certificate(der),
    );
    assert.ok(found.some((one) => one.checkIssued(one)));
    assert.equal(found.length, 2);
  });

  test("csrattrs asks for a P-256 key", async () => {
    const { headers, text } = await ask(control, "est", path("csrattrs"));
    assert.equal(headers["content-type"], "application/csrattrs");
    assert.match(Buffer.from(text, "base64").toString("hex"), /06082a8648ce3d030107/);
  });

  test("no keys are made for anybody, and there are no other paths", async () => {
    assert.equal((await enrol("serverkeygen", {})).status, 501);
    assert.equal((await enrol("fullcmc", {})).status, 501);
    for (const other of [
      path("cacerts/"),
      path("label/cacerts"),
      path("CACERTS"),
      "/",
      "/../x",
      "/.well-known",
    ])
      assert.equal((await ask(control, "est", other)).status, 404, other);
  });

  test("CRLs and CAs are there for anybody, by the key identifier of the CA", async () => {
    assert.equal((await ask(control, "est", `/crl/${"0".repeat(40)}.crl`)).status, 404);
    const { stdout } = openssl([
      "x509",
      "-in",
      folder.in("control/issuing-ca.pem"),
      "-noout",
      "-ext",
      "subjectKeyIdentifier",
    ]);
    const id = (/([0-9A-F]{2}:){19}[0-9A-F]{2}/.exec(stdout)?.[0] ?? "")
      .replaceAll(":", "")
      .toLowerCase();
    for (const where of [`/crl/${id}.crl`, `/ca/${id}.cer`, path("cacerts")]) {
      const { status, headers } = await ask(control, "est", where);
      assert.equal(status, 200, where);
      const head = await ask(control, "est", where, { method: "HEAD" });
      assert.deepEqual([head.status, head.text], [200, ""], where);
      for (const name of ["content-type", "content-length", "cache-control"])
        assert.equal(head.headers[name], headers[name], `${name} of ${where}`);
    }
    const none = `/crl/${"0".repeat(40)}.crl`;
    assert.equal((await ask(control, "est", none, { method: "HEAD" })).status, 404);
  });

  test("any request is answered below 500, and control goes on", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("GET", "POST", "PUT", "HEAD", "OPTIONS"),
        fc.oneof(
          fc.constantFrom("simpleenroll", "simplereenroll", "cacerts", "serverkeygen").map(path),
          fc.webPath().map((one) => (one === "" ? "/" : one)),
        ),
        fc.constantFrom("application/pkcs10", "text/plain", ""),
        fc.oneof(
          fc.string(),
          fc.base64String(),
          fc.uint8Array().map((bytes) => Buffer.from(bytes).toString("base64")),
        ),
        async (method, where, type, body) => {
          const headers = { "content-type": type, ...basic("x", body) };
          const { status } = await ask(control, "est", where, {
            method,
            headers,
            ...(method === "POST" || method === "PUT" ? { body } : {}),
          });
          assert.ok((status >= 200 && status < 500) || status === 501, String(status));
        },
      ),
      { numRuns: 60 },
    );
    assert.equal((await ask(control, "est", path("cacerts"))).status, 200);
  });
});

describe("a request that is none", () => {
  const post = `POST ${path("simpleenroll")} HTTP/1.1\r\nHost: localhost\r\n`;

  for (const [name, sent] of [
    ["without Host", `GET ${path("cacerts")} HTTP/1.1\r\n\r\n`],
    ["with two Hosts", `GET ${path("cacerts")} HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n`],
    ["with two lengths", `${post}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`],
    [
      "in pieces and of a length",
      `${post}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n`,
    ],
  ] as const)
    test(`${name} is answered with 400, ends the connection, and leaves an event`, async () => {
      assert.match(await heardAfter(sent), /^HTTP\/1\.1 400 /);
      assert.equal((await lastRefusal())?.check, "http");
    });

  test("that announces more than any request has is refused before it comes", async () => {
    const sent = `${post}Content-Type: application/pkcs10\r\nContent-Length: 99999999\r\n\r\n`;
    assert.match(await heardAfter(sent), /^HTTP\/1\.1 413 /);
  });

  test("since its client leaves in the middle of it is nobody's mistake", async () => {
    const socket = connectTls(tlsTo(control, "est")).on("error", () => {});
    await once(socket, "secureConnect");
    socket.write(`${post}Content-Length: 100\r\n\r\nab`);
    await delay(100); // else it may leave before its request is read; nothing hangs on it otherwise
    socket.destroy();
    assert.equal((await ask(control, "est", path("cacerts"))).status, 200);
    assert.doesNotMatch(control.said, /^Error|^ +at /m);
  });
});

/** What comes back until the door ends the connection, which it is to do itself. */
async function heardAfter(sent: string): Promise<string> {
  const socket = connectTls(tlsTo(control, "est")).on("error", () => {});
  await once(socket, "secureConnect");
  socket.setTimeout(30_000, () => socket.destroy(new Error("it was not ended")));
  let heard = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    heard += chunk;
  });
  socket.write(sent);
  await once(socket, "close");
  return heard;
}

const openssl = (words: readonly string[], input?: Buffer) =>
  spawnSync("openssl", words, { input, encoding: "utf8", cwd: folder.path });

/** Makes a key and a request of this subject, as a person would: `FILE.key` and `FILE.der`. */
function requestByOpenssl(file: string, subject: string): void {
  const [key, request] = [`${file}.key`, `${file}.der`];
  openssl(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key]);
  const words = ["-subj", `/CN=${uuidOf(subject)}`, "-outform", "DER", "-out", request];
  openssl(["req", "-new", "-key", key, ...words]);
}

/** A maker's CA and device identities, as IEEE 802.1AR has them. */
function makerCertificates(
  maker: string,
  serial: string,
): { readonly ca: string; readonly credential: Credential } {
  const at = (name: string) => `${folder.path}/${maker}-${name}`;
  const run = (...words: string[]) => {
    const { status, stderr } = openssl(words);
    assert.equal(status, 0, stderr);
  };
  run(
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-keyout",
    at("ca.key"),
    "-out",
    at("ca.pem"),
    "-subj",
    `/O=${maker}/CN=${maker} devices`,
    "-days",
    "30",
  );
  run(
    "req",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-keyout",
    at("device.key"),
    "-out",
    at("device.csr"),
    "-subj",
    `/O=${maker}/serialNumber=${serial}`,
  );
  writeFileSync(
    at("ext"),
    "keyUsage=critical,digitalSignature\nbasicConstraints=critical,CA:FALSE\n",
  );
  run(
    "x509",
    "-req",
    "-in",
    at("device.csr"),
    "-CA",
    at("ca.pem"),
    "-CAkey",
    at("ca.key"),
    "-days",
    "30",
    "-CAcreateserial",
    "-extfile",
    at("ext"),
    "-out",
    at("device.pem"),
  );
  const read = (name: string) => readFileSync(at(name), "utf8");
  return { ca: read("ca.pem"), credential: { key: read("device.key"), cert: read("device.pem") } };
}

describe("a maker's certificate", () => {
  test("enrols the device whose record has the maker and the serial number, for as long as the maker is trusted", async () => {
    const { ca, credential } = makerCertificates("acme", "SN-1");
    await assert.rejects(enrol("simpleenroll", { credential }), "the maker is not trusted yet");
    await control.result("manufacturer.add", { name: "acme", certificate: ca });
    assert.equal((await enrol("simpleenroll", { credential })).status, 403);
    assert.equal((await lastRefusal())?.check, "serial-number");
    const subject = await newDevice({ maker: "acme", serial: "SN-1" });
    const certificate = certificateOf(await enrol("simpleenroll", { credential }));
    assert.match(String(certificate.subjectAltName), new RegExp(`${uuidOf(subject)}$`));
    await newDevice({ maker: "other", serial: "SN-1" });
    certificateOf(await enrol("simpleenroll", { credential }));
    assert.equal((await enrol("simplereenroll", { credential })).status, 403);
    await control.result("manufacturer.remove", { name: "acme" });
    await assert.rejects(enrol("simpleenroll", { credential }));
  });

  test("enrols nothing that the maker's CRL lists, and nothing while it is too old; a file that is no CRL is not taken", async () => {
    const maker = await OtherCa.make("Acme IDevID CA");
    const idevid = async (serialNumber: string) => {
      const { key, pem, x509, ...rest } = await maker.device("IDevID", { serialNumber });
      await newDevice({ maker: "crl-maker", serial: serialNumber });
      return { ...rest, key, pem, x509, credential: { key, cert: pem } };
    };
    const [good, bad] = [await idevid("SN-30"), await idevid("SN-31")];
    const crl = folder.in("maker.crl");
    writeFileSync(crl, "no CRL");
    const wanted = { name: "crl-maker", certificate: maker.pem, crl };
    const refused = await control.ask("manufacturer.add", wanted);
    assert.ok(!refused.ok && refused.error.code === "ERR_CRL", JSON.stringify(refused));
    await assert.rejects(enrol("simpleenroll", { credential: good.credential }));
    writeFileSync(crl, await maker.crl([bad], { ageMs: 60_000, lifeMs: 66_000 }));
    const added = await control.result("manufacturer.add", wanted);
    assert.deepEqual([added.crl?.revoked, added.crl?.crlNumber], [1, 1]);
    const answer = await enrol("simpleenroll", { credential: bad.credential });
    assert.deepEqual([answer.status, (await lastRefusal())?.check], [403, "maker-revoked"]);
    certificateOf(await enrol("simpleenroll", { credential: good.credential }));
    const isStale = async () =>
      (await control.result("manufacturer.list", {})).manufacturers.some(
        (one) => one.name === "crl-maker" && one.crl?.freshness === "stale",
      );
    for (let i = 0; i < 1_000 && !(await isStale()); i += 1) await delay(20);
    const late = await enrol("simpleenroll", { credential: good.credential });
    assert.deepEqual([late.status, (await lastRefusal())?.check], [403, "maker-stale"]);
    await control.result("manufacturer.remove", { name: "crl-maker" });
  });

  test("is not taken for a maker's CA", async () => {
    const { credential } = makerCertificates("leafy", "SN-2");
    const refused = await control.ask("manufacturer.add", {
      name: "leafy",
      certificate: credential.cert,
    });
    assert.ok(!refused.ok && refused.error.code === "ERR_MANUFACTURER");
  });
});

const isMissing = (program: string) => spawnSync(program, ["--version"]).error !== undefined;

describe("public clients", () => {
  test("curl with openssl enrols and enrols again", {
    skip: isMissing("curl") && "curl is missing",
  }, async () => {
    const subject = await newDevice();
    const code = await codeFor(subject);
    const root = folder.in("control/root-ca.pem");
    const url = (operation: string) => `https://localhost:${control.port("est")}${path(operation)}`;
    mkdirSync(`${folder.path}/curl`);
    const at = (name: string) => `${folder.path}/curl/${name}`;
    const request = (name: string) => {
      requestByOpenssl(at(name), subject);
      const { stdout } = openssl(["base64", "-in", at(`${name}.der`)]);
      writeFileSync(at(`${name}.b64`), stdout);
    };
    const curl = (name: string, operation: string, ...words: string[]) => {
      const args = [
        "-sS",
        "--fail",
        "--cacert",
        root,
        "-H",
        "Content-Type: application/pkcs10",
        "--data-binary",
        `@${at(`${name}.b64`)}`,
      ];
      const { stdout, stderr, status } = spawnSync("curl", [...args, ...words, url(operation)], {
        encoding: "utf8",
      });
      assert.equal(status, 0, stderr);
      const pkcs7 = openssl(
        ["pkcs7", "-inform", "DER", "-print_certs"],
        Buffer.from(stdout, "base64"),
      );
      writeFileSync(at(`${name}.pem`), pkcs7.stdout);
      return new X509Certificate(pkcs7.stdout);
    };
    request("first");
    const first = curl("first", "simpleenroll", "-u", `${uuidOf(subject)}:${code}`);
    request("second");
    const second = curl(
      "second",
      "simplereenroll",
      "--cert",
      at("first.pem"),
      "--key",
      at("first.key"),
    );
    assert.equal(first.subjectAltName, second.subjectAltName);
    assert.notEqual(first.serialNumber, second.serialNumber);
  });

  test("strongSwan's pki enrols and enrols again where TLS 1.2 is written out", {
    skip:
      spawnSync("pki", ["--gen", "--type", "ecdsa"]).status !== 0 &&
      "strongswan-pki or libstrongswan-standard-plugins is missing",
  }, async () => {
    using own = await newDeployment();
    await using served = await RunningControl.start(
      own.deployment,
      "--set",
      "listeners.est.minVersion=TLSv1.2",
    );
    const { id: subject } = await served.result("device.add", { site: "main", ward: "icu" });
    const { code } = await served.result("device.code", { subject });
    const at = (name: string) => `${own.path}/${name}`;
    const request = (name: string) => requestByOpenssl(at(name), subject);
    const cas = ["root-ca", "issuing-ca"].flatMap((name) => [
      "--cacert",
      own.in("control", `${name}.pem`),
    ]);
    const pki = (name: string, ...words: string[]) => {
      const url = `https://localhost:${served.port("est")}`;
      const args = [
        "--est",
        "--url",
        url,
        "--in",
        at(`${name}.der`),
        ...cas,
        ...words,
        "--outform",
        "pem",
      ];
      const { stdout, stderr } = spawnSync("pki", args, { encoding: "utf8", timeout: 60_000 });
      assert.match(stdout, /BEGIN CERTIFICATE/, stderr);
      writeFileSync(at(`${name}.pem`), stdout);
      return new X509Certificate(stdout);
    };
    request("first");
    const first = pki("first", "--userpass", `${uuidOf(subject)}:${code}`);
    request("second");
    const second = pki("second", "--cert", at("first.pem"), "--key", at("first.key"));
    assert.equal(first.subjectAltName, second.subjectAltName);
    const { stdout, stderr } = spawnSync(
      "pki",
      [
        "--estca",
        "--url",
        `https://localhost:${served.port("est")}`,
        ...cas.slice(0, 2),
        "--caout",
        at("estca"),
        "--outform",
        "pem",
      ],
      { encoding: "utf8" },
    );
    assert.match(stdout + stderr, /Root CA cert is trusted/);
  });

  test("openssl cannot connect with TLS 1.2 where nobody wrote it out", async () => {
    await assert.rejects(ask(control, "est", path("cacerts"), { tls: { maxVersion: "TLSv1.2" } }));
  });
});
