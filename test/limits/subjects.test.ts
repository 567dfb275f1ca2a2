import assert from "node:assert/strict";
import { after } from "node:test";
import { startDeployment } from "../support/deployment.ts";
import { limitTest, onlyV3, onlyV5 } from "./limit-test.ts";
import { until } from "./waiting.ts";

const [deployment, roomy] = await Promise.all([
  startDeployment({
    devices: 2,
    settings: {
      "limits.connectionsPerSubject.service": 3,
      "limits.sessionsPerSubject.service": 3,
      "limits.keepAliveSeconds.min": 10,
    },
  }),
  startDeployment({
    settings: {
      "limits.keepAliveSeconds.min": 1,
      "limits.keepAliveSeconds.max": 1,
      "limits.sessionExpirySeconds": 1,
      "limits.connectionsPerSubject.device": 2,
    },
  }),
]);
after(() => Promise.all([deployment.stop(), roomy.stop()]));

limitTest(
  "connectionsPerSubject.device",
  "lets the same client id take over, since a device has no other",
  deployment,
  async (clients) => {
    const device = deployment.devices[0] ?? "";
    const first = await clients.connect({ as: device });
    assert.equal(await clients.connectRefused({ as: device, clientId: "other" }), 0x85);
    const second = await clients.connect({ as: device });
    await first.expectRefusal(0x8e);
    await second.settle();
    await clients.connect({ as: deployment.devices[1] ?? "" });
  },
  { ways: onlyV5 },
);

limitTest(
  "connectionsPerSubject.service",
  "refuses one beyond with 0x97, until another has gone",
  deployment,
  async (clients) => {
    const refused = clients.version === 5 ? 0x97 : 3;
    const as = "limited";
    const three = [];
    for (let i = 0; i < 3; i += 1) {
      three.push(await until("a place", () => clients.connect({ as }).catch(() => undefined)));
    }
    assert.equal(await clients.connectRefused({ as }), refused);
    const address = clients.from(100);
    const limit = "connectionsPerSubject.service";
    await clients.events.first({ type: "connect-refused", limit, address });
    const again = await clients.connect({ as, clientId: three[0]?.clientId ?? "" });
    await three[0]?.expectRefusal(0x8e);
    await clients.connect({ as: "tester" });
    await again.disconnect();
    await clients.connect({ as });
  },
);

limitTest(
  "sessionsPerSubject.service",
  "refuses a session beyond that would be kept, not one that is there nor one that ends with its connection",
  deployment,
  async (clients) => {
    const refused = clients.version === 5 ? 0x97 : 3;
    const kept = {
      cleanStart: false,
      ...(clients.version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {}),
    };
    const ids = ["a", "b", "c"].map((name) => `${clients.topic(name)}`);
    const go = async (clientId: string, options = kept) => {
      const client = await clients.connect({ clientId, ...options });
      await client.disconnect();
      return client.connack.sessionPresent;
    };
    for (const id of ids) assert.equal(await go(id), false);
    assert.equal(await clients.connectRefused({ clientId: clients.topic("d"), ...kept }), refused);
    const address = clients.from(100);
    const limit = "sessionsPerSubject.service";
    await clients.events.first({ type: "connect-refused", limit, address });
    assert.equal(await go(ids[0] ?? ""), true);
    await (await clients.connect({ cleanStart: true })).disconnect();
    // A clean start ends the session, and there is room for another one.
    for (const clientId of ids) await (await clients.connect({ clientId })).disconnect();
    assert.equal(await go(clients.topic("d")), false);
    await (await clients.connect({ clientId: clients.topic("d") })).disconnect();
  },
);

limitTest(
  "sessionsPerSubject.device",
  "keeps the one session a device has, and starts it anew when it asks",
  deployment,
  async (clients) => {
    const device = deployment.devices[0] ?? "";
    const properties = clients.version === 5 ? { sessionExpiryInterval: 60 } : {};
    for (const [cleanStart, isPresent] of [
      [true, false],
      [false, clients.version === 5],
      [true, false],
    ] as const) {
      const client = await clients.connect({ as: device, cleanStart, properties });
      assert.equal(client.connack.sessionPresent, isPresent);
      await client.disconnect();
    }
  },
);

limitTest(
  "keepAliveSeconds.min",
  "tells a client that asks for less, and nothing to one that does not",
  deployment,
  async (clients) => {
    const told = async (keepAlive: number) =>
      (await clients.connect({ keepAlive })).connack.properties.serverKeepAlive;
    assert.equal(await told(9), 10);
    assert.equal(await told(1), 10);
    assert.equal(await told(10), undefined);
  },
  { ways: onlyV5 },
);

limitTest(
  "keepAliveSeconds.max",
  "ends who is silent for one and a half times it, though asked for none or more, and says 0x8D",
  roomy,
  async (clients) => {
    const silent = [];
    for (const keepAlive of [0, 2, 65_535]) silent.push(await clients.connect({ keepAlive }));
    for (const { connack } of silent) {
      if (clients.version === 5) assert.equal(connack.properties.serverKeepAlive, 1);
    }
    const lively = await clients.connect({ keepAlive: 1 });
    const pings = setInterval(() => lively.send("c0 00"), 300);
    for (const client of silent) await client.expectRefusal(0x8d);
    clearInterval(pings);
    await lively.settle();
  },
  { atOnce: true },
);

limitTest(
  "sessionExpirySeconds",
  "gives a client that asks for more this one, and ends the session then",
  roomy,
  async (clients) => {
    const observer = await clients.connect({ keepAlive: 0 });
    const pings = setInterval(() => observer.send("c0 00"), 300);
    await observer.subscribe(clients.topic("gone"));
    const properties = { sessionExpiryInterval: 1_000 };
    // The will waits longer than the session: that it comes says that the session has ended.
    const will = { topic: clients.topic("gone"), properties: { willDelayInterval: 500 } };
    const clientId = clients.clientId();
    const client = await clients.connect({ clientId, properties, will });
    assert.equal(client.connack.properties.sessionExpiryInterval, 1);
    client.drop();
    await observer.take("PUBLISH");
    clearInterval(pings);
    const again = await clients.connect({ clientId, cleanStart: false, properties });
    assert.equal(again.connack.sessionPresent, false);
    again.drop();
    const soon = await until("the session again", async () => {
      const one = await clients.connect({ clientId, cleanStart: false, properties });
      return one.connack.sessionPresent ? one : undefined;
    });
    assert.equal(
      (await clients.connect({ properties: { sessionExpiryInterval: 1 } })).connack.properties
        .sessionExpiryInterval,
      undefined,
    );
    soon.drop();
  },
  { ways: onlyV5, atOnce: true },
);

limitTest(
  "sessionExpirySeconds",
  "ends the session of a 3.1.1 client too, which has no way to say when",
  roomy,
  async (clients) => {
    const clientId = clients.clientId();
    const open = () => clients.connect({ clientId, cleanStart: false });
    await (await open()).disconnect();
    assert.equal((await open()).connack.sessionPresent, true);
    // Each look begins a session of its own: only one that was left alone for its time is new again.
    await until("a session that has ended", async () => {
      const client = await open();
      await client.disconnect();
      await new Promise((wake) => setTimeout(wake, 1_200));
      return (await open()).connack.sessionPresent ? undefined : true;
    });
  },
  { ways: onlyV3, atOnce: true },
);
