import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Packet, ProtocolVersion, PublishPacket } from "@wardmq/mqtt";
import type { SubjectState } from "../src/enforcement/subjects.ts";
import { BrokerParts, type Link } from "./broker-parts.ts";
import { SlowStore } from "./slow-store.ts";

const [pump, otherPump] = [
  "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11",
  "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c12",
];
const at = (uuid: string) => `hospital/north/icu/device/${uuid}/command`;
const [command, response] = [at(pump), `${at(pump)}/response`];

const policy = `
roles:
  pump:
    publish:
      - "{org}/{site}/{ward}/device/{id}/command/response"
      - "{org}/{site}/{ward}/device/{id}/command/response/+"
      - "{org}/{site}/{ward}/device/{id}/alarm"
    subscribe:
      - "{org}/{site}/{ward}/device/{id}/command"
      - "{org}/{site}/{ward}/device/{id}/command/request/+"
  commander:
    publish:
      - { filter: "{org}/+/+/device/+/command", retain: allowed }
      - { filter: "{org}/+/+/device/+/command/request/+", retain: allowed }
    subscribe:
      - "{org}/+/+/device/+/command/response"
      - "{org}/+/+/device/+/command/response/+"
  forger:
    publish: ["{org}/+/+/device/+/command/response", "{org}/+/+/device/+/command/response/+"]
bindings:
  - { role: pump, to: "device:*" }
  - { role: commander, to: "service:control" }
  - { role: commander, to: "service:other" }
  - { role: forger, to: "service:forger" }
`;

/** Any topic may be read, so that only what a command has to be refuses it. */
const loose = policy
  .replace(
    "\nroles:",
    `\ntopics: { schema: off, commands: ["{org}/{site}/{ward}/device/{uuid}/command"] }\nroles:`,
  )
  .replace(`      - "{org}/+/+/device/+/command/response"\n`, `      - "{org}/#"\n`);

const versions = [5, 4] as const;
const levels = [0, 1, 2] as const;

interface Sent extends Partial<PublishPacket> {
  readonly text?: string;
}

let packetId = 0;
function publish(topic: string, { text = "x", ...rest }: Sent = {}): PublishPacket {
  const { qos = 1 } = rest;
  packetId += 1;
  const base = { retain: false, dup: false, properties: {} };
  const id = qos === 0 ? undefined : packetId;
  return {
    type: "PUBLISH",
    topic,
    payload: Buffer.from(text),
    qos,
    packetId: id,
    ...base,
    ...rest,
  } as PublishPacket;
}

/** Properties of a command whose answer goes below its own topic. */
const asks = (correlation: string, responseTopic = response) => ({
  properties: { responseTopic, correlationData: Buffer.from(correlation) },
});
const answers = (correlation: string) => ({
  properties: { correlationData: Buffer.from(correlation) },
});

class Ward {
  readonly parts: BrokerParts;

  constructor(options: ConstructorParameters<typeof BrokerParts>[0] = {}) {
    this.parts = new BrokerParts({ policy, ...options });
  }

  device(uuid: string, version: ProtocolVersion = 5, values: object = {}): Link {
    const filters = [at(uuid), `${at(uuid)}/request/+`];
    return this.#connect(this.parts.device(uuid), uuid, version, filters, values);
  }

  service(name: string, version: ProtocolVersion = 5, values: object = {}): Link {
    const filters =
      name === "forger"
        ? []
        : ["hospital/+/+/device/+/command/response", "hospital/+/+/device/+/command/response/+"];
    return this.#connect(this.parts.service(name), name, version, filters, values);
  }

  #connect(
    subject: SubjectState,
    clientId: string,
    version: ProtocolVersion,
    filters: readonly string[],
    values: object,
  ): Link {
    const link = this.parts.link(subject);
    const [connack] = link.connect({ clientId, version, ...values });
    assert.ok(connack?.type === "CONNACK" && connack.reasonCode === 0, `${clientId} is let in`);
    if (filters.length > 0) subscribe(link, ...filters);
    return link;
  }

  /** Type, check and rule of what was recorded since the last call. */
  events(): readonly string[] {
    return this.parts.events
      .splice(0)
      .filter(({ type }) => type.endsWith("-denied") || type === "limit-reached")
      .map(({ type, check, ruleId, limit }) =>
        [type, check, ruleId, limit].filter(Boolean).join(" "),
      );
  }
}

function subscribe(link: Link, ...filters: readonly string[]): void {
  const options = { qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  const subscriptions = filters.map((filter) => ({ filter, ...options }));
  link.send({ type: "SUBSCRIBE", packetId: 9, subscriptions, properties: {} });
  const [suback] = link.take();
  assert.ok(suback?.type === "SUBACK" && suback.reasonCodes.every((code) => code < 3));
}

/** What has come beside answers, and was not read yet. */
const inboxes = new WeakMap<Link, Packet[]>();
const inboxOf = (link: Link) => {
  const inbox = inboxes.get(link) ?? [];
  inboxes.set(link, inbox);
  return inbox;
};

function answerOf(link: Link): Packet | undefined {
  const packets = link.take();
  inboxOf(link).push(...packets.filter(({ type }) => type === "PUBLISH"));
  return packets.find(({ type }) => type !== "PUBLISH");
}

/** Sends it, finishes QoS 2, and tells how it was answered. */
function tell(link: Link, packet: PublishPacket): string {
  link.send(packet);
  const answer = answerOf(link);
  if (answer?.type === "DISCONNECT" || link.isClosed) return "closed";
  if (answer === undefined) return "no answer";
  assert.ok(answer.type === "PUBACK" || answer.type === "PUBREC", answer.type);
  const { reasonCode, packetId } = answer;
  if (reasonCode >= 0x80) return `0x${reasonCode.toString(16)}`;
  if (answer.type === "PUBREC") {
    link.send({ type: "PUBREL", packetId, reasonCode: 0, properties: {} });
    assert.equal(answerOf(link)?.type, "PUBCOMP");
  }
  return "taken";
}

/** The texts of the messages that have come, each acknowledged. */
function read(link: Link): readonly string[] {
  const texts: string[] = [];
  const inbox = inboxOf(link).splice(0);
  for (let packets = [...inbox, ...link.take()]; packets.length > 0; packets = link.take()) {
    for (const packet of packets) {
      if (packet.type === "PUBREL") {
        link.send({ ...packet, type: "PUBCOMP" });
        continue;
      }
      assert.ok(packet.type === "PUBLISH", packet.type);
      texts.push(Buffer.from(packet.payload).toString());
      const { packetId, qos } = packet;
      if (packetId === undefined) continue;
      link.send({
        type: qos === 1 ? "PUBACK" : "PUBREC",
        packetId,
        reasonCode: 0,
        properties: {},
      } as Packet);
    }
  }
  return texts;
}

describe("a command of MQTT 5.0", () => {
  const elsewhere = `${at(otherPump)}/response`;
  const broken: readonly (readonly [string, string, Sent])[] = [
    ["without a Response Topic", "response-topic", answers("1")],
    ["whose answer would come from another device", "response-topic", asks("1", elsewhere)],
    ["whose answer would be two levels down", "response-topic", asks("1", `${response}/a/b`)],
    ["whose answer would have an empty level", "response-topic", asks("1", `${response}/`)],
    ["whose answer would go beside", "response-topic", asks("1", `${response}s`)],
    ["without Correlation Data", "correlation-data", { properties: { responseTopic: response } }],
    ["with empty Correlation Data", "correlation-data", asks("")],
    ["with Correlation Data beyond 128 bytes", "correlation-data", asks("x".repeat(129))],
  ];
  for (const [how, check, sent] of broken) {
    test(`${how} is refused at every QoS, and told by its rule`, () => {
      const ward = new Ward({ policy: loose });
      const [device, control] = [ward.device(pump), ward.service("control")];
      for (const qos of levels) {
        const answer = qos === 0 ? "no answer" : "0x87";
        assert.equal(tell(control, publish(command, { ...sent, qos })), answer);
        assert.deepEqual(ward.events(), [`command-denied ${check} topics.commands[0]`]);
      }
      assert.deepEqual(read(device), []);
      assert.equal(ward.parts.enforcement.commands.size, 0);
    });
  }

  test("is refused where its sender may not read the answer", () => {
    const ward = new Ward({
      policy: policy.replaceAll(
        '    subscribe:\n      - "{org}/+',
        '    subscribe:\n      - "{org}/south',
      ),
    });
    const [device, link] = [ward.device(pump), ward.parts.link(ward.parts.service("control"))];
    link.connect({ clientId: "control" });
    assert.equal(tell(link, publish(command, asks("1"))), "0x87");
    assert.deepEqual(ward.events(), ["publish-denied response-topic"]);
    assert.deepEqual(read(device), []);
  });

  test("is never retained, whatever its rule allows, nor is its answer", () => {
    const ward = new Ward();
    const [device, control] = [ward.device(pump), ward.service("control")];
    for (const topic of [command, `${command}/request/1`]) {
      assert.equal(tell(control, publish(topic, { ...asks("1"), retain: true })), "0x87");
    }
    assert.equal(tell(control, publish(command, asks("1"))), "taken");
    assert.equal(tell(device, publish(response, { ...answers("1"), retain: true })), "0x87");
    assert.equal(ward.parts.retained.messages, 0);
  });

  test("is no will, and neither is an answer", () => {
    const ward = new Ward();
    const will = (topic: string, subject: SubjectState, clientId: string) => {
      const link = ward.parts.link(subject);
      const payload = Buffer.from("x");
      const [connack] = link.connect({
        clientId,
        will: { topic, payload, qos: 1, retain: false, ...asks("1") },
      });
      return connack?.type === "CONNACK" && connack.reasonCode;
    };
    assert.equal(will(command, ward.parts.service("control"), "control"), 0x87);
    assert.equal(will(response, ward.parts.device(pump), pump), 0x87);
    assert.deepEqual(ward.events(), [
      "will-denied policy topics.commands[0]",
      "will-denied policy topics.commands[0]",
    ]);
  });

  test("with a correlation that is in use is refused, to whoever sends it; sent again it is not", () => {
    const ward = new Ward();
    const [device, control, other] = [
      ward.device(pump),
      ward.service("control"),
      ward.service("other"),
    ];
    assert.equal(tell(control, publish(command, asks("1"))), "taken");
    for (const link of [control, other]) {
      assert.equal(tell(link, publish(command, asks("1"))), "0x87");
      assert.equal(tell(other, publish(command, { ...asks("1"), dup: true })), "0x87");
    }
    assert.deepEqual(
      new Set(ward.events()),
      new Set(["command-denied correlation-in-use topics.commands[0]"]),
    );
    assert.equal(
      tell(control, publish(command, { ...asks("1"), dup: true, text: "again" })),
      "taken",
    );
    assert.deepEqual(read(device), ["x", "again"]);
    assert.equal(ward.parts.enforcement.commands.size, 1);
    assert.equal(tell(control, publish(command, asks("2"))), "taken");
  });

  test("opens nothing where nobody gets it", () => {
    const ward = new Ward();
    const control = ward.service("control");
    assert.equal(tell(control, publish(command, asks("1"))), "taken");
    assert.equal(ward.parts.enforcement.commands.size, 0);
    const device = ward.device(pump);
    assert.equal(tell(device, publish(response, answers("1"))), "0x87");
    assert.deepEqual(ward.events(), ["response-denied unsolicited topics.commands[0]"]);
  });
});

describe("an answer", () => {
  for (const version of versions) {
    const edition = version === 5 ? "5.0" : "3.1.1";
    /** 5.0 is told; 3.1.1 is acknowledged, for its connection must not end. */
    const refused = version === 5 ? "0x87" : "taken";
    const topic = version === 5 ? response : `${response}/1`;
    const ask = version === 5 ? publish(command, asks("1")) : publish(`${command}/request/1`);
    const reply = (sent: Sent = {}) =>
      publish(topic, { ...(version === 5 ? answers("1") : {}), ...sent });
    const denied = (check: string) => [`response-denied ${check} topics.commands[0]`];

    test(`nobody asked for is refused to a ${edition} device at every QoS, and its alarms go on`, () => {
      const ward = new Ward();
      const [device, control] = [ward.device(pump, version), ward.service("control")];
      for (const qos of levels) {
        assert.equal(tell(device, reply({ qos })), qos === 0 ? "no answer" : refused);
        assert.deepEqual(ward.events(), denied("unsolicited"));
      }
      assert.deepEqual(read(control), []);
      assert.equal(tell(device, publish(command.replace("/command", "/alarm"))), "taken");
    });

    test(`goes once, at every QoS, to whoever asked, and to nobody else, from a ${edition} device`, () => {
      const ward = new Ward();
      const device = ward.device(pump, version);
      const [control, other] = [ward.service("control"), ward.service("other", 4)];
      for (const qos of levels) {
        assert.equal(
          tell(control, {
            ...ask,
            qos,
            packetId: qos === 0 ? undefined : 40 + qos,
          } as PublishPacket),
          qos === 0 ? "no answer" : "taken",
        );
        assert.deepEqual(read(device), ["x"]);
        const answer = reply({ qos, text: `answer ${qos}` });
        assert.equal(tell(device, answer), qos === 0 ? "no answer" : "taken");
        assert.deepEqual(read(control), [`answer ${qos}`]);
        assert.deepEqual(read(other), []);
        assert.deepEqual(ward.events(), []);
        assert.equal(tell(device, reply({ text: "and another" })), refused);
        assert.deepEqual(ward.events(), denied("second"));
        assert.deepEqual([...read(control), ...read(other)], []);
      }
      assert.equal(ward.parts.enforcement.commands.size, 0);
    });

    test(`after its time is refused to a ${edition} device, until a millisecond before it is not`, () => {
      const ward = new Ward();
      const [device, control] = [ward.device(pump, version), ward.service("control")];
      tell(control, ask);
      ward.parts.advance(30_200);
      assert.equal(tell(device, reply()), refused);
      assert.deepEqual(ward.events(), denied("late"));
      assert.equal(ward.parts.enforcement.commands.size, 0);
      tell(control, { ...ask, packetId: 50 } as PublishPacket);
      ward.parts.advance(29_999);
      assert.equal(tell(device, reply({ text: "in time" })), "taken");
      assert.deepEqual(read(control), ["in time"]);
    });

    test(`of another than the device that was asked is refused, whatever the policy allows (${edition})`, () => {
      const ward = new Ward();
      const [device, control, forger] = [
        ward.device(pump, version),
        ward.service("control"),
        ward.service("forger", version),
      ];
      const otherDevice = ward.device(otherPump, version);
      tell(control, ask);
      assert.equal(tell(forger, reply({ text: "forged" })), refused);
      assert.deepEqual(ward.events(), denied("crossed"));
      assert.equal(
        tell(otherDevice, reply({ text: "crossed" })),
        version === 5 ? "0x87" : "closed",
      );
      assert.deepEqual(ward.events(), ["publish-denied policy"]);
      assert.deepEqual(read(control), []);
      assert.equal(tell(device, reply({ text: "true" })), "taken");
      assert.deepEqual(read(control), ["true"]);
    });
  }

  test("with another correlation, without one, or to another topic answers nothing", () => {
    const ward = new Ward();
    const [device, control] = [ward.device(pump), ward.service("control")];
    tell(control, publish(command, asks("1")));
    tell(control, publish(`${command}/request/7`));
    const wrong = [
      publish(response, answers("2")),
      publish(response),
      publish(`${response}/1`, answers("1")),
      publish(`${response}/7`, answers("7")),
      publish(`${response}/8`),
    ];
    for (const packet of wrong) assert.equal(tell(device, packet), "0x87");
    assert.deepEqual(
      new Set(ward.events()),
      new Set(["response-denied unsolicited topics.commands[0]"]),
    );
    assert.deepEqual(read(control), []);
    assert.equal(ward.parts.enforcement.commands.size, 2);
    assert.equal(tell(device, publish(`${response}/7`, { text: "seven" })), "taken");
    assert.equal(tell(device, publish(response, { ...answers("1"), text: "one" })), "taken");
    assert.deepEqual(read(control), ["seven", "one"]);
  });

  test("goes to the requester's member of a shared subscription, never to another's", () => {
    const ward = new Ward();
    const [device, control] = [ward.device(pump), ward.service("control")];
    const other = ward.service("other");
    for (const link of [other, control])
      subscribe(link, "$share/g/hospital/+/+/device/+/command/response/+");
    for (let i = 0; i < 4; i += 1) {
      tell(control, publish(command, asks(`${i}`, `${response}/control`)));
      assert.equal(tell(device, publish(`${response}/control`, answers(`${i}`))), "taken");
      assert.deepEqual([read(control), read(other)], [["x", "x"], []]); // its own subscription, and the shared one
    }
  });

  test("and its command carry their properties on, and find each other in every mixture of editions", () => {
    for (const [asking, answering] of versions.flatMap((one) =>
      versions.map((two) => [one, two] as const),
    )) {
      const ward = new Ward();
      const [device, control] = [ward.device(pump, answering), ward.service("control", asking)];
      assert.equal(tell(control, publish(`${command}/request/a-1`)), "taken");
      assert.deepEqual(read(device), ["x"]);
      assert.equal(tell(device, publish(`${response}/a-1`, { text: "done" })), "taken");
      assert.deepEqual(read(control), ["done"]);
    }
    const ward = new Ward();
    const [device, control] = [ward.device(pump), ward.service("control")];
    tell(control, publish(command, asks("1", `${response}/control`)));
    const [asked] = device.take();
    assert.ok(asked?.type === "PUBLISH");
    assert.equal(asked.properties.responseTopic, `${response}/control`);
    assert.deepEqual(asked.properties.correlationData, Buffer.from("1"));
    tell(device, publish(`${response}/control`, answers("1")));
    const [answered] = control.take();
    assert.ok(answered?.type === "PUBLISH");
    assert.deepEqual(answered.properties.correlationData, Buffer.from("1"));
  });
});

describe("a command of MQTT 3.1.1", () => {
  test("needs its correlation in the topic: without it the connection ends", () => {
    const ward = new Ward();
    const control = ward.service("control", 4);
    assert.equal(tell(control, publish(command)), "closed");
    assert.deepEqual(ward.events(), ["command-denied response-topic topics.commands[0]"]);
  });

  test("has it there alone: a 5.0 client that says it twice is refused", () => {
    const ward = new Ward();
    const control = ward.service("control");
    assert.equal(
      tell(control, publish(`${command}/request/1`, asks("1", `${response}/1`))),
      "0x87",
    );
    assert.equal(tell(control, publish(`${command}/request/1`, answers("1"))), "0x87");
    assert.deepEqual(ward.events(), [
      "command-denied response-topic topics.commands[0]",
      "command-denied correlation-data topics.commands[0]",
    ]);
  });
});

describe("a device that is away", () => {
  const kept = { cleanStart: false, properties: { sessionExpiryInterval: 600 } };

  test("gets a command that still can be answered, and none that cannot", () => {
    const ward = new Ward();
    const control = ward.service("control");
    ward.device(pump, 5, kept).drop();
    tell(control, publish(command, asks("early")));
    ward.parts.advance(20_000);
    tell(control, publish(command, { ...asks("later"), text: "later" }));
    ward.parts.advance(15_000);
    const link = ward.parts.link(ward.parts.device(pump));
    const [, ...waited] = link.connect({ clientId: pump, ...kept });
    assert.deepEqual(
      waited.map((packet) => packet.type === "PUBLISH" && String(packet.payload)),
      ["later"],
    );
    assert.equal(tell(link, publish(response, answers("early"))), "0x87");
    assert.equal(tell(link, publish(response, { ...answers("later"), text: "done" })), "taken");
    assert.deepEqual(read(control), ["done"]);
    assert.deepEqual(ward.events(), ["response-denied late topics.commands[0]"]);
  });

  test("answers a requester that went away meanwhile", () => {
    const ward = new Ward();
    const [device, control] = [ward.device(pump), ward.service("control", 5, kept)];
    tell(control, publish(command, asks("1")));
    control.drop();
    assert.equal(tell(device, publish(response, { ...answers("1"), text: "done" })), "taken");
    const again = ward.parts.link(ward.parts.service("control"));
    const [, answer] = again.connect({ clientId: "control", ...kept });
    assert.equal(answer?.type === "PUBLISH" && String(answer.payload), "done");
  });

  test("finds no command open after the broker has started again, and is told so", async () => {
    const store = new SlowStore();
    const ward = new Ward({ store });
    const commit = ({ parts }: Ward, from: SlowStore) => {
      for (let i = 0; i < 4 || from.isBusy; i += 1) {
        parts.advance(0);
        from.finish();
        parts.turn();
      }
    };
    const open = (on: Ward, from: SlowStore) => {
      const link = on.parts.link(on.parts.device(pump));
      link.connect({ clientId: pump, ...kept });
      commit(on, from);
      return link;
    };
    open(ward, store).drop();
    tell(ward.service("control"), publish(command, asks("1")));
    commit(ward, store);
    const survivor = store.survivor();
    const next = new Ward({ store: survivor });
    next.parts.clock = ward.parts.clock;
    next.parts.device(pump);
    await next.parts.restore();
    const device = open(next, survivor);
    device.take();
    device.send(publish(response, answers("1")));
    commit(next, survivor);
    const [puback] = device.take();
    assert.ok(puback?.type === "PUBACK" && puback.reasonCode === 0x87);
    assert.deepEqual(next.events(), ["response-denied unsolicited topics.commands[0]"]);
  });
});

describe("commands that wait for an answer", () => {
  const limited = (limits: object) => {
    const ward = new Ward({ limits });
    const links = {
      device: ward.device(pump),
      control: ward.service("control"),
      other: ward.service("other"),
    };
    ward.device(otherPump);
    return { ward, ...links };
  };
  const toOther = (correlation: string) =>
    publish(at(otherPump), asks(correlation, `${at(otherPump)}/response`));

  test("are bounded in all, for each requester and for each device", () => {
    const rows = [
      ["openCommands", (other: Link) => tell(other, toOther("3"))],
      ["openCommandsPerDevice", (other: Link) => tell(other, publish(command, asks("3")))],
    ] as const;
    for (const [limit, beyond] of rows) {
      const { ward, control, other, device } = limited({ [limit]: 2 });
      for (const correlation of ["1", "2"]) tell(control, publish(command, asks(correlation)));
      assert.equal(beyond(other), "0x97");
      assert.deepEqual(ward.events(), [`limit-reached ${limit}`]);
      assert.equal(tell(device, publish(response, answers("1"))), "taken");
      assert.equal(beyond(other), "taken");
    }
    const { ward, control, other } = limited({ openCommandsPerRequester: 2 });
    tell(control, publish(command, asks("1")));
    tell(control, toOther("2"));
    assert.equal(tell(control, publish(command, asks("3"))), "0x97");
    assert.deepEqual(ward.events(), ["limit-reached openCommandsPerRequester"]);
    assert.equal(tell(other, publish(command, asks("3"))), "taken");
    ward.parts.advance(31_000);
    assert.equal(tell(control, publish(command, asks("3"))), "taken");
  });

  test("hold memory that is given back when they end", () => {
    const { ward, control, device } = limited({});
    const before = ward.parts.budget.state;
    for (let i = 0; i < 10; i += 1) tell(control, publish(command, asks(`${i}`)));
    assert.ok(ward.parts.budget.state > before + 10 * 768);
    for (let i = 0; i < 5; i += 1) tell(device, publish(response, answers(`${i}`)));
    ward.parts.advance(31_000);
    assert.equal(ward.parts.budget.state, before);
  });
});
