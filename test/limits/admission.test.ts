import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after } from "node:test";
import { startDeployment } from "../support/deployment.ts";
import type { Clients, ConnectedClient } from "./clients.ts";
import { bothListeners, limitTest } from "./limit-test.ts";
import { goneOf, until } from "./waiting.ts";

const [counted, fast, handshaking] = await Promise.all([
  startDeployment({
    devices: 0,
    settings: { "limits.connections": 5, "limits.connectionsPerAddress": 3 },
  }),
  startDeployment({ devices: 0, settings: { "limits.acceptsPerSecond": 5 } }),
  startDeployment({ devices: 0, settings: { "limits.handshakes": 3 } }),
]);
after(() => Promise.all([counted, fast, handshaking].map((deployment) => deployment.stop())));

/** Connects when there is room: the count of a connection that has gone sinks a moment later. */
function comesIn(clients: Clients, from: string): Promise<ConnectedClient> {
  return until(`a connection from ${from}`, () => clients.connect({ from }).catch(() => undefined));
}

limitTest(
  "connections",
  "closes one beyond before TLS, from any address, until another has gone",
  counted,
  async (clients) => {
    const five: ConnectedClient[] = [];
    for (const host of [1, 1, 2, 2, 3]) five.push(await comesIn(clients, clients.from(host)));
    const address = clients.from(4);
    await goneOf(await clients.dial({ from: address }));
    await clients.events.first({ type: "connection-shed", limit: "connections", address });
    for (const client of five) await client.settle();
    await five[0]?.disconnect();
    await comesIn(clients, address);
  },
  { ways: bothListeners },
);

limitTest(
  "connectionsPerAddress",
  "closes one beyond before TLS, and none of another address",
  counted,
  async (clients) => {
    const address = clients.from(1);
    const three: ConnectedClient[] = [];
    for (let i = 0; i < 3; i += 1) three.push(await comesIn(clients, address));
    await goneOf(await clients.dial({ from: address }));
    const limit = "connectionsPerAddress";
    await clients.events.first({ type: "connection-shed", limit, address });
    await clients.connect({ from: clients.from(2) });
    await three[0]?.disconnect();
    await comesIn(clients, address);
    await three[1]?.settle();
  },
  { ways: bothListeners },
);

limitTest(
  "acceptsPerSecond",
  "closes what comes faster before TLS, and lets in again what comes later",
  fast,
  async (clients) => {
    const from = clients.from(1);
    await comesIn(clients, from);
    const burst = await Promise.all(Array.from({ length: 60 }, () => clients.dial({ from })));
    let closed = 0;
    for (const socket of burst) {
      void goneOf(socket).then(() => {
        closed += 1;
      });
    }
    const limit = "acceptsPerSecond";
    await clients.events.first({ type: "connection-shed", limit, address: from });
    await comesIn(clients, from);
    assert.ok(closed > 0);
  },
  { ways: bothListeners },
);

limitTest(
  "handshakes",
  "closes a stranger beyond before TLS, and ends one for an address of a subject",
  handshaking,
  async (clients) => {
    const [subject, stranger, another] = [clients.from(1), clients.from(2), clients.from(3)];
    await comesIn(clients, subject);
    const waiting: Socket[] = [];
    for (let i = 0; i < 3; i += 1) waiting.push(await clients.dial({ from: stranger }));
    await goneOf(await clients.dial({ from: another }));
    const shed = { type: "connection-shed", limit: "handshakes" } as const;
    await clients.events.first({ ...shed, address: another });
    await clients.connect({ from: subject });
    const [oldest, ...others] = waiting;
    await goneOf(oldest ?? assert.fail());
    await clients.events.first({ ...shed, address: stranger });
    assert.ok(others.every(({ closed }) => !closed));
  },
  { ways: bothListeners },
);
