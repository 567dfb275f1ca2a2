import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { KeyProviders, keyEnvironment, wrapPlainKeyFile } from "@wardmq/keys";
import type { Deployment } from "../deployment.ts";
import { writeServerIdentity } from "../flooded.ts";
import {
  type Led,
  type LoadResult,
  leadLoad,
  loadGenerator,
  numberAt,
  runLoad,
} from "../generator.ts";
import { firstLine } from "../machine.ts";
import { serveMosquitto } from "../mosquitto.ts";
import type { RunningBroker } from "../running-broker.ts";
import { compiler, mosquitto, openSslHeaders } from "../system-packages.ts";

const missing = [
  ...[compiler, openSslHeaders, mosquitto]
    .filter(({ isPresent }) => !isPresent())
    .map(({ debian }) => debian),
  ...(firstLine("openssl", ["version"]) === "unknown" ? ["openssl"] : []),
];
const skip = missing.length > 0 ? `missing here: ${missing.join(", ")}` : false;

const devices = ["6f1b0d0e-3f53-4b5c-8f57-0d8c3a5f0001", "6f1b0d0e-3f53-4b5c-8f57-0d8c3a5f0002"];

describe("the load generator against Mosquitto", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "wardmq-load-"));
  const deployment: Deployment = {
    directory: join(folder, "deployment"),
    service: join(folder, "load"),
    devices: join(folder, "devices"),
    token: join(folder, "token"),
    topic: "clinic/bench",
    ward: "clinic/main/icu",
    wardFilter: "clinic/+/+/device/+/telemetry",
  };
  let generator = "";
  let broker: RunningBroker | undefined;

  before(async () => {
    generator = loadGenerator(() => {});
    makeCredentials(deployment);
    broker = await serveMosquitto(join(folder, "mosquitto"), deployment);
  });

  after(async () => {
    await broker?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function load(workload: string, ...words: string[]): Promise<LoadResult> {
    const topic = workload === "ward" ? deployment.ward : deployment.topic;
    const common = [
      ...["--port", `${broker?.port}`, "--pid", `${broker?.pid}`, "--service", deployment.service],
      ...["--devices", deployment.devices, "--topic", topic, "--seconds", "0.3", "--warmup", "0.1"],
    ];
    return runLoad(generator, [workload, ...common, ...words], 60_000);
  }

  test("says that a topic outside of the access list is refused", async () => {
    await assert.rejects(
      load("pairs", "--connections", "1", "--mqtt", "5", "--topic", "other"),
      /refuse|closed/,
    );
  });

  test("says that a certificate of another CA is refused", async () => {
    const stranger = {
      ...deployment,
      directory: join(folder, "other"),
      service: join(folder, "stranger"),
    };
    makeCredentials({ ...stranger, devices: join(folder, "no-devices") });
    const ca = join(deployment.service, "ca.pem");
    await assert.rejects(
      load("connect", "--service", stranger.service, "--ca", ca),
      /unknown ca|alert|closed|reset/,
    );
  });

  test("does not talk to a broker whose certificate it cannot verify", async () => {
    await assert.rejects(
      load("connect", "--sni", "elsewhere.example"),
      /certificate is refused: hostname mismatch/,
    );
  });

  for (const mqtt of ["3", "5"]) {
    test(`counts each delivery of a fan-out, MQTT ${mqtt}`, async () => {
      const result = await load("fanout", "--connections", "5", "--mqtt", mqtt);
      assert.ok(numberAt(result, "delivered") > 0);
      assert.equal(numberAt(result, "lost"), 0);
    });

    test(`loses no message of pairs, MQTT ${mqtt}`, async () => {
      const result = await load("pairs", "--connections", "3", "--mqtt", mqtt);
      assert.ok(numberAt(result, "acknowledged") > 0);
      assert.equal(numberAt(result, "lost"), 0);
    });

    test(`loses no message of a fan-in, MQTT ${mqtt}`, async () => {
      const result = await load("fanin", "--connections", "4", "--mqtt", mqtt);
      assert.ok(numberAt(result, "acknowledged") > 0);
      assert.equal(numberAt(result, "lost"), 0);
    });

    test(`loses no message to the durable sessions that are there, MQTT ${mqtt}`, async () => {
      const words = ["--connections", "4", "--readers", "4", "--mqtt", mqtt];
      const result = await load("durable", ...words);
      assert.ok(numberAt(result, "durablePerSecond") > 0);
      assert.ok(numberAt(result, "latencyMs.samples") > 0);
      assert.equal(numberAt(result, "lost"), 0);
    });

    test(`delivers each message of the ward to each reader, at the asked rate, MQTT ${mqtt}`, async () => {
      const words = ["--connections", "2", "--readers", "3", "--rate", "200", "--mqtt", mqtt];
      const result = await load("ward", ...words);
      assert.equal(numberAt(result, "lost"), 0);
      assert.ok(numberAt(result, "published") > 0);
      assert.ok(numberAt(result, "latencyMs.samples") >= numberAt(result, "delivered"));
      assert.ok(numberAt(result, "latencyMs.p50") > 0);
    });
  }

  test("measures the ward as often as it is told, on the same connections", async () => {
    const words = ["--port", `${broker?.port}`, "--pid", `${broker?.pid}`, "--led"];
    const ward = ["ward", "--connections", "2", "--readers", "3", "--rate", "200", ...words];
    const who = ["--service", deployment.service, "--devices", deployment.devices];
    const length = ["--topic", deployment.ward, "--seconds", "0.3", "--warmup", "0.1"];
    await using led = leadLoad(generator, [...ward, ...who, ...length]);
    await led.line(60_000);
    for (let i = 0; i < 2; i += 1) {
      led.begin();
      const result = await led.line(60_000);
      assert.ok(numberAt(result, "latencyMs.p99") > 0);
      assert.equal(numberAt(result, "lost"), 0);
    }
  });

  test("connects again and again, with TLS 1.3 and the suite it was told", async () => {
    const result = await load("connect", "--ciphers", "TLS_AES_128_GCM_SHA256");
    assert.ok(numberAt(result, "connects") > 0);
    assert.equal(result["tls"], "TLSv1.3 TLS_AES_128_GCM_SHA256 prime256v1");
  });
});

describe("a flood of bad tokens at a sink", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "wardmq-flood-"));
  const deployment = {
    directory: join(folder, "deployment"),
    service: join(folder, "load"),
    devices: join(folder, "devices"),
  };
  const token = join(folder, "token");
  const identity = join(folder, "sink");
  let generator = "";

  before(() => {
    generator = loadGenerator(() => {});
    makeCredentials(deployment);
    writeServerIdentity(identity, deployment);
    writeFileSync(token, `e30.e30.${"A".repeat(86)}`);
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  const words = ["--service", deployment.service, "--token", token, "--connections", "5"];

  async function flooded(load: string, mqtt: string, ...sinkWords: string[]): Promise<LoadResult> {
    const serves = ["sink", "--service", identity, "--mqtt", mqtt, ...sinkWords];
    await using sink: Led = leadLoad(generator, serves, "as others");
    const port = numberAt(await sink.line(60_000), "port");
    const at = ["--port", `${port}`, "--mqtt", mqtt, "--rate", "500", "--seconds", "1", "--led"];
    await using flood: Led = leadLoad(generator, [load, ...words, ...at], "as others");
    await flood.line(60_000);
    flood.begin();
    return await flood.line(60_000); // before both of them end
  }

  for (const mqtt of ["3", "5"]) {
    test(`goes on when each CONNECT is refused, and counts them, MQTT ${mqtt}`, async () => {
      const result = await flooded("connect-flood", mqtt, "--refuse");
      assert.ok(numberAt(result, "refused") > 0);
      assert.equal(numberAt(result, "closed"), 0);
      assert.equal(numberAt(result, "shed"), 0);
      assert.ok(numberAt(result, "opened") >= numberAt(result, "connects"));
    });

    test(`sends over connections that stay open, MQTT ${mqtt}`, async () => {
      const result = await flooded("flood", mqtt);
      assert.ok(numberAt(result, "published") > 0);
      assert.equal(numberAt(result, "open"), 5);
    });
  }

  test("says that a token has no signature", async () => {
    writeFileSync(join(folder, "bad"), "no token");
    await assert.rejects(
      runLoad(generator, ["flood", ...words, "--token", join(folder, "bad")], 60_000),
      /a signed token is needed/,
    );
  });
});

/** A root, an issuing CA, a server, the service `load` and two devices, where the deployment has them. */
function makeCredentials({
  directory,
  service,
  devices: devicesFolder,
}: Pick<Deployment, "directory" | "service" | "devices">): void {
  const [control, server] = [join(directory, "control"), join(directory, "broker")];
  for (const path of [control, server]) mkdirSync(path, { recursive: true });
  const root = { key: join(control, "root-ca.key"), cert: join(control, "root-ca.pem") };
  const issuing = { key: join(control, "issuing-ca.key"), cert: join(control, "issuing-ca.pem") };
  const ca = ["basicConstraints=critical,CA:true", "keyUsage=critical,keyCertSign,cRLSign"];
  certificate("root", root, undefined, ca);
  certificate("issuing", issuing, root, ca);
  const files = { key: join(server, "server.key"), cert: join(server, "server.pem") };
  certificate("localhost", files, issuing, [
    "subjectAltName=DNS:localhost",
    "extendedKeyUsage=serverAuth",
  ]);
  const providers = new KeyProviders(keyEnvironment({}));
  wrapPlainKeyFile(files.key, providers.create({ name: "file" }, server));
  for (const [name, path] of [
    ["load", service],
    ...devices.map((id) => [id, join(devicesFolder, id)]),
  ] as const) {
    if (name === undefined || path === undefined) continue;
    mkdirSync(path, { recursive: true });
    const own = { key: join(path, "key.pem"), cert: join(path, "cert.pem") };
    certificate(name, own, issuing, ["extendedKeyUsage=clientAuth"]);
    writeFileSync(join(path, "ca.pem"), execFileSync("cat", [issuing.cert, root.cert]));
  }
}

interface KeyAndCertificate {
  readonly key: string;
  readonly cert: string;
}

function certificate(
  commonName: string,
  { key, cert }: KeyAndCertificate,
  issuer: KeyAndCertificate | undefined,
  extensions: readonly string[],
): void {
  const signedBy = issuer === undefined ? [] : ["-CA", issuer.cert, "-CAkey", issuer.key];
  const words = [
    ...[
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
    ],
    ...[
      "-subj",
      `/CN=${commonName}`,
      "-keyout",
      key,
      "-out",
      cert,
      "-config",
      "/dev/null",
      ...signedBy,
    ],
    ...extensions.flatMap((extension) => ["-addext", extension]),
  ];
  execFileSync("openssl", words, { stdio: "pipe", timeout: 20_000 });
}
