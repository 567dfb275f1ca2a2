import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startDeployment } from "../../../test/support/deployment.ts";
import { RawClient } from "../../../test/support/raw-client.ts";
import { openWebSocket } from "../../../test/support/web-socket.ts";
import { openTls, tlsWire } from "../../../test/support/wire.ts";

const storm = 24;
const rounds = 3;

describe("clients that all connect with one client identifier at once", () => {
  test("end each other but for one, which gets what was acknowledged while they did", async () => {
    await using deployment = await startDeployment({ services: ["tester"], devices: 0 });
    const { mqtts, wss, credential } = deployment;
    const open = async (i: number) => {
      const socket = await openTls(i % 3 === 0 ? wss : mqtts, credential("tester"));
      const wire = i % 3 === 0 ? await openWebSocket(socket) : tlsWire(socket);
      return { client: new RawClient(wire, i % 2 === 0 ? 5 : 4), socket };
    };
    const sender = (await open(1)).client;
    await sender.connect({ clientId: "sender" });
    const first = (await open(2)).client;
    const persistent = { clientId: "one", properties: { sessionExpiryInterval: 600 } };
    await first.connect(persistent);
    await first.subscribe("storm", { qos: 1 });
    const left: string[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const all = await Promise.all(Array.from({ length: storm }, (_, i) => open(i)));
      const ended = all.map(
        ({ socket }) => new Promise((resolve) => socket.once("close", resolve)),
      );
      const message = `round ${round}`;
      for (const { client } of all) {
        const isV5 = client.version === 5;
        client.sendConnect({
          ...(isV5 ? persistent : { clientId: "one" }),
          cleanStart: false,
        });
      }
      left.push(message);
      assert.equal(await sender.publish("storm", message, { qos: 1 }), 0);
      let over = 0;
      for (const end of ended) void end.then(() => (over += 1));
      await until(() => over >= storm - 1);
      const winners = all.filter(({ socket }) => !socket.destroyed);
      assert.equal(winners.length, 1);
      const [winner] = winners;
      await winner?.client.take("CONNACK");
      while (left.length > 0) {
        const received = await winner?.client.receive();
        const at = left.indexOf(received?.text ?? "");
        if (at >= 0) left.splice(at, 1); // else one that comes again, for nobody acknowledged it
      }
      await winner?.client.settle();
    }
  });
});

async function until(isDone: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!isDone()) {
    if (Date.now() > deadline) throw new Error("it did not happen in time");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
