import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, openSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Deployment, startDeployment } from "../support/deployment.ts";
import { RawClient } from "../support/raw-client.ts";
import { openTls, tlsWire } from "../support/wire.ts";
import { eventsWithMore, startBroker } from "./broker-events.ts";

const messages = 300;
const pageBytes = 8_192;

async function open(deployment: Deployment, clientId: string): Promise<RawClient> {
  const socket = await openTls(deployment.mqtts, deployment.credential("tester"));
  const client = new RawClient(tlsWire(socket), 5);
  const properties = { sessionExpiryInterval: 1_000 };
  await client.connect({ clientId, cleanStart: false, properties });
  return client;
}

/** Overwrites every third page in the middle third of a file. */
function damage(path: string): void {
  const { size } = statSync(path);
  const file = openSync(path, "r+");
  for (let page = Math.floor(size / 3 / pageBytes); page < (size * 2) / 3 / pageBytes; page += 3) {
    writeSync(file, Buffer.alloc(pageBytes, 0xaa), 0, pageBytes, page * pageBytes);
  }
  closeSync(file);
}

const text = (n: number) => `${n}`.padStart(4_000, ".");

test("a broker whose store has damaged pages says so, serves what is whole in its order, and goes on", {
  timeout: 120_000,
}, async () => {
  await using deployment = await startDeployment({ devices: 0 });
  const reader = await open(deployment, "reader");
  await reader.subscribe("kept", { qos: 1 });
  reader.wire.socket.destroy();
  const writer = await open(deployment, "writer");
  for (let n = 0; n < messages; n += 1) {
    assert.equal(await writer.publish("kept", text(n), { qos: 1 }), 0);
  }
  const { brokerProcess } = deployment;
  const ended = once(brokerProcess, "exit");
  brokerProcess.kill("SIGTERM"); // what it has written lies in the database afterwards, not in its log
  await ended;
  damage(join(deployment.directory, "broker/state/journal.db"));
  await startBroker(deployment);
  const events = await eventsWithMore(deployment, "store-damaged");
  assert.match(events.findLast(({ type }) => type === "store-damaged")?.why ?? "", /./);

  assert.equal(await (await open(deployment, "writer")).publish("kept", "last", { qos: 1 }), 0);
  const again = await open(deployment, "reader");
  const found: string[] = [];
  while (found.at(-1) !== "last") {
    const packet = await again.expect("PUBLISH");
    found.push(Buffer.from(packet.payload).toString());
    again.send({ type: "PUBACK", packetId: packet.packetId ?? 0, reasonCode: 0, properties: {} });
  }
  const numbers = found.slice(0, -1).map(Number.parseFloat);
  assert.ok(numbers.length > 0 && numbers.length < messages, `${numbers.length} are whole`);
  assert.deepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
  );
  for (const one of found.slice(0, -1)) assert.ok(/^\.*\d+$/.test(one) && one.length === 4_000);
});
