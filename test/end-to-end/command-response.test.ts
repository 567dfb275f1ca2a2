import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultPolicyText, readyMadeRoles } from "@wardmq/policy";
import { connectAsync, type MqttClient } from "mqtt";
import { eventWhere } from "../authorization/events.ts";
import { type Deployment, startDeployment } from "../support/deployment.ts";

/** The policy that `init` writes, with a service that has the ready-made role. */
const commander = readyMadeRoles.find(({ name }) => name === "commander")?.text ?? "";
const policy = `${defaultPolicyText().replace("roles:\n", `roles:\n${commander}`)}  - { role: commander, to: "service:control" }\n`;

function open(
  { mqtts, credential }: Deployment,
  as: string,
  protocolVersion: 4 | 5,
): Promise<MqttClient> {
  const { key, cert, ca } = credential(as);
  const tls = { protocol: "mqtts", servername: "localhost", key, cert, ca } as const;
  return connectAsync({ ...mqtts, ...tls, clientId: as, protocolVersion, reconnectPeriod: 0 });
}

for (const protocolVersion of [5, 4] as const) {
  const edition = protocolVersion === 5 ? "5.0" : "3.1.1";
  test(`MQTT.js commands a ${edition} device and gets its answer, once`, async () => {
    await using deployment = await startDeployment({ policy, services: ["control"], devices: 1 });
    const [uuid = ""] = deployment.devices;
    const command = `hospital/north/icu/device/${uuid}/command`;
    const [device, control] = await Promise.all([
      open(deployment, uuid, protocolVersion),
      open(deployment, "control", 5),
    ]);
    await device.subscribeAsync([command, `${command}/request/+`], { qos: 1 });
    await control.subscribeAsync([`${command}/response`, `${command}/response/+`], { qos: 1 });
    device.on("message", (topic, payload, { properties }) => {
      const { responseTopic = topic.replace("/request/", "/response/"), correlationData } =
        properties ?? {};
      const back = correlationData === undefined ? {} : { properties: { correlationData } };
      void device.publishAsync(responseTopic, `${payload} done`, { qos: 1, ...back });
    });
    const ask = async (topic: string, text: string, properties = {}) => {
      const answer = new Promise((resolve) => {
        control.once("message", (_, payload) => resolve(String(payload)));
      });
      await control.publishAsync(topic, text, { qos: 1, properties });
      return answer;
    };
    try {
      assert.equal(await ask(`${command}/request/42`, "stop"), "stop done");
      if (protocolVersion === 5) {
        const properties = {
          responseTopic: `${command}/response`,
          correlationData: Buffer.from("1"),
        };
        assert.equal(await ask(command, "start", properties), "start done");
      }
      await assert.rejects(control.publishAsync(command, "says nothing", { qos: 1 }));
      const again = device.publishAsync(`${command}/response/42`, "stop done", { qos: 1 });
      await (protocolVersion === 5 ? assert.rejects(again) : again);
      for (const [type, check] of [
        ["command-denied", "response-topic"],
        ["response-denied", "second"],
      ]) {
        const { ruleId } = await eventWhere(
          deployment,
          `${type} ${check}`,
          (event) => event.type === type && event.check === check,
        );
        assert.equal(ruleId, "topics.commands[0]");
      }
      assert.equal(device.connected, true);
    } finally {
      await Promise.all([device.endAsync(), control.endAsync()]);
    }
  });
}
