import assert from "node:assert/strict";
import { once } from "node:events";
import { cpSync, lstatSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { SecurityEvent } from "@wardmq/events";
import { type Deployment, startDeployment } from "../support/deployment.ts";
import { RawClient } from "../support/raw-client.ts";
import { openTls, tlsWire } from "../support/wire.ts";
import { count, startBroker } from "./broker-events.ts";

const timeout = 120_000;

/** Keeps one retained message more. */
async function retain(deployment: Deployment, text: string): Promise<void> {
  const socket = await openTls(deployment.mqtts, deployment.credential("tester"));
  const client = new RawClient(tlsWire(socket), 5);
  await client.connect({ clientId: "tester" });
  await client.publish("kept", text, { qos: 1, retain: true });
  await client.disconnect();
}

/** A copy of a folder of the deployment, to be put back later. */
function copyOf(deployment: Deployment, folder: string) {
  const path = join(deployment.directory, folder);
  const copy = mkdtempSync(join(tmpdir(), "wardmq-copy-"));
  const filter = (from: string) => !lstatSync(from).isSocket();
  cpSync(path, copy, { recursive: true, filter });
  return {
    putBack: () => {
      rmSync(path, { recursive: true });
      cpSync(copy, path, { recursive: true });
    },
    [Symbol.dispose]: () => rmSync(copy, { recursive: true }),
  };
}

/** What the broker has heard is kept. */
async function endBroker({ brokerProcess }: Deployment): Promise<void> {
  const ended = once(brokerProcess, "exit");
  brokerProcess.kill("SIGTERM");
  await ended;
}

describe("an older copy", () => {
  test("of the whole folder is noticed by the anchor that lies elsewhere, and a folder that went on is not taken for one", {
    timeout,
  }, async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), "wardmq-anchor-"));
    await using deployment = await startDeployment({
      devices: 0,
      settings: { anchor: join(elsewhere, "anchor") },
    });
    await retain(deployment, "1");
    const both = async (what: "kill" | "start") => {
      if (what === "kill") await deployment.killBroker();
      await deployment[`${what}Control`]();
      return what === "start" ? startBroker(deployment) : [];
    };
    await both("kill");
    using copy = copyOf(deployment, ".");
    const whole = await both("start");
    await deployment.command("service.add", { name: "later" });
    await retain(deployment, "2");
    await deployment.killBroker();
    await startBroker(deployment); // says where its store is
    const rolledBack = (events: readonly SecurityEvent[]) =>
      events.map(({ type }) => type).filter((type) => type.endsWith("-rolled-back"));
    assert.deepEqual(rolledBack(whole), []);
    assert.equal(count(whole, "anchor-lost"), 1); // when there was none yet
    await both("kill");
    copy.putBack();
    const events = await both("start");
    assert.deepEqual(rolledBack(events).sort(), ["control-rolled-back", "store-rolled-back"]);
    await both("kill");
    assert.equal(rolledBack(await both("start")).length, 2); // not again
    rmSync(elsewhere, { recursive: true });
  });

  test("of all that the broker keeps is noticed at its start, and a store that went on is not taken for one", {
    timeout,
  }, async () => {
    await using deployment = await startDeployment({ devices: 0 });
    await retain(deployment, "1");
    await deployment.killBroker();
    using copy = copyOf(deployment, "broker/state");
    await startBroker(deployment);
    await retain(deployment, "2");
    await deployment.killBroker();
    const whole = await startBroker(deployment); // says where its store is
    assert.equal(count(whole, "store-rolled-back"), 0);
    await deployment.killBroker();
    copy.putBack();
    const events = await startBroker(deployment);
    const { why, details } = events.find(({ type }) => type === "store-rolled-back") ?? {};
    assert.match(why ?? "", /broker\/state is an older copy of itself/);
    assert.ok(Number(details?.["was"]) > Number(details?.["is"]), JSON.stringify(details));
  });

  test("of control's state is noticed when a broker comes that has heard more, and said once", {
    timeout,
  }, async () => {
    await using deployment = await startDeployment({ devices: 0, services: ["tester", "gone"] });
    await deployment.killControl();
    using copy = copyOf(deployment, "control");
    await deployment.startControl();
    await deployment.command("revoke", { subject: "service:gone" });
    await deployment.killBroker();
    const whole = await startBroker(deployment);
    assert.equal(count(whole, "control-rolled-back"), 0);
    await endBroker(deployment);
    await deployment.killControl();
    copy.putBack();
    await deployment.startControl();
    for (let n = 0; n < 10; n += 1) await deployment.command("service.add", { name: `s-${n}` });
    assert.equal(count(await startBroker(deployment), "control-rolled-back"), 1);
    await endBroker(deployment);
    assert.equal(count(await startBroker(deployment), "control-rolled-back"), 1); // not again
  });
});
