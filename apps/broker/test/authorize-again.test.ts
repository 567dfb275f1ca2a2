import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Packet, ProtocolVersion, PublishPacket } from "@wardmq/mqtt";
import { inSlices } from "../src/session/slices.ts";
import { BrokerParts, type Link, type PartsOptions } from "./broker-parts.ts";

describe("work in slices", () => {
  const doneIn = (items: number, msPerItem: number) => {
    let clock = 0;
    const turns: (() => void)[] = [];
    const did: number[] = [];
    const slices: number[] = [];
    const promise = inSlices(
      Array.from({ length: items }, (_, i) => i),
      (i) => {
        did.push(i);
        clock += msPerItem;
      },
      { monotonic: () => clock, nextTurn: (work) => turns.push(work) },
    );
    slices.push(did.length);
    for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) {
      const before = did.length;
      turn();
      slices.push(did.length - before);
    }
    return { did, slices, promise };
  };

  test("is done at once where it is little, and leaves turns between where it is much", async () => {
    assert.deepEqual(doneIn(3, 0.1).slices, [3]);
    assert.equal(doneIn(3, 0.1).promise, undefined);
    const { did, slices, promise } = doneIn(10, 0.5);
    await promise;
    assert.deepEqual(slices, [4, 4, 2]);
    assert.deepEqual(did, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("tells of what fails in a later turn", async () => {
    let clock = 0;
    const promise = inSlices(
      [1, 2],
      (item) => {
        clock += 5;
        if (item === 2) throw new Error("the second one");
      },
      { monotonic: () => clock, nextTurn: setImmediate },
    );
    await assert.rejects(promise ?? Promise.resolve(), /the second one/);
  });
});

const [device, other] = [
  "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11",
  "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c12",
];
const own = (uuid: string) => `hospital/north/icu/device/${uuid}`;
const policy = (channels: readonly string[]) => `
roles:
  device:
    publish: [{ filter: "{org}/{site}/{ward}/device/{id}/lifecycle", retain: allowed }]
    subscribe: [${channels.map((channel) => `"{org}/{site}/{ward}/device/{id}/${channel}"`).join(", ")}]
  sender: { publish: ["{org}/+/+/device/+/config"], subscribe: ["{org}/+/+/device/+/lifecycle"] }
bindings:
  - { role: device, to: "device:*" }
  - { role: sender, to: "service:*" }
`;
const before = policy(["config", "lifecycle"]);
const after = policy(["lifecycle"]);

function connected(
  parts: BrokerParts,
  uuid: string,
  filters: readonly string[],
  version: ProtocolVersion = 5,
): Link {
  const link = parts.link(parts.device(uuid));
  link.connect({ clientId: uuid, version });
  for (const filter of filters) {
    const options = {
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    } as const;
    link.send({
      type: "SUBSCRIBE",
      packetId: 1,
      subscriptions: [{ filter, ...options }],
      properties: {},
    });
  }
  link.take();
  return link;
}

function configOf(uuid: string): PublishPacket {
  return {
    type: "PUBLISH",
    topic: `${own(uuid)}/config`,
    payload: Buffer.from("x"),
    qos: 1,
    retain: false,
    dup: false,
    packetId: 1,
    properties: {},
  };
}

const endingOf = (link: Link, packets: readonly Packet[] = link.take()) => {
  const last = packets.at(-1);
  if (last?.type === "DISCONNECT") return `0x${last.reasonCode.toString(16)}`;
  return link.isClosed ? "closed" : "open";
};

describe("between a change of the policy and the turn of a session", () => {
  test("nothing leaves by a right that is gone, and nothing is lost of one that stays", () => {
    const parts = new BrokerParts({ policy: before });
    const links = [device, other].map((uuid) =>
      connected(parts, uuid, [`${own(uuid)}/config`, `${own(uuid)}/lifecycle`]),
    );
    const sender = parts.link(parts.service("sender"));
    sender.connect({ clientId: "sender" });
    let clock = 0;
    parts.monotonic = () => {
      clock += 5; // one session a turn
      return clock;
    };
    parts.usePolicy(after);
    const subscriptions = () => [...parts.sessions.values()].map((one) => one.subscriptions?.size);
    assert.deepEqual(subscriptions(), [2, undefined], "the second has not had its turn");
    sender.send(configOf(device), configOf(other)); // before the turn that follows
    const came = links.flatMap((link) => link.take().map(({ type }) => type));
    assert.deepEqual(came, ["DISCONNECT", "DISCONNECT"]);
  });
});

describe("a client whose subscription is no longer allowed", () => {
  const lose = (options: PartsOptions, version: ProtocolVersion, filters: readonly string[]) => {
    const parts = new BrokerParts({ policy: before, ...options });
    const link = connected(parts, device, filters, version);
    parts.usePolicy(after);
    parts.turn();
    const packets = link.take();
    const told = packets.flatMap((packet) =>
      packet.type === "PUBLISH" ? [[packet.topic, String(packet.payload)]] : [],
    );
    return { parts, link, told, ending: endingOf(link, packets) };
  };
  const both = [`${own(device)}/config`, `${own(device)}/lifecycle`];

  for (const version of [5, 4] as const) {
    const edition = version === 5 ? "5.0" : "3.1.1";
    const ended = version === 5 ? "0x87" : "closed";

    test(`is told by the end of its connection (${edition})`, () => {
      const { told, ending } = lose({}, version, both);
      assert.deepEqual([told, ending], [[], ended]);
    });

    test(`is told on its lifecycle topic where the settings say so, and stays (${edition})`, () => {
      const { parts, link, told, ending } = lose({ lostSubscription: "lifecycle" }, version, both);
      assert.deepEqual(told, [
        [
          `${own(device)}/lifecycle`,
          JSON.stringify({ action: "subscriptions-ended", filters: [`${own(device)}/config`] }),
        ],
      ]);
      assert.equal(ending, "open");
      const sender = parts.link(parts.service("sender"));
      sender.connect({ clientId: "sender" });
      sender.send(configOf(device));
      assert.deepEqual(link.take(), []);
      assert.deepEqual(
        parts.events.filter(({ type }) => type === "subscribe-denied").map(({ topic }) => topic),
        [`${own(device)}/config`],
      );
      assert.equal(parts.retained.messages, 0);
    });

    test(`is told by the end of its connection where it does not read that topic (${edition})`, () => {
      const { told, ending } = lose({ lostSubscription: "lifecycle" }, version, both.slice(0, 1));
      assert.deepEqual([told, ending], [[], ended]);
    });
  }

  test("is told by the end of its connection where it is no device", () => {
    const parts = new BrokerParts({ policy: before, lostSubscription: "lifecycle" });
    const link = parts.link(parts.service("sender"));
    link.connect({ clientId: "sender" });
    const options = {
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    } as const;
    const filter = "hospital/+/+/device/+/lifecycle";
    link.send({
      type: "SUBSCRIBE",
      packetId: 1,
      subscriptions: [{ filter, ...options }],
      properties: {},
    });
    link.take();
    parts.usePolicy(before.replace(', subscribe: ["{org}/+/+/device/+/lifecycle"]', ""));
    parts.turn();
    assert.equal(endingOf(link), "0x87");
  });

  test("hears nothing of it that others could read in its place", () => {
    const parts = new BrokerParts({ policy: before, lostSubscription: "lifecycle" });
    const watcher = parts.link(parts.service("sender"));
    watcher.connect({ clientId: "watcher" });
    const options = {
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    } as const;
    const filter = "hospital/+/+/device/+/lifecycle";
    watcher.send({
      type: "SUBSCRIBE",
      packetId: 1,
      subscriptions: [{ filter, ...options }],
      properties: {},
    });
    watcher.take();
    connected(parts, device, both);
    parts.usePolicy(after);
    parts.turn();
    assert.deepEqual(watcher.take(), []);
  });
});
