import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type Deployment, startDeployment } from "../support/deployment.ts";
import { RawClient } from "../support/raw-client.ts";
import { openTls, tlsWire } from "../support/wire.ts";
import { eventsWithMore, startBroker } from "./broker-events.ts";

const expiry = { sessionExpiryInterval: 1_000 };
const timeout = 120_000;

async function open(deployment: Deployment, clientId: string): Promise<RawClient> {
  const socket = await openTls(deployment.mqtts, deployment.credential("tester"));
  const client = new RawClient(tlsWire(socket), 5);
  await client.connect({ clientId, cleanStart: false, properties: expiry });
  return client;
}

/** A session that is away and is owed one message. */
async function owe(deployment: Deployment, clientId: string, topic: string, text: string) {
  const reader = await open(deployment, clientId);
  await reader.subscribe(topic, { qos: 1 });
  reader.wire.socket.destroy();
  const writer = await open(deployment, `${clientId}-writer`);
  await writer.publish(topic, text, {
    qos: 1,
    properties: { userProperty: [["property", `${text}-property`]] },
  });
  await writer.publish(`${topic}/retained`, `${text}-retained`, { qos: 1, retain: true });
  writer.wire.socket.destroy();
}

async function textFor(deployment: Deployment, clientId: string): Promise<string> {
  const client = await open(deployment, clientId);
  const packet = await client.expect("PUBLISH");
  client.wire.socket.destroy();
  return Buffer.from(packet.payload).toString();
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

describe("a deployment's broker", () => {
  test("leaves nothing of its clients in the clear on disk, and nothing for others to read", {
    timeout,
  }, async () => {
    await using deployment = await startDeployment({ devices: 0 });
    await owe(deployment, "canary-client", "canary-topic", "canary-payload");
    for (const isRunning of [true, false]) {
      const files = filesBelow(join(deployment.directory, "broker"));
      assert.ok(files.some((path) => path.endsWith("journal.db")));
      for (const path of files) {
        assert.equal(readFileSync(path).includes("canary"), false, path);
        if (path.includes("/state/")) assert.equal(statSync(path).mode & 0o077, 0, path);
      }
      if (isRunning) await deployment.killBroker();
    }
    await deployment.startBroker();
    assert.equal(await textFor(deployment, "canary-client"), "canary-payload");
  });

  test("takes up all that was acknowledged where limits are lower now, says which, and lets its owner have it", {
    timeout,
  }, async () => {
    await using deployment = await startDeployment({ devices: 0 });
    await owe(deployment, "reader", "topic", "first");
    const writer = await open(deployment, "writer");
    const large = "x".repeat(900_000);
    for (let n = 0; n < 3; n += 1) {
      assert.equal(await writer.publish("topic", large, { qos: 1 }), 0);
    }
    await deployment.killBroker();
    const limits = ["queuedBytesTotal", "storedBytes", "memoryBytes"];
    const settings = join(deployment.directory, "wardmq.yaml");
    const text = readFileSync(settings, "utf8").replace(
      /^limits:$/m,
      ["limits:", ...limits.map((name) => `  ${name}: 1048576`)].join("\n"),
    );
    writeFileSync(settings, text);
    await deployment.command("reload", {});
    const events = await startBroker(deployment);
    const beyond = events.filter(({ type }) => type === "store-beyond-limit");
    assert.deepEqual(beyond.map(({ limit }) => limit).sort(), limits.toSorted());

    const stranger = new RawClient(
      tlsWire(await openTls(deployment.mqtts, deployment.credential("tester"))),
      5,
    );
    assert.equal((await stranger.connect({ clientId: "new" })).reasonCode, 0x97);
    const reader = await open(deployment, "reader");
    for (const expected of ["first", large, large, large]) {
      const { payload, packetId = 0 } = await reader.expect("PUBLISH");
      assert.equal(Buffer.from(payload).toString(), expected);
      reader.send({ type: "PUBACK", packetId, reasonCode: 0, properties: {} });
    }
  });

  test("starts without control, from the last feed it kept", {
    timeout,
  }, async () => {
    await using deployment = await startDeployment({ devices: 0 });
    await owe(deployment, "reader", "topic", "text");
    await deployment.killBroker();
    const exited = once(deployment.controlProcess, "exit");
    deployment.controlProcess.kill("SIGKILL");
    await exited;
    await deployment.startBroker();
    assert.equal(await textFor(deployment, "reader"), "text");
  });

  test("seals its store under a new key while it serves", { timeout }, async () => {
    await using deployment = await startDeployment({ devices: 0 });
    await owe(deployment, "reader", "topic", "text");
    const keys = () =>
      JSON.parse(readFileSync(join(deployment.directory, "broker", "keys.json"), "utf8")).keys;
    const [{ id: former }] = keys();
    const { brokers, unconfirmed } = await deployment.command("state.rekey", {});
    assert.deepEqual(brokers[0]?.destroyed, [former]);
    assert.equal(unconfirmed, 0);
    assert.deepEqual(
      keys().map(({ state }: { state: string }) => state),
      ["current", "destroyed"],
    );
    const events = await eventsWithMore(deployment, "state-key-destroyed", 1);
    assert.deepEqual(
      events.flatMap(({ type, details }) =>
        type === "state-key-destroyed" && details?.["store"] === "broker" ? [details["keyId"]] : [],
      ),
      [former],
    );
    await deployment.killBroker();
    await deployment.startBroker();
    assert.equal(await textFor(deployment, "reader"), "text");
  });
});
