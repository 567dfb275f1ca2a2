import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { describe, test } from "node:test";
import type { FeedBody } from "@wardmq/feed";
import { keySigner, writePrivateKeyFile } from "@wardmq/keys";
import { decodeCertificate, decodePem, decodePems, encodeName } from "@wardmq/x509";
import { certificatePem, issue, randomSerialNumber } from "../src/ca/certificate-authority.ts";
import { keyProviders, openSigner } from "../src/keys.ts";
import {
  eventually,
  FakeBroker,
  inForce,
  isGone,
  newDeployment,
  newKey,
  oneShot,
  RunningControl,
  refusal,
  requestFor,
  runMain,
  type TestFolder,
} from "./control-under-test.ts";

const edit = (path: string, change: (text: string) => string) =>
  writeFileSync(path, change(readFileSync(path, "utf8")));

describe("starting control", () => {
  const broken: readonly (readonly [string, (folder: TestFolder) => void, number, RegExp])[] = [
    [
      "a key of the CA that others may read",
      (folder) => chmodSync(folder.in("control/issuing-ca.key"), 0o640),
      2,
      /issuing-ca\.key is open to others \(mode 0640\); chmod 600/,
    ],
    [
      "a root key that others may read",
      (folder) => chmodSync(folder.in("control/root-ca.key"), 0o604),
      2,
      /root-ca\.key is open/,
    ],
    [
      "a key of the feed that others may read",
      (folder) => chmodSync(folder.in("control/feed.key"), 0o644),
      2,
      /feed\.key is open/,
    ],
    [
      "a key that is none",
      (folder) => writeFileSync(folder.in("control/issuing-ca.key"), "x"),
      2,
      /holds no wrapped private key/,
    ],
    [
      "a key of another CA",
      (folder) =>
        copyFileSync(folder.in("control/root-ca.key"), folder.in("control/issuing-ca.key")),
      2,
      /the key of the issuing CA is not in the folder control/,
    ],
    [
      "a root CA that is none",
      (folder) =>
        copyFileSync(folder.in("control/issuing-ca.pem"), folder.in("control/root-ca.pem")),
      2,
      /root-ca\.pem holds what is no root CA/,
    ],
    [
      "a certificate that is none",
      (folder) => writeFileSync(folder.in("control/root-ca.pem"), "x"),
      2,
      /holds no certificate/,
    ],
    [
      "a feed key of another kind",
      (folder) => copyFileSync(folder.in("control/root-ca.key"), folder.in("control/feed.key")),
      2,
      /not an Ed25519 key/,
    ],
    [
      "a feed key whose public half the broker does not have",
      (folder) => {
        const { publicKey } = generateKeyPairSync("ed25519");
        const pem = publicKey.export({ type: "spki", format: "pem" });
        writeFileSync(folder.in("broker/feed.pub"), pem);
      },
      2,
      /feed\.key does not belong to broker\/feed\.pub/,
    ],
    [
      "a folder that others may change",
      (folder) => chmodSync(folder.deployment, 0o775),
      2,
      /^others can change the deployment's folder \(mode 0775\); chmod go-w \.$/m,
    ],
    [
      "a policy that others may change",
      (folder) => {
        chmodSync(folder.deployment, 0o755);
        chmodSync(folder.in("policy.yaml"), 0o666);
      },
      2,
      /^others can change policy\.yaml \(mode 0666\)/m,
    ],
    [
      "a damaged registry",
      (folder) => writeFileSync(folder.in("control/registry.db"), "x".repeat(9_000)),
      1,
      /registry.*damaged; restore/,
    ],
    [
      "settings with an unknown key",
      (folder) => appendFileSync(folder.in("wardmq.yaml"), "\nbogus: 1\n"),
      2,
      /wardmq\.yaml:\d+:1: bogus/,
    ],
    ["no settings", (folder) => edit(folder.in("wardmq.yaml"), () => ""), 2, /wardmq\.yaml/],
    [
      "a broken policy",
      (folder) => appendFileSync(folder.in("policy.yaml"), "\nbogus: 1\n"),
      2,
      /policy\.yaml:\d+:1/,
    ],
    [
      "another organisation than at init",
      (folder) =>
        edit(folder.in("wardmq.yaml"), (text) =>
          text.replace("org: Hospital_1", "org: Hospital_2"),
        ),
      2,
      /^wardmq\.yaml:\d+:6: org: is not the one/m,
    ],
  ];
  for (const [name, breakIt, code, because] of broken) {
    test(`is refused with ${name}`, async () => {
      using folder = await newDeployment();
      breakIt(folder);
      const ended = await runMain(["serve", folder.deployment]);
      assert.equal(ended.code, code, ended.said);
      assert.equal(ended.out, "");
      assert.match(ended.said, because);
      assert.doesNotMatch(ended.said, /^\s+at /m);
    });
  }

  for (const [name, days, because] of [
    ["a CA that has expired", -3 * 366, /issuing-ca\.pem expired on \d{4}-\d\d-\d\d/],
    ["a clock that stands before the CA was made", 30, /clock says \d{4}-\d\d-\d\d; set the clock/],
  ] as const) {
    test(`is refused with ${name}`, async () => {
      using folder = await newDeployment(
        ["localhost"],
        "Hospital_1",
        Date.now() + days * 86_400_000,
      );
      const { code, said } = await runMain(["serve", folder.deployment]);
      assert.equal(code, 2);
      assert.match(said, because);
    });
  }

  test("says when the CA comes to its end", async () => {
    using folder = await newDeployment(
      ["localhost"],
      "Hospital_1",
      Date.now() - 1_050 * 86_400_000,
    );
    await using control = await RunningControl.start(folder.deployment);
    assert.match(control.said, /issuing-ca\.pem ends on/);
  });

  test("is refused with an override that is wrong", async () => {
    using folder = await newDeployment();
    const { code, said } = await runMain([
      "serve",
      folder.deployment,
      "--set",
      "limits.connections=many",
    ]);
    assert.equal(code, 2);
    assert.match(said, /limits\.connections/);
  });

  test("is refused beside a control that runs, which goes on", async () => {
    using folder = await newDeployment();
    await using control = await RunningControl.start(folder.deployment);
    const { code, said } = await runMain(["serve", folder.deployment]);
    assert.equal(code, 1);
    assert.match(said, /running control/);
    assert.equal(refusal(await oneShot(folder.deployment, "list", {})).code, "ERR_CONTROL_RUNS");
    assert.deepEqual(await control.result("list", {}), { subjects: [] });
  });

  test("is fine without the root key: it may be kept elsewhere", async () => {
    using folder = await newDeployment();
    rmSync(folder.in("control/root-ca.key"));
    await using control = await RunningControl.start(folder.deployment);
    assert.deepEqual(await control.result("list", {}), { subjects: [] });
  });

  test("makes sockets that only its user can open", async () => {
    using folder = await newDeployment();
    await using _control = await RunningControl.start(folder.deployment);
    for (const name of ["control.sock", "feed.sock"]) {
      assert.equal(statSync(folder.in("run", name)).mode & 0o777, 0o600);
    }
  });

  test("works where the path of the deployment is longer than that of a socket may be", async () => {
    using folder = await newDeployment();
    const deep = `${folder.path}/${"x".repeat(100)}`;
    mkdirSync(deep);
    renameSync(folder.deployment, `${deep}/d`);
    await using control = await RunningControl.start(`${deep}/d`);
    assert.equal(statSync(`${deep}/d/run/control.sock`).isSocket(), true);
    assert.equal(await control.end(), 0);
  });
});

describe("ending control", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`by ${signal} is in order: 0, and no socket is left`, async () => {
      using folder = await newDeployment();
      await using control = await RunningControl.start(folder.deployment);
      assert.equal(await control.end(signal), 0);
      assert.ok(isGone(folder.in("run/control.sock")) && isGone(folder.in("run/feed.sock")));
      assert.equal(control.said, "");
    });
  }

  test("happens by itself when its supervisor is gone", async () => {
    using folder = await newDeployment();
    await using control = await RunningControl.start(folder.deployment);
    control.process.stdin?.end();
    await eventually(() => control.process.exitCode === 0);
  });

  test("by SIGKILL loses nothing that it has answered", async () => {
    using folder = await newDeployment();
    const killed = await RunningControl.start(folder.deployment);
    const socket = connect(folder.in("run/control.sock"));
    let heard = "";
    socket.setEncoding("utf8");
    socket.on("error", () => {});
    socket.on("data", (chunk: string) => {
      heard += chunk;
    });
    const add = JSON.stringify({ command: "device.add", arguments: { site: "main", ward: "icu" } });
    socket.write(`${add}\n`.repeat(5_000));
    const answers = () => heard.split("\n").slice(0, -1);
    await eventually(() => answers().length > 20);
    await killed.end("SIGKILL");
    socket.destroy();
    const answered = answers().map(
      (line) => (JSON.parse(line) as { result: { id: string } }).result.id,
    );
    const listed = await oneShot(folder.deployment, "list", {});
    assert.ok(listed.ok);
    const kept = new Set(
      (listed.result as { subjects: { id: string }[] }).subjects.map(({ id }) => id),
    );
    assert.deepEqual(
      answered.filter((id) => !kept.has(id)),
      [],
    );
    assert.ok(answered.length < 5_000);
  });

  test("by SIGKILL leaves a deployment that a one-shot works on, and that can be served again", async () => {
    using folder = await newDeployment();
    const killed = await RunningControl.start(folder.deployment);
    await killed.result("service.add", { name: "dashboard" });
    await killed.end("SIGKILL");
    assert.ok(!isGone(folder.in("run/control.sock")));
    assert.ok((await oneShot(folder.deployment, "service.add", { name: "other" })).ok);
    await using control = await RunningControl.start(folder.deployment);
    const { subjects } = await control.result("list", {});
    assert.deepEqual(
      subjects.map(({ id }) => id),
      ["service:dashboard", "service:other"],
    );
  });
});

describe("reading the files again", () => {
  async function started() {
    const folder = await newDeployment();
    const control = await RunningControl.start(folder.deployment);
    const broker = new FakeBroker(folder.deployment);
    broker.say({ type: "hello" });
    await eventually(() => broker.heard.length > 0);
    const stack = new AsyncDisposableStack();
    stack.use(folder);
    stack.use(control);
    stack.use(broker);
    return { folder, control, broker, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  }
  const settingsOf = (body: FeedBody | undefined) =>
    body?.type === "change" ? body.change.settings : undefined;
  const policyOf = (body: FeedBody | undefined) =>
    body?.type === "change" ? body.change.policy : undefined;

  for (const [file, type] of [
    ["wardmq.yaml", "settings-refused"],
    ["policy.yaml", "policy-refused"],
  ] as const) {
    test(`refuses a broken ${file} with where and what, records it, and changes nothing`, async () => {
      await using at = await started();
      const other = file === "wardmq.yaml" ? "policy.yaml" : "wardmq.yaml";
      appendFileSync(at.folder.in(file), "\nbogus: 1\n");
      appendFileSync(at.folder.in(other), "\n# changed\n");
      const { message, exitCode } = refusal(await at.control.ask("reload", {}));
      assert.equal(exitCode, 2);
      assert.match(message, new RegExp(`${file}:\\d+:\\d+`));
      const { events } = await at.control.result("events", { last: 1 });
      assert.equal((events[0] as { type: string }).type, type);
      await at.control.result("service.add", { name: "marker" });
      await eventually(() => at.broker.news.length === 2);
      assert.equal(settingsOf(at.broker.news[1]) ?? policyOf(at.broker.news[1]), undefined);
    });
  }

  test("refuses the name of another organisation with where and what", async () => {
    await using at = await started();
    const text = readFileSync(at.folder.in("wardmq.yaml"), "utf8");
    writeFileSync(at.folder.in("wardmq.yaml"), text.replace(/^org: .*$/m, "org: another"));
    const { code, message, exitCode } = refusal(await at.control.ask("reload", {}));
    assert.deepEqual([code, exitCode], ["ERR_CONFIG", 2]);
    assert.match(message, /^wardmq\.yaml:\d+:6: org: is not the one this deployment was made for/);
  });

  test("refuses a policy that can not give what an emergency lets people take, and an issuers.yaml that wants it to", async () => {
    await using at = await started();
    const policy = (role: string) =>
      writeFileSync(at.folder.in("policy.yaml"), `roles: { ${role}: { subscribe: ["a"] } }\n`);
    const issuers = (role: string) =>
      writeFileSync(
        at.folder.in("issuers.yaml"),
        `issuers:
  idp:
    issuer: https://localhost:9
    audience: wardmq
    api:
      audience: api
      breakGlass: [{ name: a, policyRole: ${role}, claim: groups, value: nurses }]
`,
      );
    const message = (role: string) =>
      `issuers.yaml:7:43: issuers.idp.api.breakGlass.0.policyRole: the policy has no role ${role}`;
    policy("all-wards");
    issuers("wards");
    assert.equal(refusal(await at.control.ask("reload", {})).message, message("wards"));
    const { events } = await at.control.result("events", { last: 1 });
    assert.equal((events[0] as { type: string }).type, "settings-refused");
    issuers("all-wards");
    assert.deepEqual(await at.control.result("reload", {}), {
      changed: ["policy.yaml", "issuers.yaml"],
    });
    policy("wards");
    assert.equal(refusal(await at.control.ask("reload", {})).message, message("all-wards"));
  });

  test("does nothing when nothing changed", async () => {
    await using at = await started();
    appendFileSync(at.folder.in("wardmq.yaml"), "\n# a comment\n");
    assert.deepEqual(await at.control.result("reload", {}), { changed: [] });
    await at.control.result("service.add", { name: "marker" });
    await eventually(() => at.broker.news.length === 2);
    assert.equal(at.broker.news[1]?.version, 2);
  });

  test("tells brokers what changed, and only that", async () => {
    await using at = await started();
    edit(at.folder.in("wardmq.yaml"), (text) =>
      `${text}`.replace("webSocketOrigins: []", "webSocketOrigins: [https://a.example]"),
    );
    assert.deepEqual(await at.control.result("reload", {}), { changed: ["wardmq.yaml"] });
    edit(at.folder.in("policy.yaml"), () => "roles: {}\nbindings: []\n");
    assert.deepEqual(await at.control.result("reload", {}), { changed: ["policy.yaml"] });
    await eventually(() => at.broker.news.length === 3);
    assert.deepEqual(settingsOf(at.broker.news[1])?.webSocketOrigins, ["https://a.example"]);
    assert.equal(policyOf(at.broker.news[1]), undefined);
    assert.deepEqual(policyOf(at.broker.news[2]), inForce("roles: {}"));
    assert.equal(settingsOf(at.broker.news[2]), undefined);
  });

  test("happens on SIGHUP, good and bad", async () => {
    await using at = await started();
    appendFileSync(at.folder.in("policy.yaml"), "\nbogus: 1\n");
    at.control.process.kill("SIGHUP");
    await eventually(() => at.control.said.includes("policy-refused"));
    edit(at.folder.in("policy.yaml"), () => "roles: {}\nbindings: []\n");
    at.control.process.kill("SIGHUP");
    await eventually(() => at.broker.news.length === 2);
    assert.deepEqual(policyOf(at.broker.news[1]), inForce("roles: {}"));
  });

  test("takes over another root CA, and refuses what is none", async () => {
    await using at = await started();
    using other = await newDeployment();
    const root = readFileSync(other.in("control/root-ca.pem"), "utf8");
    const before = readFileSync(at.folder.in("control/root-ca.pem"), "utf8");
    edit(
      at.folder.in("control/root-ca.pem"),
      () => before + readFileSync(other.in("control/issuing-ca.pem"), "utf8"),
    );
    assert.equal(refusal(await at.control.ask("reload", {})).code, "ERR_CA");
    edit(at.folder.in("control/root-ca.pem"), () => before + root);
    assert.deepEqual(await at.control.result("reload", {}), { changed: ["control/root-ca.pem"] });
    await at.control.result("service.add", { name: "dashboard" });
    const certificateRequest = await requestFor(newKey());
    const issued = await at.control.result("credential", {
      subject: "service:dashboard",
      certificateRequest,
    });
    assert.equal(issued.trustAnchors, before + root);
    await eventually(() => at.broker.news.length === 3);
    const told = at.broker.news.flatMap((body) =>
      body.type === "change" ? [body.subjects.length, ...Object.keys(body.change)] : [],
    );
    assert.deepEqual(told, [1, 1]); // brokers trust issuing CAs only
  });

  test("takes over a new issuing CA, and trusts the former one still", async () => {
    await using at = await started();
    const path = at.folder.in("control/issuing-ca.pem");
    const former = readFileSync(path, "utf8");
    const [root = new Uint8Array()] = decodePems(
      "CERTIFICATE",
      readFileSync(at.folder.in("control/root-ca.pem"), "utf8"),
    );
    const key = newKey().privateKey;
    const issuing = await issue(
      {
        certificate: decodeCertificate(root),
        signer: openSigner(at.folder.in("control/root-ca.key")),
      },
      {
        profile: "issuingCa",
        subject: encodeName({ commonName: "second" }),
        publicKey: keySigner(key).publicKey,
        serialNumber: randomSerialNumber(),
        now: Date.now(),
      },
    );
    rmSync(at.folder.in("control/issuing-ca.key"));
    const provider = keyProviders.create({ name: "file" }, at.folder.in("control"));
    writePrivateKeyFile(at.folder.in("control/issuing-ca.key"), key, provider);
    edit(path, () => certificatePem(issuing) + former);
    await at.control.result("reload", {});
    await eventually(() => at.broker.news.length === 2);
    const [, told] = at.broker.news;
    assert.deepEqual(told?.type === "change" && told.change.trustAnchors, [
      certificatePem(issuing),
      former,
    ]);
    await at.control.result("service.add", { name: "dashboard" });
    const certificateRequest = await requestFor(newKey());
    const { certificateChain } = await at.control.result("credential", {
      subject: "service:dashboard",
      certificateRequest,
    });
    assert.ok(certificateChain.endsWith(certificatePem(issuing)));
  });

  test("keeps the overrides of this run", async () => {
    using folder = await newDeployment();
    await using control = await RunningControl.start(
      folder.deployment,
      "--set",
      "limits.connections=77",
    );
    assert.deepEqual(await control.result("reload", {}), { changed: [] });
  });

  test("signs for brokers what they ask for, with the hosts of the moment, and refuses the rest with a reason", async () => {
    await using at = await started();
    const answers = () =>
      at.broker.heard.flatMap((body) =>
        body.type === "server-certificate"
          ? [new X509Certificate(body.certificate).subjectAltName]
          : body.type === "server-certificate-refused"
            ? [body.why]
            : [],
      );
    const ask = async (request: string) => {
      const before = answers().length;
      at.broker.say({ type: "certificate-request", request });
      await eventually(() => answers().length > before);
      return answers().at(-1);
    };
    const request = async (key = newKey(), signedBy = key) =>
      Buffer.from(decodePem("CERTIFICATE REQUEST", await requestFor(key, signedBy))).toString(
        "base64",
      );
    assert.equal(await ask(await request()), "DNS:localhost");
    assert.match((await ask(await request(newKey(), newKey()))) ?? "", /not signed by the key/);
    assert.match((await ask("no base64")) ?? "", /certificate request is refused/);
    edit(at.folder.in("wardmq.yaml"), (text) =>
      text.replace("- localhost", "- localhost\n  - second.example"),
    );
    await at.control.result("reload", {});
    assert.equal(await ask(await request()), "DNS:localhost, DNS:second.example");
  });

  test("shows what brokers show, and has them renew; without a broker it refuses and says why", async () => {
    using folder = await newDeployment();
    await using control = await RunningControl.start(folder.deployment);
    const refused = refusal(await control.ask("rotation.step", { what: "server" }));
    assert.deepEqual(
      [refused.code, refused.message],
      ["ERR_ROTATION", "no broker is connected, and the key is the broker's to make"],
    );
    const shown = { notBefore: Date.now(), notAfter: Date.now() + 86_400_000, isOurs: true };
    let next = 1;
    using broker = new FakeBroker(folder.deployment, ({ type }) => {
      if (type !== "renew-server-certificate") return;
      next += 1;
      broker.say({ type: "server-certificate", serialNumber: `0${next}`, ...shown });
    });
    broker.say({ type: "hello" });
    broker.say({ type: "server-certificate", serialNumber: "01", ...shown });
    await eventually(() => broker.heard.length > 0);
    const serialNumbers = async (command: "rotation.status" | "rotation.step") =>
      (await control.result(command, { what: "server" })).servers?.map((one) => one.serialNumber);
    assert.deepEqual(await serialNumbers("rotation.status"), ["01"]);
    assert.deepEqual(await serialNumbers("rotation.step"), ["02"]);
    assert.deepEqual(await serialNumbers("rotation.step"), ["03"]);
    const undone = refusal(await control.ask("rotation.undo", { what: "server" }));
    assert.match(undone.message, /replaced in one step/);
    const { days } = await control.result("horizon", {});
    assert.equal(days.find((one) => one.class === "server")?.expiring, 1);
  });
});
