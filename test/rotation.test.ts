import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newCertificateRequest } from "./support/certificate-request.ts";
import { type Credential, type Deployment, startDeployment } from "./support/deployment.ts";
import { RawClient } from "./support/raw-client.ts";
import { openTls, tlsWire } from "./support/wire.ts";

const policy = `
topics: { schema: off }
roles:
  device:
    publish:
      - "{org}/{site}/{ward}/device/{id}/telemetry"
      - { filter: "{org}/{site}/{ward}/device/{id}/lifecycle", retain: allowed }
    subscribe: ["{org}/{site}/{ward}/device/{id}/#"]
bindings:
  - { role: device, to: "device:*" }
`;

async function open(deployment: Deployment, credential: Credential): Promise<RawClient> {
  return new RawClient(tlsWire(await openTls(deployment.mqtts, credential)), 5);
}

/** A device that is connected and listens on its own topics. */
async function connect(deployment: Deployment, uuid: string, credential: Credential) {
  const client = await open(deployment, credential);
  const { reasonCode } = await client.connect({ clientId: uuid });
  assert.equal(reasonCode, 0);
  await client.subscribe(`hospital/north/icu/device/${uuid}/#`, { qos: 1 });
  return client;
}

/** A message makes it through the broker and back: the session lives. */
async function echoes(client: RawClient, uuid: string, text: string): Promise<void> {
  const topic = `hospital/north/icu/device/${uuid}/telemetry`;
  assert.equal(await client.publish(topic, text, { qos: 1 }), 0);
  for (;;) {
    const message = await client.receive();
    if (message.topic === topic && message.text === text) return;
  }
}

async function renew({ command }: Deployment, uuid: string): Promise<Credential> {
  const subject = `device:${uuid}`;
  const { key, request } = await newCertificateRequest();
  const issued = await command("credential", { subject, certificateRequest: request });
  return { subject, key, cert: issued.certificateChain, ca: issued.trustAnchors };
}

async function isRefused(deployment: Deployment, credential: Credential): Promise<boolean> {
  try {
    const client = await open(deployment, credential);
    await client.connect({ clientId: credential.subject.slice("device:".length) });
    client.wire.socket.destroy();
    return false;
  } catch {
    return true;
  }
}

const soon = { timeout: 240_000 };

describe("a rotation under load", soon, () => {
  test(
    "of the issuing CA, the server certificate with it, and of the feed key drops no session",
    soon,
    async () => {
      await using deployment = await startDeployment({ policy, services: [], devices: 10 });
      const { devices, command, credential } = deployment;
      const clients = await Promise.all(
        devices.map((uuid) => connect(deployment, uuid, credential(uuid))),
      );
      const allEcho = (text: string) =>
        Promise.all(clients.map((client, i) => echoes(client, devices[i] ?? "", text)));
      for (const what of ["issuing-ca", "feed-key"] as const) {
        for (const step of ["staged", "used"]) {
          assert.equal((await command("rotation.step", { what })).step, step);
          await allEcho(`${what} ${step}`);
        }
      }
      assert.equal((await command("rotation.step", { what: "feed-key" })).step, "idle");
      const [first = ""] = devices;
      // New sessions too, with a certificate of either CA, to a server whose certificate is of the new one.
      const second = await connect(deployment, first, await renew(deployment, first));
      await echoes(second, first, "renewed");
      // What control says with the new key still counts.
      await command("revoke", { subject: `device:${devices[1]}` });
      assert.ok(await isRefused(deployment, credential(devices[1] ?? "")));
    },
  );

  test(
    "of the fleet tells every device, online or not, and lets nobody in with the former CA at the end",
    soon,
    async () => {
      await using deployment = await startDeployment({ policy, services: [], devices: 3 });
      const { devices, command, credential } = deployment;
      const [online = "", alsoOnline = "", offline = ""] = devices;
      const before = await Promise.all(
        [online, alsoOnline].map((uuid) => connect(deployment, uuid, credential(uuid))),
      );
      const because = "the key of the CA was copied";
      const deadline = Date.now() + 25_000;
      await command("fleet.rotate", { because, deadline });
      for (const client of before) {
        const told = await client.receive();
        assert.match(told.topic, /\/lifecycle$/);
        const said = JSON.parse(told.text) as Record<string, unknown>;
        assert.deepEqual([said["action"], said["because"]], ["re-enrol", because]);
      }
      const late = await connect(deployment, offline, credential(offline));
      assert.match((await late.receive()).text, /re-enrol/);
      const renewed = await renew(deployment, online);
      const after = await connect(deployment, online, renewed);
      await echoes(after, online, "after");
      // Two never renew: the deadline ends their sessions, and the door stays shut.
      const patience = deadline + 60_000;
      while ((await command("fleet.status", {})).isRunning) {
        assert.ok(Date.now() < patience);
        await new Promise((next) => setTimeout(next, 200));
      }
      await late.expectRefusal(0x98);
      await before[1]?.expectRefusal(0x98);
      for (const uuid of devices) assert.ok(await isRefused(deployment, credential(uuid)), uuid);
      await echoes(after, online, "still");
      const status = await command("fleet.status", {});
      assert.equal(status.isRunning, false);
    },
  );

  test(
    "of the fleet reaches devices under the policy that init writes, in quarantine too, and ends when all have renewed",
    soon,
    async () => {
      await using deployment = await startDeployment({ policy: null, services: [], devices: 2 });
      const { devices, command, credential } = deployment;
      const [free = "", quarantined = ""] = devices;
      const lifecycle = (uuid: string) => `hospital/north/icu/device/${uuid}/lifecycle`;
      await command("quarantine", { subject: `device:${quarantined}`, because: "it beeps" });
      await command("fleet.rotate", { because: "the key of the CA was copied" });
      for (const [uuid, other] of [
        [free, quarantined],
        [quarantined, free],
      ] as const) {
        const client = await open(deployment, credential(uuid));
        assert.equal((await client.connect({ clientId: uuid })).reasonCode, 0);
        assert.equal(await client.subscribe(lifecycle(other), { qos: 1 }), 0x87);
        assert.equal(await client.subscribe(lifecycle(uuid), { qos: 1 }), 1);
        const told = await client.receive();
        assert.equal(told.topic, lifecycle(uuid));
        assert.match(told.text, /re-enrol/);
      }
      for (const uuid of devices) await renew(deployment, uuid);
      const patience = Date.now() + 120_000;
      while ((await command("fleet.status", {})).isRunning) {
        assert.ok(Date.now() < patience);
        await new Promise((next) => setTimeout(next, 200));
      }
      for (const uuid of devices) assert.ok(await isRefused(deployment, credential(uuid)), uuid);
    },
  );
});
