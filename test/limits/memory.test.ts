import assert from "node:assert/strict";
import { after, test } from "node:test";
import { attacks } from "./attacks.ts";
import { Clients } from "./clients.ts";
import { residentMB, startWatched, survive } from "./memory.ts";

const noProc = process.platform !== "linux" && "the memory of a process is read from /proc";
const deployment = await startWatched();
after(() => deployment.stop());

for (const attack of attacks) {
  test(`keeps its memory and serves others through ${attack.name}, in small`, {
    skip: noProc,
    timeout: 100_000,
  }, async () => {
    await survive(deployment, attack, 0.02);
  });
}

test("holds no more after 1,000 connections of one client than after 500", {
  skip: noProc,
  timeout: 100_000,
}, async () => {
  const cycle = async (count: number) => {
    for (let i = 0; i < count; i += 10) {
      const clients = new Clients(deployment, 5, "mqtts");
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          const client = await clients.connect();
          await client.subscribe(clients.topic("+/a"));
          await client.publish(clients.topic("b/a"), "x", { qos: 1, retain: false });
          await client.disconnect();
        }),
      );
      await clients.end();
    }
  };
  await cycle(500);
  const before = residentMB(deployment.brokerProcess.pid);
  await cycle(500);
  const grownMB = residentMB(deployment.brokerProcess.pid) - before;
  assert.ok(grownMB < 60, `grew by ${grownMB} MB`);
});
