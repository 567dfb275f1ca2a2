import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compilePolicy, explain, PolicyError, parsePolicy } from "../src/index.ts";
import { device, service, uuid } from "./world.ts";

const own = `st-anna/main/icu-1/device/${uuid}`;
const roles = `
roles:
  all:
    publish: [{ filter: "{org}/#", retain: allowed }]
bindings:
  - { role: all, to: "device:*" }
  - { role: all, to: "service:*" }
`;

const exchangeOf = (topic: string, topics = "") =>
  compilePolicy(parsePolicy(topics + roles))
    .rightsOf(service("control"))
    .decidePublish(topic).exchange;

describe("a topic of commands", () => {
  test("is none beside those of the schema, and none below another word", () => {
    const others = [
      "telemetry",
      "firmware/command",
      "command/request",
      "command/other",
      "command/request/a/b",
      "command/response/a/b",
    ];
    for (const channel of others) assert.equal(exchangeOf(`${own}/${channel}`), undefined, channel);
    assert.equal(exchangeOf(`other/main/icu-1/device/${uuid}/command`), undefined);
  });

  test("names the device that it is for, where answers go, and how long they may take", () => {
    const told = {
      device: `device:${uuid}`,
      responseSpace: `${own}/command/response`,
      responseTopic: undefined,
      withinMs: 30_000,
      ruleId: "topics.commands[0]",
    };
    const parts = {
      command: { part: "command", ...told },
      "command/request/7": {
        part: "command",
        ...told,
        responseTopic: `${own}/command/response/7`,
      },
      "command/response": { part: "response", ...told },
      "command/response/7": { part: "response", ...told },
    };
    for (const [channel, exchange] of Object.entries(parts)) {
      assert.deepEqual(exchangeOf(`${own}/${channel}`), exchange);
    }
  });

  test("is explained as one, with who may answer, how and how long", () => {
    const written = `topics: { commands: [{ topic: "{org}/{site}/{ward}/device/{uuid}/command", within: 10 }] }`;
    const told = (topic: string, topics = written) =>
      explain(parsePolicy(topics + roles), {
        subject: service("control"),
        action: "publish",
        topic,
        at: 0,
      }).exchange;
    const watched = `only device:${uuid} may answer, once, within 10 seconds; it is never retained, and no will (topics.commands[0])`;
    assert.equal(told(`${own}/telemetry`), undefined);
    assert.equal(told(`${own}/command`, "topics: { commands: [] }"), undefined);
    assert.equal(
      told(`${own}/command`),
      `it is a command: it needs MQTT 5.0, Correlation Data of 1 to 128 bytes and a Response Topic, ${own}/command/response or one level below it, that its sender may subscribe to; ${watched}`,
    );
    assert.equal(
      told(`${own}/command/request/7`),
      `it is a command: its answer goes to ${own}/command/response/7, and it has no Response Topic or Correlation Data; ${watched}`,
    );
    assert.match(told(`${own}/command/response/7`) ?? "", /^it is an answer: it passes only from /);
  });

  test("is what the policy says it is, and none where the schema is off and nothing is said", () => {
    const off = "topics: { schema: off }\n";
    assert.equal(exchangeOf(`${own}/command`, off), undefined);
    const written = `topics: { schema: off, commands: [{ topic: "{org}/{uuid}/do", within: 5 }] }\n`;
    assert.equal(exchangeOf(`${own}/command`, written), undefined);
    assert.equal(exchangeOf(`st-anna/${uuid}/do`, written)?.withinMs, 5_000);
    assert.equal(exchangeOf("st-anna/no-uuid/do", written), undefined);
    const none = "topics: { commands: [] }\n";
    assert.equal(exchangeOf(`${own}/command`, none), undefined);
  });

  test("is refused in a policy that does not say whom commands are for", () => {
    for (const topic of ["{org}/command", "{org}/{uuid}/#", "command/{uuid}", "{org}/{uuid}/+"]) {
      const text = `topics: { commands: ["${topic}"] }\n${roles}`;
      assert.throws(() => parsePolicy(text), PolicyError, topic);
    }
    for (const within of [0, 3601, 1.5]) {
      const text = `topics: { commands: [{ topic: "{org}/{uuid}/do", within: ${within} }] }\n${roles}`;
      assert.throws(() => parsePolicy(text), PolicyError, String(within));
    }
  });

  test("takes no retained message, whatever a rule allows", () => {
    const rights = compilePolicy(parsePolicy(roles)).rightsOf(device());
    const retainAt = (channel: string) =>
      rights.decidePublish(`${own}/${channel}`).terms.map(({ retain }) => retain);
    for (const channel of ["command", "command/request/1", "command/response/1"]) {
      assert.deepEqual(retainAt(channel), [false], channel);
    }
    assert.deepEqual(retainAt("config"), [true]);
  });
});
