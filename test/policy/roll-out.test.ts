import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { startDeployment } from "../support/deployment.ts";
import { RawClient } from "../support/raw-client.ts";
import { openTls, tlsWire } from "../support/wire.ts";

const policyOf = (publish: string) => `roles:
  tester:
    publish: [${publish}]
    subscribe: ["{org}/deid/read"]
  unused:
    publish: ["{org}/deid/unused"]
bindings:
  - { role: tester, to: "service:tester" }
  - { role: unused, to: "service:nobody" }
`;
const inForce = policyOf('"{org}/deid/old", "{org}/deid/both"');
const next = policyOf('"{org}/deid/both", "{org}/deid/new"');
const file = (text: string) => ({ name: "policy.yaml", text });
const digestOf = (text: string) =>
  createHash("sha256")
    .update(JSON.stringify([["policy.yaml", text]]))
    .digest("hex");

const deployment = await startDeployment({ policy: inForce, devices: 0, services: ["tester"] });
after(() => deployment.stop());
const { command } = deployment;

async function connected(): Promise<RawClient> {
  const socket = await openTls(deployment.mqtts, deployment.credential("tester"));
  const client = new RawClient(tlsWire(socket), 5);
  assert.equal((await client.connect({ clientId: "tester" })).reasonCode, 0);
  return client;
}

async function eventually<Found>(what: string, look: () => Promise<Found | undefined>) {
  for (let tries = 0; tries < 200; tries += 1) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`did not happen: ${what}`);
}

/** The differences as `COUNT TOPIC: EFFECT -> EFFECT`, once there are that many compared decisions of publishes. */
async function differences(expected: readonly string[]) {
  return eventually(`differences are ${expected.join("; ")}`, async () => {
    const { trial } = await command("policy.shadow", {});
    const told = trial?.differences.map(
      ({ count, topic, inForce: is, onTrial: would }) =>
        `${count} ${topic}: ${is.effect} -> ${would.effect}`,
    );
    return JSON.stringify(told) === JSON.stringify(expected) ? trial : undefined;
  });
}

describe("a policy on trial", () => {
  const start = (text: string) =>
    command("policy.shadow.start", { files: [file(text)], seconds: 3_600, reason: "a test" });

  test("is refused where it could never be applied", async () => {
    await assert.rejects(start("roles: ["), /ERR_POLICY /);
    const broken = policyOf('"{org}/deid/old"').replace(
      "{org}/deid/unused",
      "{org}/+/+/device/+/firmware/command",
    );
    await assert.rejects(start(broken), /firmware-command/);
    assert.deepEqual(await command("policy.shadow", {}), { state: "none" });
    await assert.rejects(command("policy.shadow.end", {}), /ERR_POLICY_SHADOW/);
  });

  test("is decided beside the one in force on open connections, and changes nothing", async () => {
    const client = await connected();
    assert.equal(await client.publish("hospital/deid/old", "x", { qos: 1 }), 0x10);
    const { state } = await start(next);
    assert.equal(state, "running");
    for (const [topic, code] of [
      ["old", 0x10],
      ["both", 0x10],
      ["new", 0x87],
    ] as const) {
      assert.equal(await client.publish(`hospital/deid/${topic}`, "x", { qos: 1 }), code, topic);
    }
    const trial = await differences([
      "1 {org}/deid/old: Permit -> Deny",
      "1 {org}/deid/new: Deny -> Permit",
    ]);
    assert.equal(trial.differences[0]?.example.subject, "service:tester");
    assert.equal(trial.differences[0]?.inForce.ruleId, "tester/publish[0]");
    client.wire.socket.destroy();
  });

  test("goes on when the broker comes back, and adds to what was counted", async () => {
    await deployment.killBroker();
    await deployment.startBroker();
    const client = await connected();
    await client.publish("hospital/deid/new", "x", { qos: 1 });
    await differences(["2 {org}/deid/new: Deny -> Permit", "1 {org}/deid/old: Permit -> Deny"]);
    client.wire.socket.destroy();
  });

  test("ends when it is told to, and can be read afterwards", async () => {
    const ended = await command("policy.shadow.end", {});
    assert.equal(ended.state, "ended");
    const client = await connected();
    assert.equal(await client.publish("hospital/deid/old", "x", { qos: 1 }), 0x10);
    const usage = await eventually("the rule is told to be in use", async () => {
      const { rules } = await command("policy.usage", {});
      const isUsed = rules.some(({ filter, lastUsed }) => filter.endsWith("old") && lastUsed);
      return isUsed ? rules : undefined;
    });
    const unused = usage.find(({ filter }) => filter.endsWith("unused"));
    assert.equal(unused?.lastUsed, undefined);
    assert.ok(Date.now() - (unused?.since ?? 0) < 2 * 86_400_000);
    const { trial } = await command("policy.shadow", {});
    assert.equal(trial?.differences.length, 2, "nothing was added after the end");
    const { events } = await command("events", { last: 200 });
    const types = (events as { type: string }[]).map(({ type }) => type);
    assert.ok(types.includes("policy-trial-started") && types.includes("policy-trial-ended"));
    client.wire.socket.destroy();
  });

  test("is over when it is applied", async () => {
    await start(next);
    const { version } = await command("policy.current", {});
    const wanted = { digest: digestOf(next), files: [file(next)], replaces: version, reason: "x" };
    assert.deepEqual(await command("policy.apply", wanted), {
      version: version + 1,
      changed: true,
    });
    assert.equal((await command("policy.shadow", {})).state, "ended");
    assert.equal(readFileSync(join(deployment.directory, "policy.yaml"), "utf8"), next);
    const client = await connected();
    assert.equal(await client.publish("hospital/deid/old", "x", { qos: 1 }), 0x87);
    assert.equal(await client.publish("hospital/deid/new", "x", { qos: 1 }), 0x10);
    client.wire.socket.destroy();
  });
});

describe("files that are sent to be applied", () => {
  const apply = (text: string, digest: string, replaces: number) =>
    command("policy.apply", { digest, files: [file(text)], replaces, reason: "x" });

  test("are refused where they are others than were shown, or where another policy came into force", async () => {
    const { version } = await command("policy.current", {});
    await assert.rejects(apply(inForce, digestOf(next), version), /ERR_POLICY_CHANGED/);
    await assert.rejects(apply(inForce, digestOf(inForce), version - 1), /ERR_POLICY_CHANGED/);
    assert.equal((await command("policy.current", {})).version, version);
  });

  test("are taken away again where they are no policy", async () => {
    const { version } = await command("policy.current", {});
    const wrong = "roles: {}\nrolls: {}\n";
    await assert.rejects(apply(wrong, digestOf(wrong), version), /did you mean roles|rolls/);
    assert.equal(readFileSync(join(deployment.directory, "policy.yaml"), "utf8"), next);
    assert.equal((await command("policy.current", {})).version, version);
  });

  test("can lie nowhere but where policies lie", async () => {
    const files = [{ name: "../wardmq.yaml", text: next }];
    const wanted = { digest: digestOf(next), files, reason: "x" };
    await assert.rejects(command("policy.apply", wanted), /ERR_REQUEST/);
  });
});
