import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { QoS } from "@wardmq/mqtt";
import type { IClientOptions } from "mqtt";
import { startDeployment } from "../support/deployment.ts";
import { connectMqttJs, type MqttJsClient, optionsFor } from "./mqtt-js.ts";

const limitBytes = 1_048_576;
const deployment = await startDeployment({
  services: ["tester", "limited", "revoked-1", "revoked-2"],
});
const stranger = await startDeployment({ services: ["tester"], devices: 0 });
after(async () => {
  await stranger.stop();
  await deployment.stop();
});
let revocations = 0;

for (const via of ["mqtts", "wss"] as const) {
  for (const version of [4, 5] as const) {
    const edition = version === 5 ? "5.0" : "3.1.1";
    const own = (name: string) => `mqtt-js-${via}-${version}/${name}`;

    describe(`MQTT.js over ${via} on ${edition}`, () => {
      const clients: MqttJsClient[] = [];
      const open = async (options: IClientOptions = {}, name = "tester") => {
        const credential = deployment.credential(name);
        const client = await connectMqttJs(
          optionsFor(deployment, credential, via, { protocolVersion: version, ...options }),
        );
        clients.push(client);
        return client;
      };
      after(async () => {
        for (const { mqtt } of clients) await mqtt.endAsync(true);
      });
      const persistent = (clientId: string): IClientOptions => ({
        clientId: `${clientId}-${via}-${version}`,
        clean: false,
        ...(version === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}),
      });

      for (const qos of [0, 1, 2] as const satisfies readonly QoS[]) {
        test(`a message at QoS ${qos} arrives once, as it was sent`, async () => {
          const client = await open();
          await client.subscribe(own("qos/#"), { qos: 2 });
          const payload = Buffer.from([0, 1, 2, 253, 254, 255]);
          await client.mqtt.publishAsync(own(`qos/${qos}`), payload, { qos });
          await client.mqtt.publishAsync(own("qos/end"), "end", { qos });
          const message = await client.receive();
          assert.deepEqual(
            [message.topic, message.payload.equals(payload)],
            [own(`qos/${qos}`), true],
          );
          assert.deepEqual(
            [message.packet.qos, message.packet.dup, message.packet.retain],
            [qos, false, false],
          );
          assert.equal(await client.receiveText(), "end");
        });
      }

      test("a retained message is there for a later subscriber until it is cleared", async () => {
        const publisher = await open();
        await publisher.mqtt.publishAsync(own("retained"), "kept", { qos: 1, retain: true });
        const reader = await open();
        await reader.subscribe(own("retained"));
        const { payload, packet } = await reader.receive();
        assert.deepEqual([payload.toString(), packet.retain], ["kept", true]);
        await publisher.mqtt.publishAsync(own("retained"), "", { qos: 1, retain: true });
        const later = await open();
        await later.subscribe(own("retained"));
        await later.mqtt.publishAsync(own("retained"), "live", { qos: 1 });
        assert.equal(await later.receiveText(), "live");
      });

      test("a will is sent when the connection is lost, and not when the client says goodbye", async () => {
        const watcher = await open();
        await watcher.subscribe(own("will/#"));
        const will = (name: string) => ({
          will: {
            topic: own(`will/${name}`),
            payload: Buffer.from(name),
            qos: 1 as const,
            retain: false,
          },
        });
        const polite = await open(will("polite"));
        await polite.mqtt.endAsync();
        const lost = await open(will("lost"));
        lost.mqtt.stream.destroy();
        assert.equal(await watcher.receiveText(), "lost");
      });

      test("1000 messages arrive in their order", async () => {
        const reader = await open();
        await reader.subscribe(own("order"), { qos: 1 });
        const publisher = await open();
        const numbers = Array.from({ length: 1_000 }, (_, i) => String(i));
        const sent = numbers.map((number) =>
          publisher.mqtt.publishAsync(own("order"), number, { qos: 1 }),
        );
        const received: string[] = [];
        while (received.length < numbers.length) received.push(await reader.receiveText());
        await Promise.all(sent);
        assert.deepEqual(received, numbers);
      });

      test("a session that waits keeps its subscription and what was sent meanwhile, in order", async () => {
        const before = await open(persistent("session"));
        await before.subscribe(own("session"), { qos: 2 });
        await before.mqtt.endAsync();
        const publisher = await open();
        for (const text of ["1", "2", "3"]) {
          await publisher.mqtt.publishAsync(own("session"), text, { qos: 2 });
        }
        const again = await open(persistent("session"));
        const texts = [];
        while (texts.length < 3) texts.push(await again.receiveText());
        assert.deepEqual(texts, ["1", "2", "3"]);
      });

      test("a client whose connection is cut comes back by itself and misses nothing", async () => {
        const client = await open({ ...persistent("cut"), reconnectPeriod: 50 });
        await client.subscribe(own("cut"), { qos: 1 });
        const publisher = await open();
        for (const text of ["1", "2", "3"]) {
          client.mqtt.stream.destroy();
          await publisher.mqtt.publishAsync(own("cut"), text, { qos: 1 });
          let message = await client.receive();
          // What was not acknowledged before the cut comes again.
          while (message.packet.dup && message.payload.toString() < text)
            message = await client.receive();
          assert.equal(message.payload.toString(), text);
        }
      });

      test("a message of just the largest packet arrives; one byte more ends the connection", async () => {
        const topic = own("large");
        const beside = 1 + 3 + 2 + topic.length + 2 + (version === 5 ? 1 : 0);
        const reader = await open();
        await reader.subscribe(topic, { qos: 1 });
        const publisher = await open();
        await publisher.mqtt.publishAsync(topic, Buffer.alloc(limitBytes - beside, "a"), {
          qos: 1,
        });
        assert.equal((await reader.receive()).payload.length, limitBytes - beside);
        const closed = new Promise<void>((resolve) =>
          publisher.mqtt.once("close", () => resolve()),
        );
        publisher.mqtt.publish(
          topic,
          Buffer.alloc(limitBytes - beside + 1, "a"),
          { qos: 1 },
          () => {},
        );
        await closed;
        await (await open()).mqtt.publishAsync(topic, "the next one", { qos: 1 });
        assert.equal(await reader.receiveText(), "the next one");
      });

      test("a denial is shown: of a publish, of a subscription, of a will", async () => {
        const client = await open({}, "limited");
        const denied = await client.subscribe("denied");
        const shown = denied instanceof Error ? denied.message : String(denied[0]?.qos);
        assert.match(shown, /128|135|not authori[sz]ed|unspecified/i);
        const granted = await client.subscribe("allowed/x");
        assert.ok(!(granted instanceof Error) && granted[0]?.qos === 1);
        const will = { topic: "denied", payload: Buffer.from("x"), qos: 0 as const, retain: false };
        await assert.rejects(open({ will }, "limited"), /not authori[sz]ed/i);
        if (version === 5) {
          await assert.rejects(
            client.mqtt.publishAsync("denied", "x", { qos: 1 }),
            /not authori[sz]ed/i,
          );
        } else {
          const closed = new Promise<void>((resolve) => client.mqtt.once("close", () => resolve()));
          client.mqtt.publish("denied", "x", { qos: 1 }, () => {});
          await closed;
        }
        await (await open({}, "limited")).mqtt.publishAsync("allowed/x", "x", { qos: 1 });
      });

      test("who is not let in is told so by an error", async () => {
        const trusted = deployment.credential("tester");
        const { key, cert } = stranger.credential("tester");
        const doors = {
          "no certificate": optionsFor(deployment, { ca: trusted.ca }, via),
          "a certificate of another deployment": optionsFor(
            deployment,
            { ca: trusted.ca, key, cert },
            via,
          ),
          "a server that is not trusted": optionsFor(
            deployment,
            { ...trusted, ca: stranger.credential("tester").ca },
            via,
          ),
        };
        for (const [what, options] of Object.entries(doors)) {
          await assert.rejects(
            connectMqttJs({ ...options, protocolVersion: version }),
            Error,
            what,
          );
        }
        await open();
      });

      if (version === 5) {
        test("properties arrive as they were sent", async () => {
          const client = await open();
          await client.subscribe(own("properties"), {
            qos: 1,
            properties: { subscriptionIdentifier: 7 },
          });
          await client.mqtt.publishAsync(own("properties"), "{}", {
            qos: 1,
            properties: {
              contentType: "application/json",
              payloadFormatIndicator: true,
              responseTopic: own("answer"),
              correlationData: Buffer.from([1, 2, 3]),
              userProperties: { b: ["2", "1"], a: "3" },
            },
          });
          const { properties } = (await client.receive()).packet;
          assert.equal(properties?.contentType, "application/json");
          assert.equal(properties?.payloadFormatIndicator, true);
          assert.equal(properties?.responseTopic, own("answer"));
          assert.deepEqual([...(properties?.correlationData ?? [])], [1, 2, 3]);
          assert.deepEqual({ ...properties?.userProperties }, { b: ["2", "1"], a: "3" });
          assert.equal(properties?.subscriptionIdentifier, 7);
        });

        test("a revoked client is told, and is not let in again", async () => {
          revocations += 1;
          const name = `revoked-${revocations}`;
          const client = await open({}, name);
          const told = new Promise<number | undefined>((resolve) =>
            client.mqtt.once("disconnect", ({ reasonCode }) => resolve(reasonCode)),
          );
          await deployment.command("revoke", { subject: `service:${name}` });
          assert.equal(await told, 0x98);
          await assert.rejects(open({}, name));
          await open();
        });
      }
    });
  }
}
