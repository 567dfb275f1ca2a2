import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { newCertificateRequest } from "../support/certificate-request.ts";
import { type Credential, startDeployment } from "../support/deployment.ts";
import { RawClient } from "../support/raw-client.ts";
import { openTls, tlsWire } from "../support/wire.ts";
import { hasReceived, received, waiting } from "./scene.ts";

const deployment = await startDeployment({
  services: ["reader"],
  devices: 0,
  policy: `
topics: { schema: off }
roles:
  bedside-device:
    publish: ["{org}/{site}/{ward}/device/{id}/telemetry", "{org}/{site}/{ward}/device/{id}/lifecycle"]
    subscribe: ["{org}/{site}/{ward}/device/{id}/command"]
  reader: { publish: ["#"], subscribe: ["#"] }
bindings:
  - { role: bedside-device, to: "device:*" }
  - { role: reader, to: "service:reader" }
`,
});
after(() => deployment.stop());

interface Device extends Credential {
  readonly uuid: string;
  readonly topic: (channel: string, ward?: string) => string;
}

async function newDevice(): Promise<Device> {
  const { id } = await deployment.command("device.add", { site: "north", ward: "icu" });
  const uuid = id.slice("device:".length);
  const topic = (channel: string, ward = "icu") =>
    `hospital/north/${ward}/device/${uuid}/${channel}`;
  return { ...(await credentialFor(id)), uuid, topic };
}

async function credentialFor(subject: string): Promise<Credential> {
  const { key, request } = await newCertificateRequest();
  const issued = await deployment.command("credential", { subject, certificateRequest: request });
  return { subject, key, cert: issued.certificateChain, ca: issued.trustAnchors };
}

async function open(credential: Credential): Promise<RawClient> {
  return new RawClient(tlsWire(await openTls(deployment.mqtts, credential)), 5);
}

async function connected(device: Device, options: object = {}): Promise<RawClient> {
  const client = await open(device);
  assert.equal((await client.connect({ clientId: device.uuid, ...options })).reasonCode, 0);
  return client;
}

async function reader(filter: string): Promise<RawClient> {
  const client = await open(deployment.credential("reader"));
  await client.connect({ clientId: `reader-${Math.random()}` });
  await client.subscribe(filter, { qos: 1 });
  return client;
}

/** Whether a PUBLISH is accepted; that nobody subscribed (0x10) does not matter. */
async function mayPublish(client: RawClient, topic: string): Promise<boolean> {
  return (await client.publish(topic, "a message", { qos: 1 })) < 0x80;
}

const because = "a test";
const quarantine = ({ subject }: Device) => deployment.command("quarantine", { subject, because });
const release = ({ subject }: Device) => deployment.command("release", { subject, because });
const notAuthorized = 0x87;

describe("a device in quarantine", () => {
  test("connects, speaks and listens on its own lifecycle topic, and is denied everything else", async () => {
    const device = await newDevice();
    const watcher = await reader(device.topic("#"));
    await quarantine(device);
    const client = await connected(device, {
      will: { topic: device.topic("telemetry"), payload: "will" },
    });
    assert.equal(await client.publish(device.topic("telemetry"), "no", { qos: 1 }), notAuthorized);
    assert.equal(await client.subscribe(device.topic("command"), { qos: 1 }), notAuthorized);
    assert.equal(await client.subscribe(device.topic("lifecycle"), { qos: 1 }), 1);
    assert.equal(await client.publish(device.topic("lifecycle"), "yes", { qos: 1 }), 0);
    assert.equal((await watcher.receive()).text, "yes");
    client.drop();
    await watcher.expectQuiet(); // the will is withheld
  });

  test("loses what it had while it is connected, and has it again when it is released", async () => {
    const device = await newDevice();
    const client = await connected(device);
    await client.subscribe(device.topic("command"), { qos: 1 });
    const { brokers } = await quarantine(device);
    assert.equal(brokers[0]?.connectionsClosed, 1);
    await client.expectRefusal(notAuthorized);
    await release(device);
    const again = await connected(device);
    assert.equal(await again.subscribe(device.topic("command"), { qos: 1 }), 1);
    assert.equal(await mayPublish(again, device.topic("telemetry")), true);
  });

  test("gets nothing that waited for it, and what it had sent and waits for others is withheld", async () => {
    const device = await newDevice();
    const sleeper = await open(deployment.credential("reader"));
    await sleeper.connect({ clientId: "sleeper", ...waiting });
    await sleeper.subscribe(device.topic("telemetry"), { qos: 1 });
    await sleeper.disconnect();
    const client = await connected(device, waiting);
    await client.subscribe(device.topic("command"), { qos: 1 });
    await client.publish(device.topic("telemetry"), "from the device", { qos: 1 });
    await client.disconnect();
    const sender = await open(deployment.credential("reader"));
    await sender.connect({ clientId: "sender" });
    await sender.publish(device.topic("command"), "for the device", { qos: 1 });
    await quarantine(device);
    const awake = await open(deployment.credential("reader"));
    await awake.connect({ clientId: "sleeper", ...waiting, cleanStart: false });
    assert.equal(await hasReceived(awake, "from the device"), false);
    const back = await connected(device, { ...waiting, cleanStart: false });
    assert.equal(await hasReceived(back, "for the device"), false);
  });
});

test("a device that moves has the rights of its new ward at once, and none of the former", async () => {
  const device = await newDevice();
  const client = await connected(device);
  assert.equal(await mayPublish(client, device.topic("telemetry")), true);
  await deployment.command("device.move", { id: device.uuid, ward: "er", because });
  assert.equal(await mayPublish(client, device.topic("telemetry")), false);
  assert.equal(await mayPublish(client, device.topic("telemetry", "er")), true);
});

test("the older of two certificates ends when the device comes with the newer one", async () => {
  const device = await newDevice();
  const newer = { ...device, ...(await credentialFor(device.subject)) };
  (await connected(device)).drop();
  const client = await connected(newer);
  const isSuperseded = async () => {
    const { certificates } = await deployment.command("show", { subject: device.subject });
    return certificates.map(({ state }) => state).join() === "superseded,active";
  };
  for (let tries = 0; !(await isSuperseded()); tries += 1)
    assert.ok(tries < 2_000, "it never ends");
  await client.expectQuiet(); // its own connection stays
  await assert.rejects(connected(device));
});

test("after each command of a storm nothing of a subject passes that its state forbids", async () => {
  const devices = await Promise.all([1, 2, 3].map(newDevice));
  const watcher = await reader("hospital/north/+/device/+/telemetry");
  let told = 0;
  /** What a device may do by the model of this test. */
  const model = new Map(devices.map((device) => [device, "active"]));
  for (let round = 0; round < 12; round += 1) {
    const device = devices[round % devices.length] as Device;
    const before = model.get(device);
    const [command, state] =
      before === "active"
        ? (["quarantine", "quarantined"] as const)
        : (["release", "active"] as const);
    // Handshake, CONNECT and PUBLISH run while the command does: what they get is either side of it.
    const racing = connected(device)
      .then((client) => client.publish(device.topic("telemetry"), "racing", { qos: 1 }))
      .catch(() => undefined);
    await deployment.command(command, { subject: device.subject, because });
    model.set(device, state);
    await racing;
    await received(watcher);
    const client = await connected(device);
    const text = `told-${++told}`;
    const code = await client.publish(device.topic("telemetry"), text, { qos: 1 });
    assert.equal(code, state === "active" ? 0 : notAuthorized, `round ${round}: ${state}`);
    if (state === "quarantined") assert.equal(await hasReceived(watcher, text), false);
    client.drop();
  }
  for (const device of devices) {
    const racing = Promise.all(
      Array.from({ length: 5 }, () =>
        connected(device)
          .then((client) => client.publish(device.topic("telemetry"), "too late?", { qos: 1 }))
          .catch(() => undefined),
      ),
    );
    await deployment.command("revoke", { subject: device.subject });
    await racing;
    await assert.rejects(connected(device));
  }
});
