import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Packet, PublishPacket } from "@wardmq/mqtt";
import type { SubjectState } from "../src/enforcement/subjects.ts";
import { BrokerParts, deviceRecord, type Link, serviceRecord } from "./broker-parts.ts";

const orgs = ["st-anna", "st-bonaventure"] as const;
type Org = (typeof orgs)[number];
const uuidOf: Record<Org, string> = {
  "st-anna": "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11",
  "st-bonaventure": "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c12",
};
const at = (org: Org, channel: string) => `${org}/north/icu/device/${uuidOf[org]}/${channel}`;

/** Every right there can be, and no filter says which tenant it is for but by {org}. */
const policyOf = (schema: string) => `
${schema}
tenants: { st-anna: {}, st-bonaventure: {} }
roles:
  all:
    publish: [{ filter: "{org}/#", retain: allowed }]
    subscribe: ["{org}/#"]
bindings:
  - { role: all, to: "device:*" }
  - { role: all, to: "service:*" }
`;
const policies = {
  "the standard topics": policyOf(""),
  "no topic schema, and rules that name no tenant": policyOf("topics: { schema: off }").replaceAll(
    "{org}/#",
    "+/#",
  ),
};

class Hospitals {
  readonly parts: BrokerParts;

  constructor(policy: string) {
    this.parts = new BrokerParts({ policy });
  }

  /** The device of a hospital, or a service that works for it. */
  subject(org: Org, kind: "device" | "service"): SubjectState {
    const { subjects } = this.parts;
    const uuid = uuidOf[org];
    const record = kind === "device" ? deviceRecord(uuid) : serviceRecord(`console-${org}`);
    const { id } = record;
    if (subjects.get(id) === undefined) {
      subjects.put({ ...record, attributes: { ...record.attributes, org } });
    }
    return subjects.get(id) as SubjectState;
  }

  connect(org: Org, kind: "device" | "service", values: object = {}): Link {
    const link = this.parts.link(this.subject(org, kind));
    const clientId = kind === "device" ? uuidOf[org] : `console-${org}`;
    link.connect({ clientId, ...values });
    return link;
  }
}

const kept = { cleanStart: false, properties: { sessionExpiryInterval: 600 } };

function publish(topic: string, rest: Partial<PublishPacket> = {}): PublishPacket {
  const base = { qos: 1, retain: false, dup: false, packetId: 7, properties: {} } as const;
  return { type: "PUBLISH", topic, payload: Buffer.from("x"), ...base, ...rest };
}

function subscribe(link: Link, filter: string): number {
  const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  link.send({
    type: "SUBSCRIBE",
    packetId: 1,
    subscriptions: [{ filter, ...options }],
    properties: {},
  });
  const suback = link.take().find(({ type }) => type === "SUBACK");
  return suback?.type === "SUBACK" ? (suback.reasonCodes[0] ?? 0xff) : 0xff;
}

const messagesOf = (packets: readonly Packet[]) => packets.filter(({ type }) => type === "PUBLISH");
const codeOf = (link: Link) => {
  const answer = link.take().find(({ type }) => type === "PUBACK");
  return answer?.type === "PUBACK" ? answer.reasonCode : undefined;
};

for (const [how, policy] of Object.entries(policies)) {
  describe(`two hospitals on one broker, with ${how}`, () => {
    for (const kind of ["device", "service"] as const) {
      for (const [org, other] of [orgs, [...orgs].reverse()] as [Org, Org][]) {
        const who = `a ${kind} of ${org}`;

        test(`${who} publishes nothing to the other: live, by an alias, retained, or as a will`, () => {
          const hospitals = new Hospitals(policy);
          const reader = hospitals.connect(other, "service");
          assert.equal(subscribe(reader, `${other}/#`), 1);
          const link = hospitals.connect(org, kind);
          link.take();
          const topic = at(other, "alarm");
          link.send(publish(topic));
          assert.equal(codeOf(link), 0x87);
          link.send(publish(topic, { retain: true }));
          assert.equal(codeOf(link), 0x87);
          link.send(publish(topic, { properties: { topicAlias: 1 } }));
          assert.equal(codeOf(link), 0x87);
          link.send(publish("", { properties: { topicAlias: 1 } }));
          assert.equal(codeOf(link), 0x87);
          link.send(publish(at(org, "alarm"), { properties: { responseTopic: topic } }));
          assert.equal(codeOf(link), 0x87);
          link.send(publish("$SYS/broker/uptime"));
          assert.equal(codeOf(link), 0x87);
          for (const properties of [{}, { willDelayInterval: 60 }]) {
            const again = hospitals.parts.link(hospitals.subject(org, kind));
            const clientId = kind === "device" ? uuidOf[org] : "will";
            const will = { topic, payload: Buffer.from("x"), qos: 1, retain: false, properties };
            const [connack] = again.connect({ clientId, will: will as never });
            assert.ok(connack?.type === "CONNACK" && connack.reasonCode === 0x87);
          }
          assert.deepEqual(messagesOf(reader.take()), []);
          assert.equal(hospitals.parts.retained.messages, 0);
          const own = hospitals.connect(other, "device");
          own.send(publish(topic));
          assert.equal(codeOf(own), 0);
          assert.equal(messagesOf(reader.take()).length, 1);
        });

        test(`${who} reads nothing of the other: live, shared, retained, or of its lifecycle`, () => {
          const hospitals = new Hospitals(policy);
          const source = hospitals.connect(other, "device");
          source.send(publish(at(other, "config"), { retain: true }));
          source.take();
          const link = hospitals.connect(org, kind);
          const filters = [
            at(other, "config"),
            at(other, "lifecycle"),
            at(other, "command/response"),
            `${other}/#`,
            `$share/g/${at(other, "config")}`,
            `$share/${org}/${other}/+/+/device/+/config`,
            "+/north/icu/device/+/config",
            "#",
            "+/#",
            "$SYS/#",
          ];
          for (const filter of filters) assert.equal(subscribe(link, filter), 0x87, filter);
          assert.equal(subscribe(link, `${org}/#`), 1);
          for (const channel of ["config", "lifecycle", "telemetry"]) {
            source.send(publish(at(other, channel), { retain: channel !== "telemetry" }));
          }
          assert.deepEqual(messagesOf(link.take()), []);
        });

        test(`${who} that is moved to the other takes along neither what waited nor what it had retained`, () => {
          const hospitals = new Hospitals(policy);
          const own = hospitals.connect(org, kind, kept);
          assert.equal(subscribe(own, at(org, "config")), 1);
          own.send(publish(at(org, "lifecycle"), { retain: true }));
          own.drop();
          const source = hospitals.connect(org, kind === "device" ? "service" : "device");
          source.send(publish(at(org, "config")));
          const { subjects, enforcement, router, sessions } = hospitals.parts;
          const { record } = hospitals.subject(org, kind);
          const moved = subjects.put({
            ...record,
            attributes: { ...record.attributes, org: other },
          });
          enforcement.worldChanged();
          router.dropAllRoutes();
          sessions.authorizeAgain(moved && new Set([moved]));
          const again = hospitals.parts.link(hospitals.subject(org, kind));
          const came = again.connect({
            clientId: kind === "device" ? uuidOf[org] : `console-${org}`,
            ...kept,
          });
          assert.deepEqual(messagesOf(came), []);
          assert.equal(subscribe(again, at(org, "config")), 0x87);
          const reader = hospitals.connect(org, "service");
          if (kind === "device") {
            assert.equal(subscribe(reader, at(org, "lifecycle")), 1);
            assert.deepEqual(messagesOf(reader.take()), []);
          }
        });
      }
    }

    test("a service commands no device of the other, and gets none of its answers", () => {
      const hospitals = new Hospitals(policy);
      const [org, other] = orgs;
      const device = hospitals.connect(other, "device");
      subscribe(device, at(other, "command"));
      const control = hospitals.connect(org, "service");
      const correlationData = Buffer.from("1");
      const responseTopic = at(other, "command/response");
      control.send(
        publish(at(other, "command"), { properties: { responseTopic, correlationData } }),
      );
      assert.equal(codeOf(control), 0x87);
      control.send(publish(at(org, "command"), { properties: { responseTopic, correlationData } }));
      assert.equal(codeOf(control), 0x87);
      assert.deepEqual(messagesOf(device.take()), []);
    });
  });
}
