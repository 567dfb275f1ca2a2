import assert from "node:assert/strict";
import { after } from "node:test";
import { startDeployment, testPolicy } from "../support/deployment.ts";
import type { Clients, ConnectedClient } from "./clients.ts";
import { limitTest } from "./limit-test.ts";

const commands = `commands: [{ topic: "{org}/do/{uuid}", within: 3600 }]`;
const others = ["service:second", "device:*"].map((to) => `  - { role: tester, to: "${to}" }\n`);
const policy = testPolicy
  .replace("schema: off", `schema: off, ${commands}`)
  .replace("bindings:\n", `bindings:\n${others.join("")}`);
const start = (key: string) =>
  startDeployment({
    devices: 2,
    services: ["tester", "second"],
    policy,
    settings: { [`limits.${key}`]: 2 },
  });

const [inAll, perRequester, perDevice] = await Promise.all([
  start("openCommands"),
  start("openCommandsPerRequester"),
  start("openCommandsPerDevice"),
]);
after(() => Promise.all([inAll.stop(), perRequester.stop(), perDevice.stop()]));

/** Both devices, each of which reads its commands, and somebody who sends them. */
async function ward(clients: Clients) {
  const devices = await Promise.all(
    clients.deployment.devices.map(async (uuid) => {
      const client = await clients.connect({ as: uuid, clientId: uuid });
      await client.subscribe(`hospital/do/${uuid}/request/+`, { qos: 0 });
      return client;
    }),
  );
  const [one, other] = devices as [ConnectedClient, ConnectedClient];
  return { one, other, requester: await clients.connect() };
}

const send = (client: ConnectedClient, { clientId }: ConnectedClient, id: string) =>
  client.publish(`hospital/do/${clientId}/request/${id}`, "x", { qos: 1 });

const answer = (device: ConnectedClient, id: string) =>
  device.publish(`hospital/do/${device.clientId}/response/${id}`, "x", { qos: 1 });

/** A command that is refused: 0x97, or on 3.1.1 the end. */
async function refused(clients: Clients, device: ConnectedClient, limit: string, as = "tester") {
  const client = await clients.connect({ as });
  if (clients.version === 5) assert.equal(await send(client, device, "beyond"), 0x97);
  else {
    client.sendPublish(`hospital/do/${device.clientId}/request/beyond`, "x", { qos: 1 });
    await client.expectEnd();
  }
  await clients.events.first({ type: "limit-reached", limit });
}

limitTest(
  "openCommands",
  "refuses a command beyond, whoever sends it, until another is answered",
  inAll,
  async (clients) => {
    const { one, other, requester } = await ward(clients);
    assert.ok((await send(requester, one, "1")) < 0x80);
    assert.ok((await send(requester, other, "1")) < 0x80);
    await refused(clients, one, "openCommands", "second");
    assert.ok((await answer(one, "1")) < 0x80);
    assert.ok((await send(requester, one, "2")) < 0x80);
    for (const [device, id] of [
      [one, "2"],
      [other, "1"],
    ] as const)
      await answer(device, id);
  },
);

limitTest(
  "openCommandsPerRequester",
  "refuses a command beyond to whoever sent the others, and to nobody else",
  perRequester,
  async (clients) => {
    const { one, other, requester } = await ward(clients);
    await send(requester, one, "1");
    await send(requester, other, "1");
    await refused(clients, one, "openCommandsPerRequester");
    const second = await clients.connect({ as: "second" });
    assert.ok((await send(second, one, "2")) < 0x80);
    for (const [device, id] of [
      [one, "1"],
      [one, "2"],
      [other, "1"],
    ] as const) {
      assert.ok((await answer(device, id)) < 0x80);
    }
  },
);

limitTest(
  "openCommandsPerDevice",
  "refuses a command beyond to the device that has not answered, and to no other",
  perDevice,
  async (clients) => {
    const { one, other, requester } = await ward(clients);
    for (const id of ["1", "2"]) assert.ok((await send(requester, one, id)) < 0x80);
    await refused(clients, one, "openCommandsPerDevice", "second");
    assert.ok((await send(requester, other, "1")) < 0x80);
    for (const [device, id] of [
      [one, "1"],
      [one, "2"],
      [other, "1"],
    ] as const) {
      assert.ok((await answer(device, id)) < 0x80);
    }
  },
);
