import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "node:tls";
import { Stage } from "../conformance/stage.ts";
import { type Deployment, type DeploymentOptions, startDeployment } from "../support/deployment.ts";
import { commandOnFiles, end, restartControl } from "./control-process.ts";
import { eventsOf, eventWhere, settledEvents } from "./events.ts";
import { publish, received, subscribe, waiting } from "./scene.ts";

const ways = [
  { via: "mqtts", version: 5 },
  { via: "mqtts", version: 4 },
  { via: "wss", version: 5 },
  { via: "wss", version: 4 },
] as const;

const policyOf = (reader: string, writer: string) => `
topics: { schema: off }
roles:
  tester: { publish: [{ filter: "#", retain: allowed }], subscribe: ["#"] }
  reader: { subscribe: ${reader} }
  writer: { publish: ${writer} }
bindings:
  - { role: tester, to: "service:tester" }
  - { role: reader, to: "service:reader" }
  - { role: writer, to: "service:writer" }
`;
const everything = policyOf('["one", "two"]', '["one", "two"]');

async function withDeployment(
  run: (deployment: Deployment, stage: Stage) => Promise<void>,
  options: DeploymentOptions = {},
): Promise<void> {
  const services = ["tester", "reader", "writer"];
  await using deployment = await startDeployment({ policy: everything, services, ...options });
  const stage = new Stage(deployment, 5);
  try {
    await run(deployment, stage);
  } finally {
    stage.end();
  }
}

/** Writes policy.yaml and lets control read it, as `kill -HUP` does. */
async function reloadPolicy(deployment: Deployment, text: string): Promise<void> {
  await writeFile(join(deployment.directory, "policy.yaml"), text);
  deployment.controlProcess.kill("SIGHUP");
}

const countOf = async (deployment: Deployment, type: string) =>
  (await eventsOf(deployment)).filter((event) => event.type === type).length;

async function until(what: string, isDone: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!(await isDone())) {
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
    await delay(25);
  }
}

describe("a policy that control reads again on SIGHUP", () => {
  test("ends those who lost a subscription, and nobody else", () =>
    withDeployment(async (deployment, stage) => {
      const losers = await Promise.all(
        ways.map((way) => stage.connect({ as: "reader", ...way, ...waiting })),
      );
      for (const client of losers) {
        for (const filter of ["one", "two"])
          assert.equal(await subscribe(client, filter), "granted");
      }
      const idle = await stage.connect({ as: "reader" });
      const writer = await stage.connect({ as: "writer" });
      const keeper = await stage.connect();
      await keeper.subscribe("#");
      await reloadPolicy(deployment, policyOf('["one"]', '["one"]'));
      for (const client of losers) await client.expectRefusal(0x87);
      for (const client of [idle, writer, keeper]) await client.expectQuiet();
      assert.equal(await publish(writer, "two", "x", { qos: 1 }), "0x87");
      assert.equal(await publish(writer, "one", "still granted", { qos: 1 }), "accepted");
      assert.equal((await keeper.receive()).text, "still granted");
      const events = await settledEvents(deployment, keeper);
      const cut = events.filter(({ type }) => type === "subscribe-denied");
      const times = cut.reduce((sum, { count = 1 }) => sum + count, 0);
      assert.deepEqual(
        [new Set(cut.map(({ topic }) => topic)), times],
        [new Set(["two"]), ways.length],
      );
    }));

  test("leaves a session its other subscriptions and what waits for them", () =>
    withDeployment(async (deployment, stage) => {
      const options = { as: "reader", clientId: "reader", ...waiting };
      const reader = await stage.connect(options);
      for (const filter of ["one", "two"]) await subscribe(reader, filter);
      await reader.disconnect();
      const publisher = await stage.connect();
      for (const topic of ["one", "two"]) await publisher.publish(topic, topic, { qos: 1 });
      await reloadPolicy(deployment, policyOf('["one"]', '["one"]'));
      await eventWhere(deployment, "the change", ({ type }) => type === "subscribe-denied");
      for (const topic of ["one", "two"])
        await publisher.publish(topic, `later ${topic}`, { qos: 1 });
      const again = await stage.connect(options);
      assert.equal(again.connack.sessionPresent, true);
      const texts = [(await again.receive()).text, (await again.receive()).text];
      assert.deepEqual(texts, ["one", "later one"]);
      await again.expectQuiet();
    }));

  test("changes nothing when it is broken, and says where; a whole one counts afterwards", () =>
    withDeployment(async (deployment, stage) => {
      const reader = await stage.connect({ as: "reader" });
      assert.equal(await subscribe(reader, "one"), "granted");
      const writer = await stage.connect({ as: "writer" });
      const broken = [
        "roles: [",
        "rolls: {}",
        "",
        `${everything}  - { role: nobody, to: "service:*" }\n`,
      ];
      for (const [i, text] of broken.entries()) {
        await reloadPolicy(deployment, text);
        await until(
          `refusal ${i + 1}`,
          async () => (await countOf(deployment, "policy-refused")) > i,
        );
      }
      const refusals = (await eventsOf(deployment)).filter(({ type }) => type === "policy-refused");
      for (const { why } of refusals) assert.match(why ?? "", /policy\.yaml/);
      assert.equal(await publish(writer, "one", "as before", { qos: 1 }), "accepted");
      assert.equal((await reader.receive()).text, "as before");
      assert.equal(await publish(writer, "three", "x", { qos: 1 }), "0x87");
      assert.equal(await subscribe(reader, "#"), "0x87");
      await reloadPolicy(deployment, policyOf('["two"]', '["two"]'));
      await reader.expectRefusal(0x87);
      assert.equal(await publish(writer, "one", "x", { qos: 1 }), "0x87");
    }));
});

describe("a device that lost a subscription", () => {
  const own = "{org}/{site}/{ward}/device/{id}";
  const devices = (channels: string) => `
topics: { schema: off }
roles:
  device: { publish: ["${own}/lifecycle"], subscribe: [${channels}] }
bindings:
  - { role: device, to: "device:*" }
`;
  const [before, after] = [
    devices(`"${own}/config", "${own}/lifecycle"`),
    devices(`"${own}/lifecycle"`),
  ];

  test("is told on its lifecycle topic and stays, where the settings say so", () =>
    withDeployment(
      async (deployment, stage) => {
        const [uuid = ""] = deployment.devices;
        const at = `hospital/north/icu/device/${uuid}`;
        for (const way of ways) {
          await reloadPolicy(deployment, before);
          const device = await stage.connect({ as: uuid, clientId: uuid, ...way });
          await until(
            "its subscription",
            async () => (await subscribe(device, `${at}/config`)) === "granted",
          );
          assert.equal(await subscribe(device, `${at}/lifecycle`), "granted");
          await reloadPolicy(deployment, after);
          const { text, topic } = await device.receive();
          assert.equal(topic, `${at}/lifecycle`);
          assert.deepEqual(JSON.parse(text), {
            action: "subscriptions-ended",
            filters: [`${at}/config`],
          });
          await device.settle();
          await device.disconnect();
        }
      },
      { policy: before, devices: 1, settings: { lostSubscription: "lifecycle" } },
    ));
});

test("a grant that was there when the broker started ends by itself", () =>
  withDeployment(async (deployment, stage) => {
    await deployment.killBroker();
    const until = new Date(Date.now() + 8_000).toISOString().replace(/\.\d+Z$/, "Z");
    const grant = `grants: [{ role: reader, to: "service:tester", until: "${until}", reason: a test, approvedBy: a test }]`;
    await writeFile(
      join(deployment.directory, "policy.yaml"),
      policyOf('["one"]', '["one"]').replace(', subscribe: ["#"]', "") + grant,
    );
    await deployment.command("reload", {});
    await deployment.startBroker();
    const reader = await stage.connect();
    // On a machine that is so slow that the grant is over by now, there is nothing left to see.
    if ((await subscribe(reader, "one")) === "granted") await reader.expectRefusal(0x87);
  }));

test("a policy that is read again under load never denies what it permits", () =>
  withDeployment(async (deployment, stage) => {
    const reader = await stage.connect({ as: "reader" });
    await subscribe(reader, "one");
    const writer = await stage.connect({ as: "writer" });
    let isOver = false;
    const load = (async () => {
      const answers = new Set<string>();
      while (!isOver) answers.add(await publish(writer, "one", "x", { qos: 1 }));
      return answers;
    })();
    for (let i = 0; i < 50; i++) {
      const unrelated = `  - { role: writer, to: "service:unrelated-${i}" }\n`;
      await writeFile(join(deployment.directory, "policy.yaml"), everything + unrelated);
      assert.deepEqual((await deployment.command("reload", {})).changed, ["policy.yaml"]);
      await (await stage.connect()).disconnect();
    }
    isOver = true;
    assert.deepEqual(await load, new Set(["accepted"]));
    assert.equal((await received(reader)).ending, undefined);
    assert.equal(await countOf(deployment, "publish-denied"), 0);
  }));

describe("without control", () => {
  test("the broker serves on, remembers what it refused, and hears of revocations when control is back", () =>
    withDeployment(async (deployment, stage) => {
      const clients = await Promise.all(ways.map((way) => stage.connect(way)));
      const writer = await stage.connect({ as: "writer" });
      const reader = await stage.connect({ as: "reader" });
      await subscribe(reader, "one");
      await end(deployment.controlProcess, "SIGKILL");

      assert.equal(await publish(writer, "one", "served on", { qos: 1 }), "accepted");
      assert.equal((await reader.receive()).text, "served on");
      assert.equal(await publish(writer, "three", "x", { qos: 1 }), "0x87");
      const late = await stage.connect({ via: "wss" });
      assert.equal(late.connack.reasonCode, 0);
      await commandOnFiles(deployment, "revoke", { subject: "service:writer" });
      assert.equal(await publish(writer, "one", "not known yet", { qos: 1 }), "accepted");
      assert.equal((await reader.receive()).text, "not known yet");

      await using _ = await restartControl(deployment);
      await writer.expectRefusal(0x98);
      for (const client of [...clients, late, reader]) await client.expectQuiet();
      await assert.rejects(stage.connect({ as: "writer" }));
      await eventWhere(
        deployment,
        "the denial of the time without control",
        ({ type, topic }) => type === "publish-denied" && topic === "three",
      );
      await eventWhere(deployment, "the loss of control", ({ type }) => type === "feed-lost");
      const answer = await deployment.command("revoke", { subject: "service:reader" });
      assert.equal(answer.brokers[0]?.connectionsClosed, 1);
      await reader.expectRefusal(0x98);
    }));

  const openssl = spawnSync("openssl", ["version"]).status === 0;
  test(
    "a server certificate that became unusable does not keep revocations from the broker",
    { skip: !openssl && "openssl is not installed" },
    () =>
      withDeployment(async (deployment, stage) => {
        const writer = await stage.connect({ as: "writer" });
        const reader = await stage.connect({ as: "reader" });
        await end(deployment.controlProcess, "SIGKILL");
        await commandOnFiles(deployment, "revoke", { subject: "service:writer" });
        // An operator's own certificate, which control leaves alone; it names none of the hosts.
        const subject = ["-subj", "/CN=elsewhere.example", "-days", "1"];
        const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        const files = ["-keyout", "broker/server.key", "-out", "broker/server.pem"];
        const made = spawnSync("openssl", ["req", "-x509", ...key, ...files, ...subject], {
          cwd: deployment.directory,
        });
        assert.equal(made.status, 0, String(made.stderr));
        await using _ = await restartControl(deployment);
        await writer.expectRefusal(0x98);
        await reader.expectQuiet();
      }),
  );
});

describe("the server certificate", () => {
  test("is replaced for new connections while open ones stay", () =>
    withDeployment(async (deployment, stage) => {
      const clients = await Promise.all(ways.map((way) => stage.connect(way)));
      const before = await serverCertificate(deployment, "localhost");
      const settings = join(deployment.directory, "wardmq.yaml");
      const text = await readFile(settings, "utf8");
      await writeFile(
        settings,
        text.replace(/(\s+)- "?localhost"?/, "$1- localhost$1- mqtt.hospital.example"),
      );
      deployment.controlProcess.kill("SIGHUP");
      await until("the new certificate", async () => {
        const now = await serverCertificate(deployment, "mqtt.hospital.example").catch(
          () => before,
        );
        return now !== before;
      });
      for (const client of clients) await client.expectQuiet();
      assert.notEqual(await serverCertificate(deployment, "localhost"), before);
      assert.equal((await stage.connect()).connack.reasonCode, 0);
      assert.equal(await countOf(deployment, "feed-refused"), 0);
      assert.equal(await countOf(deployment, "disconnected"), 0);
    }));

  test("stays the former one when its files are damaged, for open and for new connections", () =>
    withDeployment(async (deployment, stage) => {
      const clients = await Promise.all(ways.map((way) => stage.connect(way)));
      const before = await serverCertificate(deployment, "localhost");
      await writeFile(join(deployment.directory, "broker/server.pem"), "no certificate");
      deployment.brokerProcess.kill("SIGHUP");
      await eventWhere(deployment, "the refusal", ({ type }) => type === "settings-refused");
      assert.equal(await serverCertificate(deployment, "localhost"), before);
      for (const client of clients) await client.expectQuiet();
      assert.equal((await stage.connect()).connack.reasonCode, 0);
    }));
});

/** The fingerprint of the certificate that the broker shows for a host. */
async function serverCertificate(
  { mqtts, credential }: Deployment,
  servername: string,
): Promise<string> {
  const { key, cert, ca } = credential("tester");
  const socket = connect({ ...mqtts, servername, key, cert, ca });
  socket.on("error", () => {});
  try {
    await once(socket, "secureConnect", { signal: AbortSignal.timeout(10_000) });
    return socket.getPeerX509Certificate()?.fingerprint256 ?? "none";
  } finally {
    socket.destroy();
  }
}

describe("SIGTERM", () => {
  test("ends the broker in order: 0x8B to every client of 5.0, the end for others, exit code 0", () =>
    withDeployment(async (deployment, stage) => {
      const clients = await Promise.all([...ways, ...ways].map((way) => stage.connect(way)));
      const persistent = await stage.connect(waiting);
      await persistent.subscribe("#", { qos: 1 });
      const exited = once(deployment.brokerProcess, "exit");
      deployment.brokerProcess.kill("SIGTERM");
      for (const client of [...clients, persistent]) await client.expectRefusal(0x8b);
      assert.deepEqual(await exited, [0, null]);
      await eventWhere(deployment, "the end", ({ type }) => type === "broker-stopping");
    }));

  test("ends the broker also where nobody reads and nobody answers", () =>
    withDeployment(async (deployment, stage) => {
      const deaf = await stage.connect();
      await deaf.subscribe("#", { qos: 0 });
      deaf.wire.socket.pause();
      const silent = await stage.open();
      silent.send("10 40");
      const publisher = await stage.connect();
      for (let i = 0; i < 20; i++)
        await publisher.publish("flood", Buffer.alloc(200_000), { qos: 1 });
      const exited = once(deployment.brokerProcess, "exit");
      deployment.brokerProcess.kill("SIGTERM");
      assert.deepEqual(await exited, [0, null]);
      const { ending } = await received(publisher);
      assert.equal(ending, "0x8b");
    }));

  test("ends control with 0, and the broker serves on", () =>
    withDeployment(async (deployment, stage) => {
      const client = await stage.connect();
      const exited = once(deployment.controlProcess, "exit");
      deployment.controlProcess.kill("SIGTERM");
      assert.deepEqual(await exited, [0, null]);
      await client.expectQuiet();
      assert.equal((await stage.connect()).connack.reasonCode, 0);
    }));
});
