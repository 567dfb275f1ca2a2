import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { Stage } from "../conformance/stage.ts";
import { startDeployment } from "../support/deployment.ts";
import type { ConnectOptions, RawClient } from "../support/raw-client.ts";
import { eventsOf, eventWhere, settledEvents } from "./events.ts";
import { hex, received, textOf, waiting } from "./scene.ts";

const deployment = await startDeployment({
  services: ["tester", "attacker"],
  devices: 2,
  policy: `
topics: { schema: off }
roles:
  tester: { publish: [{ filter: "#", retain: allowed }], subscribe: ["#"] }
  attacker: { publish: ["attack/#"], subscribe: ["attack/#"] }
  device: { publish: ["{org}/{id}/up"], subscribe: ["{org}/{id}/down"] }
bindings:
  - { role: tester, to: "service:tester" }
  - { role: attacker, to: "service:attacker" }
  - { role: device, to: "device:*" }
`,
});
after(() => deployment.stop());
const [device = "", otherDevice = ""] = deployment.devices;

for (const version of [4, 5] as const) {
  const edition = version === 5 ? "5.0" : "3.1.1";
  const scenario = (name: string, run: (stage: Stage) => Promise<void>) =>
    test(`${edition}: ${name}`, async () => {
      const stage = new Stage(deployment, version);
      try {
        await run(stage);
      } finally {
        stage.end();
      }
    });

  describe(`session isolation on ${edition}`, () => {
    scenario(
      "no other subject takes over an open session, and its owner notices nothing",
      async (stage) => {
        for (const clientId of ["monitor", "__proto__", "service:tester", "tester\u00e9", device]) {
          const topic = stage.topic("own");
          const will = { topic: stage.topic("will") };
          const victim = await stage.connect({ ...waiting, clientId, will });
          await victim.subscribe(stage.topic("#"), { qos: 1 });
          for (const attempt of attempts) {
            const attacker = await stage.connect({ as: "attacker", clientId, ...attempt });
            assert.equal(
              attacker.connack.sessionPresent,
              false,
              `${clientId} was there for another`,
            );
            await attacker.disconnect();
          }
          const { messages, ending } = await received(victim);
          assert.deepEqual([messages.length, ending], [0, undefined]);
          await victim.publish(topic, "still mine", { qos: 1 });
          assert.equal((await victim.receive()).text, "still mine");
          await end(stage, clientId, victim);
        }
        const takeovers = (
          await settledEvents(deployment, await stage.connect({ version: 5 }))
        ).filter(
          ({ type, subject }) => type === "session-taken-over" && subject !== "service:tester",
        );
        assert.deepEqual(takeovers, []);
      },
    );

    scenario(
      "no other subject destroys a session that waits, or reads its queue",
      async (stage) => {
        const clientId = stage.clientId();
        const victim = await stage.connect({ ...waiting, clientId });
        await victim.subscribe(stage.topic("queue"), { qos: 1 });
        await victim.disconnect();
        const publisher = await stage.connect();
        await publisher.publish(stage.topic("queue"), "kept for its owner", { qos: 1 });
        for (const attempt of attempts) {
          const attacker = await stage.connect({ as: "attacker", clientId, ...attempt });
          const { messages } = await received(attacker);
          assert.deepEqual([attacker.connack.sessionPresent, messages.length], [false, 0]);
          await attacker.disconnect();
        }
        const again = await stage.connect({ ...waiting, clientId });
        assert.equal(again.connack.sessionPresent, true);
        assert.equal((await again.receive()).text, "kept for its owner");
      },
    );

    scenario(
      "a service that calls itself by a device's uuid leaves the device alone",
      async (stage) => {
        const victim = await stage.connect({ as: device, clientId: device, ...waiting });
        await victim.subscribe(`hospital/${device}/down`, { qos: 1 });
        await clear(stage, device, "attacker");
        const service = await stage.connect({ as: "attacker", clientId: device, ...waiting });
        assert.equal(service.connack.sessionPresent, false);
        assert.ok((await service.subscribe(`hospital/${device}/down`, { qos: 1 })) >= 0x80);
        const publisher = await stage.connect();
        await publisher.publish(`hospital/${device}/down`, "for the device", { qos: 1 });
        assert.equal((await victim.receive()).text, "for the device");
        await end(stage, device, service, "attacker");
        await victim.settle();
        await end(stage, device, victim, device);
      },
    );

    scenario(
      "a device is refused under any client id but its uuid, and disturbs nobody",
      async (stage) => {
        const victim = await stage.connect({ as: otherDevice, clientId: otherDevice });
        const others = [
          otherDevice,
          device.toUpperCase(),
          `${device}/`,
          ` ${device}`,
          "monitor",
          "",
        ];
        for (const clientId of others) {
          const { reasonCode } = await stage.connectRefused({ as: device, clientId });
          assert.equal(hex(reasonCode), version === 5 ? "0x85" : "0x02", clientId);
        }
        await victim.expectQuiet();
        await (await stage.connect({ as: device, clientId: device })).settle();
        const event = await eventWhere(
          deployment,
          "the refusal of the client id",
          ({ type, subject, check }) =>
            type === "connect-refused" && subject === `device:${device}` && check === "client-id",
        );
        assert.ok(event.why?.includes("uuid"));
      },
    );

    scenario(
      "a CONNECT that is refused changes nothing for the connection it names",
      async (stage) => {
        const clientId = stage.clientId();
        const as = "attacker";
        const victim = await stage.connect({ as, clientId, ...waiting });
        await victim.subscribe("attack/mine", { qos: 1 });
        const will = { topic: "not/granted" };
        const refusals: ConnectOptions[] = [{ will }, { will, cleanStart: false }];
        if (version === 5) refusals.push({ properties: { authenticationMethod: "SCRAM-SHA-256" } });
        for (const refusal of refusals) {
          const { reasonCode } = await stage.connectRefused({ as, clientId, ...refusal });
          assert.ok(reasonCode > 0);
        }
        await victim.publish("attack/mine", "undisturbed", { qos: 1 });
        assert.equal((await victim.receive()).text, "undisturbed");
        await victim.expectQuiet();
      },
    );

    scenario("a second CONNECT ends its connection and no other", async (stage) => {
      const [victimId, clientId] = [stage.clientId(), stage.clientId()];
      const victim = await stage.connect({ clientId: victimId });
      const client = await stage.connect({ clientId });
      client.sendConnect({ clientId: victimId });
      await client.expectRefusal(0x82);
      await victim.expectQuiet();
    });

    scenario(
      "the same subject takes over its session: the former connection is told, the queue goes on",
      async (stage) => {
        for (const via of ["mqtts", "wss"] as const) {
          const clientId = stage.clientId();
          const topic = stage.topic(`taken/${via}`);
          const former = await stage.connect({ clientId, ...waiting });
          await former.subscribe(topic, { qos: 1 });
          const publisher = await stage.connect();
          await publisher.publish(topic, "unacknowledged", { qos: 1 });
          await former.take("PUBLISH");
          const taker = await stage.connect({ clientId, via, ...waiting });
          await former.expectRefusal(0x8e);
          assert.equal(taker.connack.sessionPresent, true);
          const { dup, ...message } = await taker.receive();
          assert.deepEqual([textOf(message), dup], ["unacknowledged", true]);
          await publisher.publish(topic, "new", { qos: 1 });
          assert.equal((await taker.receive()).text, "new");
          const events = await settledEvents(deployment, await stage.connect({ version: 5 }));
          const takeovers = events.filter(
            (event) => event.type === "session-taken-over" && event.clientId === clientId,
          );
          assert.deepEqual(
            takeovers.map(({ subject }) => subject),
            ["service:tester"],
          );
        }
      },
    );

    scenario(
      "of many connections that take over each other at once, one stays and has the session",
      async (stage) => {
        const clientId = stage.clientId();
        const topic = stage.topic("storm");
        const first = await stage.connect({ clientId, ...waiting });
        await first.subscribe(topic, { qos: 1 });
        const storm = await Promise.all(Array.from({ length: 20 }, () => stage.open()));
        for (const client of storm) client.sendConnect({ clientId, ...waiting });
        await Promise.all(storm.map((client) => client.expect("CONNACK")));
        const endings = await Promise.all(
          storm.map(async (client) => (await received(client)).ending),
        );
        assert.equal(endings.filter((ending) => ending === undefined).length, 1);
        const toldOnes = endings.filter((ending) => ending === (version === 5 ? "0x8e" : "closed"));
        assert.equal(toldOnes.length, storm.length - 1);
        const survivor = storm[endings.indexOf(undefined)];
        await (await stage.connect()).publish(topic, "for one", { qos: 1 });
        assert.equal((await survivor?.receive())?.text, "for one");
      },
    );
  });
}

test("each takeover attempt was made by somebody who was really connected", async () => {
  const attackers = (await eventsOf(deployment)).filter(
    ({ type, subject }) => type === "connected" && subject === "service:attacker",
  );
  assert.ok(attackers.length >= 50, `${attackers.length} connections`);
});

/** Ways to connect that take over or clear a session of one's own. */
const attempts: readonly (ConnectOptions & {
  readonly via?: "mqtts" | "wss";
  readonly version?: 4 | 5;
})[] = [
  { cleanStart: true },
  { cleanStart: false },
  { cleanStart: true, via: "wss" },
  { cleanStart: false, via: "wss", version: 4 },
];

/** Leaves no session behind under this client id. */
async function end(
  stage: Stage,
  clientId: string,
  client: RawClient,
  as = "tester",
): Promise<void> {
  await client.disconnect();
  await clear(stage, clientId, as);
}

async function clear(stage: Stage, clientId: string, as: string): Promise<void> {
  await (await stage.connect({ as, clientId, cleanStart: true })).disconnect();
}
