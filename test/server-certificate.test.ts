import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "node:tls";
import { KeyProviders, keyEnvironment, openPrivateKeyFile, readPrivateKeyFile } from "@wardmq/keys";
import { end, restartControl } from "./authorization/control-process.ts";
import { type Deployment, startDeployment } from "./support/deployment.ts";
import { RawClient } from "./support/raw-client.ts";
import { openTls, tlsWire } from "./support/wire.ts";

const minutes = { timeout: 240_000 };

/** The certificate that the broker shows to a new connection, verified to the deployment's root. */
async function shown({ mqtts, credential }: Deployment): Promise<X509Certificate> {
  const { key, cert, ca } = credential("tester");
  const options = { ...mqtts, servername: "localhost", key, cert, ca, ALPNProtocols: ["mqtt"] };
  const socket = connect(options);
  socket.on("error", () => {});
  try {
    await once(socket, "secureConnect", { signal: AbortSignal.timeout(30_000) });
    assert.ok(socket.authorized, String(socket.authorizationError));
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) throw new Error("the broker showed no certificate");
    return certificate;
  } finally {
    socket.destroy();
  }
}

async function connected(deployment: Deployment, clientId: string): Promise<RawClient> {
  const client = new RawClient(
    tlsWire(await openTls(deployment.mqtts, deployment.credential("tester"))),
    5,
  );
  assert.equal((await client.connect({ clientId })).reasonCode, 0);
  await client.subscribe(`echo/${clientId}`, { qos: 1 });
  return client;
}

async function echoes(client: RawClient, clientId: string, text: string): Promise<void> {
  assert.equal(await client.publish(`echo/${clientId}`, text, { qos: 1 }), 0);
  assert.equal((await client.receive()).text, text);
}

const keyOf = ({ directory }: Deployment) => join(directory, "broker/server.key");

/** Key and certificate on the disk belong together, and the key is wrapped. */
function assertIsPair(deployment: Deployment): void {
  const pem = readFileSync(join(deployment.directory, "broker/server.pem"));
  const { publicKey } = new X509Certificate(pem);
  const spki = publicKey.export({ type: "spki", format: "der" }).toString("base64");
  assert.equal(readPrivateKeyFile(keyOf(deployment)).publicKey, spki);
}

describe("the certificate that the broker shows", minutes, () => {
  test("has a new key with every rotation, and no session is dropped", minutes, async () => {
    await using deployment = await startDeployment({ devices: 0 });
    const names = ["a", "b", "c", "d", "e"];
    const clients = await Promise.all(names.map((name) => connected(deployment, name)));
    const seen = new Set([(await shown(deployment)).serialNumber]);
    const keys = new Set([readPrivateKeyFile(keyOf(deployment)).publicKey]);
    for (let round = 1; round <= 4; round += 1) {
      const { servers } = await deployment.command("rotation.step", { what: "server" });
      const now = await shown(deployment);
      assert.equal(servers?.[0]?.serialNumber, now.serialNumber);
      seen.add(now.serialNumber);
      keys.add(readPrivateKeyFile(keyOf(deployment)).publicKey);
      assertIsPair(deployment);
      await Promise.all(
        clients.map((client, i) => echoes(client, names[i] ?? "", `round ${round}`)),
      );
    }
    assert.deepEqual([seen.size, keys.size], [5, 5]);
    const twice = await Promise.all(
      [1, 2].map(() => deployment.command("rotation.step", { what: "server" })),
    );
    assert.ok(twice.every(({ servers }) => servers?.length === 1));
  });

  test(
    "is the former or the new one, whole, when the broker is killed while it is replaced",
    minutes,
    async () => {
      await using deployment = await startDeployment({ devices: 0 });
      for (let round = 0; round < 6; round += 1) {
        const step = deployment.command("rotation.step", { what: "server" }).catch(() => {});
        await delay(round * 3); // from before the request to after the answer
        await deployment.killBroker();
        await step;
        await deployment.startBroker();
        assertIsPair(deployment);
        await shown(deployment);
      }
    },
  );

  test("stays while control is away, also over a start of the broker", minutes, async () => {
    await using deployment = await startDeployment({ devices: 0 });
    const before = await shown(deployment);
    await end(deployment.controlProcess, "SIGKILL");
    await deployment.killBroker();
    await deployment.startBroker();
    assert.equal((await shown(deployment)).serialNumber, before.serialNumber);
    await using _ = await restartControl(deployment);
    const until = Date.now() + 60_000;
    for (;;) {
      const { servers } = await deployment.command("rotation.status", { what: "server" });
      if (servers?.[0]?.serialNumber === before.serialNumber) break;
      assert.ok(Date.now() < until, "the broker did not tell control what it shows");
      await delay(50);
    }
  });

  test("gets a new key where control once left one in the clear", minutes, async () => {
    await using deployment = await startDeployment({ devices: 0 });
    const before = await shown(deployment);
    await deployment.killBroker();
    const path = keyOf(deployment);
    const key = openPrivateKeyFile(path, new KeyProviders(keyEnvironment({})));
    writeFileSync(path, key.export({ type: "pkcs8", format: "pem" }));
    chmodSync(path, 0o600);
    await deployment.startBroker();
    const until = Date.now() + 60_000;
    while ((await shown(deployment)).serialNumber === before.serialNumber) {
      assert.ok(Date.now() < until, "the certificate was not replaced");
      await delay(50);
    }
    assert.doesNotMatch(readFileSync(path, "utf8"), /PRIVATE KEY/);
    assertIsPair(deployment);
  });
});
