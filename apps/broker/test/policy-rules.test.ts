import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { PropertyValues, PublishPacket, SubscribePacket } from "@wardmq/mqtt";
import { compilePolicy, parsePolicy } from "@wardmq/policy";
import { TimingWheel } from "../src/connection/timing-wheel.ts";
import { GrantClock } from "../src/enforcement/grant-clock.ts";
import { BrokerParts, type Link } from "./broker-parts.ts";
import { withoutInterval } from "./timers.ts";

const uuid = "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";
const own = `hospital/north/icu/device/${uuid}`;
const policy = `
roles:
  device:
    publish:
      - { filter: "{org}/{site}/{ward}/device/{id}/telemetry", qos: 1, payloadBytes: 4, contentType: application/json }
      - { filter: "{org}/{site}/{ward}/device/{id}/config", retain: allowed }
      - "{org}/{site}/{ward}/device/{id}/+"
      - "{org}/#"
  reader:
    subscribe: [{ filter: "{org}/+/+/device/+/telemetry", qos: 1 }, "{org}/deid/#"]
bindings:
  - { role: device, to: "device:*" }
  - { role: reader, to: "service:reader" }
deny:
  - { publish: ["{org}/+/+/device/+/command"], reason: a test }
  - { subscribe: ["{org}/deid/secret"], reason: a test }
`;
const strictTerms = policy.replace(
  '      - "{org}/{site}/{ward}/device/{id}/+"\n      - "{org}/#"\n',
  "",
);

function publish(topic: string, rest: Partial<PublishPacket> = {}): PublishPacket {
  const base = { qos: 1, retain: false, dup: false, packetId: 1, properties: {} } as const;
  return { type: "PUBLISH", topic, payload: Buffer.from("{}"), ...base, ...rest };
}

function subscribe(filter: string, qos: 0 | 1 | 2): SubscribePacket {
  const flags = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  return {
    type: "SUBSCRIBE",
    packetId: 1,
    subscriptions: [{ filter, qos, ...flags }],
    properties: {},
  };
}

function connected(parts: BrokerParts, kind: "device" | "service"): Link {
  const link = parts.link(kind === "device" ? parts.device(uuid) : parts.service("reader"));
  link.connect({ clientId: kind === "device" ? uuid : "reader" });
  link.take();
  return link;
}

/** The Reason Code and Reason String that a client is told. */
function answerTo(link: Link, packet: PublishPacket | SubscribePacket): readonly unknown[] {
  link.send(packet);
  const [answer] = link.take();
  if (answer?.type === "SUBACK") return [answer.reasonCodes[0], answer.properties.reasonString];
  assert.ok(answer?.type === "PUBACK" || answer?.type === "PUBREC", answer?.type);
  return [answer.reasonCode, answer.properties.reasonString];
}

describe("a message on an allowed topic", () => {
  const json = { properties: { contentType: "application/json" } };
  const rule = "not allowed by the policy: device/publish[0]";

  test("is refused where it breaks the terms of its rule, and told by which", () => {
    const parts = new BrokerParts({ policy: strictTerms });
    const link = connected(parts, "device");
    const telemetry = `${own}/telemetry`;
    assert.deepEqual(answerTo(link, publish(telemetry, json)), [0x10, undefined]);
    const broken: readonly Partial<PublishPacket>[] = [
      {},
      { properties: { contentType: "text/plain" } },
      { ...json, qos: 2 },
      { ...json, retain: true },
      { ...json, payload: Buffer.from("12345") },
    ];
    for (const rest of broken) {
      assert.deepEqual(
        answerTo(link, publish(telemetry, rest)),
        [0x87, rule],
        JSON.stringify(rest),
      );
    }
    const denied = parts.events.filter(({ type }) => type === "publish-denied");
    assert.deepEqual(new Set(denied.map(({ ruleId }) => ruleId)), new Set(["device/publish[0]"]));
    assert.equal(denied.length, broken.length);
  });

  test("is retained only where its rule says so", () => {
    const parts = new BrokerParts({ policy });
    const link = connected(parts, "device");
    const retained = { retain: true } as const;
    assert.equal(answerTo(link, publish(`${own}/alarm`, retained))[0], 0x87);
    assert.equal(answerTo(link, publish(`${own}/config`, retained))[0], 0x10);
    assert.equal(parts.retained.messages, 1);
  });

  test("is retained for as long as its rule and the limit say, and no longer", () => {
    for (const [rule, limit, seconds] of [
      ["retain: allowed, retainSeconds: 60", 600, 60],
      ["retain: allowed", 600, 600],
      ["retain: allowed, retainSeconds: 6000", 600, 600],
    ] as const) {
      const parts = new BrokerParts({
        policy: policy.replace("retain: allowed", rule).replaceAll("telemetry", "config"),
        limits: { retainedSeconds: limit },
      });
      const link = connected(parts, "device");
      const readers = [-1, 1].map((off) => ({ at: seconds * 1000 + off, came: off < 0 ? 1 : 0 }));
      const asked = { messageExpiryInterval: 100_000, contentType: "application/json" };
      for (const { at, came } of readers) {
        answerTo(link, publish(`${own}/config`, { retain: true, properties: asked }));
        parts.clock += at;
        const reader = connected(parts, "service");
        reader.send(subscribe("hospital/+/+/device/+/config", 1));
        const got = reader.take().filter(({ type }) => type === "PUBLISH");
        assert.equal(got.length, came, `${rule}, after ${at} ms`);
        reader.drop();
      }
    }
  });

  test("that is retained already has the life that its rule gets later, from when it was retained", () => {
    const within = (rule: string) =>
      policy.replace("retain: allowed", rule).replaceAll("telemetry", "config");
    for (const { passed, came } of [
      { passed: 59_999, came: 1 },
      { passed: 60_000, came: 0 },
    ]) {
      const parts = new BrokerParts({ policy: within("retain: allowed") });
      answerTo(connected(parts, "device"), publish(`${own}/config`, { retain: true }));
      parts.clock += passed;
      parts.usePolicy(within("retain: allowed, retainSeconds: 60"));
      const reader = connected(parts, "service");
      reader.send(subscribe("hospital/+/+/device/+/config", 1));
      const got = reader.take().filter(({ type }) => type === "PUBLISH");
      assert.deepEqual([got.length, parts.retained.messages], [came, came], `after ${passed} ms`);
    }
  });

  test("is withheld when it waited and its rule no longer allows such messages", () => {
    const parts = new BrokerParts({ policy });
    const link = connected(parts, "device");
    answerTo(link, publish(`${own}/config`, { retain: true }));
    parts.usePolicy(policy.replace(", retain: allowed", "").replaceAll("telemetry", "config"));
    const reader = connected(parts, "service");
    reader.send(subscribe("hospital/+/+/device/+/config", 1));
    assert.deepEqual(
      reader.take().map(({ type }) => type),
      ["SUBACK"],
    );
    assert.equal(parts.retained.messages, 0);
  });
});

describe("a topic", () => {
  test("outside of the schema, or met by a deny rule, is refused whatever the roles say", () => {
    const link = connected(new BrokerParts({ policy }), "device");
    assert.equal(answerTo(link, publish(`${own}/lifecycle`))[0], 0x10);
    assert.deepEqual(answerTo(link, publish("hospital/notes")), [
      0x87,
      "not allowed by the policy: topics",
    ]);
    assert.deepEqual(answerTo(link, publish(`${own}/command`)), [
      0x87,
      "not allowed by the policy: deny[0]/publish[0]",
    ]);
  });
});

describe("a subscription", () => {
  test("gets the QoS of its rule, and is refused where it meets a deny rule", () => {
    const link = connected(new BrokerParts({ policy }), "service");
    assert.deepEqual(answerTo(link, subscribe("hospital/+/+/device/+/telemetry", 2)), [
      1,
      undefined,
    ]);
    assert.deepEqual(answerTo(link, subscribe("hospital/deid/open", 1)), [1, undefined]);
    assert.equal(answerTo(link, subscribe("hospital/deid/#", 1))[0], 0x87);
  });
});

describe("a Response Topic", () => {
  const answered = policy.replace(
    "  reader:\n",
    '    subscribe: ["{org}/{site}/{ward}/device/{id}/command/response"]\n  reader:\n',
  );
  const allowed = `${own}/command/response`;
  const denied = [
    `${own}/telemetry`,
    `hospital/north/icu/device/${uuid.replace("0b", "0c")}/command/response`,
    "other/north/icu/reply",
    "$SYS/reply",
    `$share/group/${allowed}`,
  ];

  test("is refused where the requester itself may not subscribe to it", () => {
    const parts = new BrokerParts({ policy: answered });
    const link = connected(parts, "device");
    const ask = (responseTopic: string) =>
      answerTo(link, publish(`${own}/alarm`, { properties: { responseTopic } }))[0];
    assert.deepEqual(
      denied.map(ask),
      denied.map(() => 0x87),
    );
    assert.deepEqual(
      parts.events.filter(({ type }) => type === "publish-denied").map((event) => event.topic),
      denied,
    );
    assert.equal(parts.events.at(-1)?.check, "response-topic");
    assert.equal(ask(allowed), 0x10);
    parts.usePolicy(policy);
    assert.equal(ask(allowed), 0x87);
  });

  test("of a will is refused likewise, when the will is set and when it is sent", () => {
    const parts = new BrokerParts({ policy: answered });
    const connect = (responseTopic: string) => {
      const link = parts.link(parts.device(uuid));
      const payload = Buffer.from("gone");
      const will = { topic: `${own}/alarm`, payload, qos: 1, retain: false } as const;
      const [connack] = link.connect({
        clientId: uuid,
        will: { ...will, properties: { responseTopic } },
      });
      assert.ok(connack?.type === "CONNACK");
      return { link, code: connack.reasonCode };
    };
    assert.deepEqual(
      denied.map((topic) => connect(topic).code),
      denied.map(() => 0x87),
    );
    const { link, code } = connect(allowed);
    assert.equal(code, 0);
    parts.usePolicy(policy);
    const before = parts.events.length;
    link.drop();
    const told = parts.events.slice(before).filter(({ type }) => type === "will-denied");
    assert.deepEqual(
      told.map(({ topic, check }) => [topic, check]),
      [[allowed, "response-topic"]],
    );
  });
});

describe("what looks like an identifier of a patient", () => {
  const loose = policy.replace("\nroles:", "\ntopics: { schema: off }\nroles:");
  const secret = "123-45-6789";

  test("is refused in a topic, a user property and a response topic, and stands in no event", () => {
    const parts = new BrokerParts({ policy: loose });
    const link = connected(parts, "device");
    const properties = (value: string) => ({ userProperty: [["x", value]] as [string, string][] });
    assert.equal(answerTo(link, publish(`hospital/${secret}`))[0], 0x87);
    assert.equal(answerTo(link, publish(`other/${secret}`))[0], 0x87);
    assert.equal(
      answerTo(link, publish(`${own}/alarm`, { properties: properties(secret) }))[0],
      0x87,
    );
    assert.equal(
      answerTo(link, publish(`${own}/alarm`, { properties: properties("900-45-6789") }))[0],
      0x10,
    );
    const responseTopic = `hospital/${secret}`;
    assert.equal(
      answerTo(link, publish(`${own}/alarm`, { properties: { responseTopic } }))[0],
      0x87,
    );
    const reader = connected(parts, "service");
    const filters = [
      `hospital/deid/${secret}`,
      `$share/${secret}/hospital/+/+/device/+/telemetry`,
      "hospital/deid/x",
    ];
    assert.deepEqual(
      filters.map((filter) => answerTo(reader, subscribe(filter, 1))[0]),
      [0x87, 0x87, 1],
    );
    const blocked = parts.events.filter(({ type }) => type === "phi-blocked");
    const ofFilters = blocked.filter(({ details }) => details?.["place"] === "topic filter");
    assert.equal(ofFilters.length, 2);
    const found = blocked.filter((one) => !ofFilters.includes(one));
    assert.deepEqual(
      found.map(({ check, details }) => [check, details?.["place"]]),
      [
        ["phi:ssn", "topic"],
        ["phi:ssn", "user property"],
        ["phi:ssn", "response topic"],
      ],
    );
    assert.equal(new Set(found.map(({ details }) => details?.["hash"])).size, 1);
    assert.ok(!JSON.stringify(parts.events).includes(secret));
  });

  test("is refused as a content type, and as what a will brings along", () => {
    const parts = new BrokerParts({ policy: loose });
    const link = connected(parts, "device");
    const typed = (contentType: string) =>
      answerTo(link, publish(`${own}/alarm`, { properties: { contentType } }))[0];
    assert.deepEqual([typed("text/plain"), typed(`x/${secret}`)], [0x10, 0x87]);
    assert.deepEqual([typed("text/plain"), typed(`x/${secret}`)], [0x10, 0x87]);
    const willOf = (properties: PropertyValues) => {
      const [connack] = parts.link(parts.device(uuid)).connect({
        clientId: uuid,
        will: {
          topic: `${own}/alarm`,
          payload: Buffer.from("gone"),
          qos: 1,
          retain: false,
          properties,
        },
      });
      assert.ok(connack?.type === "CONNACK");
      return connack.reasonCode;
    };
    const before = parts.events.length;
    assert.deepEqual(
      [
        willOf({ userProperty: [["ssn", secret]] }),
        willOf({ userProperty: [[secret, "x"]] }),
        willOf({ contentType: `x/${secret}` }),
        willOf({ userProperty: [["bed", "4"]], contentType: "text/plain" }),
      ],
      [0x87, 0x87, 0x87, 0],
    );
    const found = parts.events.slice(before).filter(({ type }) => type === "phi-blocked");
    assert.deepEqual(
      found.map(({ details }) => details?.["place"]),
      ["user property", "user property", "content type"],
    );
    assert.ok(!JSON.stringify(parts.events).includes(secret));
  });

  test("keeps a will from being sent that a later policy finds something in", () => {
    const parts = new BrokerParts({ policy: `${loose}\nphi: { mode: off }` });
    const link = parts.link(parts.device(uuid));
    const properties = { userProperty: [["x", secret]] as [string, string][] };
    const will = {
      topic: `${own}/alarm`,
      payload: Buffer.from("gone"),
      qos: 1,
      retain: false,
      properties,
    } as const;
    const [connack] = link.connect({ clientId: uuid, will });
    assert.ok(connack?.type === "CONNACK" && connack.reasonCode === 0);
    parts.usePolicy(loose);
    link.drop();
    assert.equal(parts.events.filter(({ type }) => type === "phi-blocked").length, 1);
  });

  test("is refused as the client id of a service", () => {
    const parts = new BrokerParts({ policy: loose });
    const link = parts.link(parts.service("reader"));
    const [connack] = link.connect({ clientId: `ssn-${secret}` });
    assert.ok(connack?.type === "CONNACK" && connack.reasonCode === 0x85);
    assert.ok(!JSON.stringify(parts.events).includes(secret));
  });
});

describe("a grant", () => {
  test("begins and ends by itself", () => {
    let now = Date.parse("2026-12-01T07:59:59Z");
    const { made: wheel, turn } = withoutInterval(
      () =>
        new TimingWheel(
          () => now,
          (error) => assert.fail(String(error)),
        ),
    );
    const changes: string[] = [];
    const clock = new GrantClock(
      wheel,
      () => now,
      () => {
        changes.push(new Date(now).toISOString());
      },
    );
    const grant = (from: string, until: string) =>
      `{ role: r, to: "service:a", from: "${from}", until: "${until}", reason: x, approvedBy: y }`;
    const text = `roles: { r: {} }\ngrants: [${grant("2026-12-01T08:00:00Z", "2026-12-01T08:00:05Z")}]`;
    clock.use(compilePolicy(parsePolicy(text)));
    for (let i = 0; i < 200; i += 1) {
      now += 50;
      turn();
    }
    assert.equal(changes.length, 2);
    for (const [i, time] of ["2026-12-01T08:00:00Z", "2026-12-01T08:00:05Z"].entries()) {
      const late = Date.parse(changes[i] ?? "") - Date.parse(time);
      assert.ok(late >= 0 && late < 1000, `${late} ms`);
    }
  });
});
