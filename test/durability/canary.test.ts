import assert from "node:assert/strict";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type Deployment, newCredential, startDeployment } from "../support/deployment.ts";
import { type ConnectOptions, RawClient } from "../support/raw-client.ts";
import { openTls, tlsWire } from "../support/wire.ts";

const id = "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";
const policy = `
topics: { schema: off }
roles:
  canary-role: { publish: [{ filter: "#", retain: allowed }], subscribe: ["#"] }
bindings: [{ role: canary-role, to: "service:canary-service" }]
`;

/** What anybody may read: the operator's own files, certificates and CRLs. */
const isPlainOnPurpose = (path: string) =>
  ["wardmq.yaml", "policy.yaml"].includes(path) || /\.(pem|crl|pub)$/.test(path);

async function connect(deployment: Deployment, options: ConnectOptions): Promise<RawClient> {
  const socket = await openTls(deployment.mqtts, deployment.credential("canary-service"));
  const client = new RawClient(tlsWire(socket), 5);
  const { reasonCode } = await client.connect({ cleanStart: false, ...options });
  assert.equal(reasonCode, 0);
  return client;
}

/** Leaves something of everything that a deployment keeps. */
async function fill(deployment: Deployment): Promise<void> {
  const { command } = deployment;
  await command("device.add", {
    id,
    site: "canary-site",
    ward: "canary-ward",
    model: "canary-model",
    maker: "canary maker",
    serial: "canary serial",
    owner: "canary owner",
    tags: ["canary-tag"],
  });
  await newCredential(command, `device:${id}`);
  await command("device.code", { subject: `device:${id}` });
  await command("operator.add", { name: "canary-operator", role: "security-officer" });
  await command("fleet.rotate", { because: "canary because" });
  await command("revoke", { subject: `device:${id}`, because: "canary reason" });

  const properties = { sessionExpiryInterval: 3600 };
  const away = await connect(deployment, { clientId: "canary-client", properties });
  await away.subscribe("canary/topic/#", { qos: 1 });
  await away.disconnect();
  const will = { topic: "canary/will", payload: "canary will", qos: 1 } as const;
  const publisher = await connect(deployment, { clientId: "canary-will", properties, will });
  await publisher.publish("canary/topic/1", "canary queued", { qos: 1 });
  await publisher.publish("canary/topic/2", "canary retained", { qos: 1, retain: true });
}

/** The files below a folder that tell of what is in it, and what they tell. */
function findings(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((path) => lstatSync(join(directory, path)).isFile() && !isPlainOnPurpose(path))
    .flatMap((path) => {
      const text = readFileSync(join(directory, path), "latin1");
      const [found] = new RegExp(`canary|"actor"|${id}`).exec(text) ?? [];
      return found === undefined ? [] : [`${path}: ${found}`];
    });
}

describe("the files of a deployment", () => {
  test("tell of no device, person, client, topic, payload or policy, while it is served and after", {
    timeout: 120_000,
  }, async () => {
    await using deployment = await startDeployment({
      devices: 0,
      services: ["canary-service"],
      policy,
    });
    await fill(deployment);
    assert.deepEqual(findings(deployment.directory), []);
    await deployment.command("state.rekey", {});
    assert.deepEqual(findings(deployment.directory), []);
    await deployment.killBroker();
    await deployment.killControl();
    assert.deepEqual(findings(deployment.directory), []);
    const names = readdirSync(join(deployment.directory, "control"));
    for (const name of [
      "registry.db",
      "pending.sealed.db",
      "fleet.sealed",
      "rotations.sealed",
      "policies",
    ])
      assert.ok(names.includes(name), name);
  });
});
