import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodePacket, type Packet } from "@wardmq/mqtt";
import { Rounds } from "../src/connection/rounds.ts";
import { BrokerParts, type Link } from "./broker-parts.ts";

const publishPacket = (qos: 0 | 1, payload: Buffer = Buffer.from("36.6")): Packet => ({
  type: "PUBLISH",
  topic: "a",
  payload,
  qos,
  packetId: qos === 0 ? undefined : 1,
  retain: false,
  dup: false,
  properties: {},
});
const pingreq: Packet = { type: "PINGREQ" };

function puback(packetId: number): Packet {
  return { type: "PUBACK", packetId, reasonCode: 0, properties: {} };
}

/** A reader of QoS 1, and what somebody else publishes to it. */
function reading({ receiveMaximum = 100 } = {}) {
  const parts = new BrokerParts();
  const reader = parts.link(parts.service("reader"));
  reader.connect({ properties: { receiveMaximum } });
  const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  const subscriptions = [{ filter: "a", ...options }];
  reader.send({ type: "SUBSCRIBE", packetId: 1, subscriptions, properties: {} });
  const sender = parts.link(parts.service("sender"));
  sender.connect();
  reader.take();
  return { parts, reader, publish: () => sender.send(publishPacket(1)) };
}

/** Two reads that bring nothing but a PUBACK each: such a reader is busy. */
function makeBusy(reader: Link, publish: () => void): void {
  for (let i = 0; i < 2; i += 1) {
    assert.equal(reader.isPaused, false);
    publish();
    acknowledgeAll(reader);
  }
}

function acknowledgeAll(reader: Link): void {
  const owed = reader.take().map((packet) => packet.type === "PUBLISH" && packet.packetId);
  assert.ok(owed.length > 0);
  reader.send(Buffer.concat(owed.map((id) => encodePacket(puback(Number(id)), 5))));
}

describe("the acknowledgements of a busy reader", () => {
  test("are read again in the next round, and its messages go on meanwhile", () => {
    const { parts, reader, publish } = reading();
    makeBusy(reader, publish);
    assert.equal(reader.isPaused, true);
    publish();
    assert.deepEqual(
      reader.take().map(({ type }) => type),
      ["PUBLISH"],
    );
    parts.nextRound();
    assert.equal(reader.isPaused, false);
  });

  test("are read at once when they come now and then", () => {
    const { parts, reader, publish } = reading();
    for (let i = 0; i < 4; i += 1) {
      publish();
      acknowledgeAll(reader);
      assert.equal(reader.isPaused, false);
      parts.advance(200);
    }
  });

  for (const [name, part] of [
    ["a PUBLISH", encodePacket(publishPacket(0), 5)],
    ["a PINGREQ", encodePacket(pingreq, 5)],
    ["a PUBACK with a Reason Code", Buffer.from([0x40, 3, 0, 9, 0x10])],
    ["half of a packet", encodePacket(publishPacket(1, Buffer.alloc(100)), 5).subarray(0, 50)],
  ] as const) {
    test(`are read at once with ${name} behind them`, () => {
      const { reader, publish } = reading();
      publish();
      acknowledgeAll(reader);
      publish();
      reader.send(Buffer.concat([encodePacket(puback(2), 5), part]));
      assert.equal(reader.isPaused, false);
    });
  }

  test("are read at once where the window is small", () => {
    const { reader, publish } = reading({ receiveMaximum: 15 });
    makeBusy(reader, publish);
    assert.equal(reader.isPaused, false);
  });

  test("are read before the round when half of the window is used", () => {
    const { reader, publish } = reading({ receiveMaximum: 100 });
    makeBusy(reader, publish);
    let sent = 0;
    while (reader.isPaused && sent < 100) {
      publish();
      sent += 1;
    }
    assert.equal(sent, 43); // 2 x 43 + 16 > 100
    acknowledgeAll(reader);
    assert.equal(reader.isPaused, true);
  });

  test("wait no longer for a round than a pause for another reason lasts", () => {
    const { parts, reader, publish } = reading();
    makeBusy(reader, publish);
    reader.connection.readNothingWhileRenewing();
    parts.nextRound();
    assert.equal(reader.isPaused, true);
    reader.connection.renewalEnded();
    assert.equal(reader.isPaused, false);
  });

  test("of a connection that is gone are not waited for", () => {
    const { parts, reader, publish } = reading();
    makeBusy(reader, publish);
    reader.drop();
    parts.nextRound();
    assert.deepEqual(parts.failures, []);
  });
});

test("a round calls everybody once, whatever one of them throws, and leaves who joins meanwhile to the next", async () => {
  const failures: unknown[] = [];
  const calls: string[] = [];
  const { promise: done, resolve: nextRound } = Promise.withResolvers<void>();
  const rounds = new Rounds((error) => failures.push(error), 1);
  const last = { nextRound };
  const bad = {
    nextRound() {
      calls.push("bad");
      rounds.join(last); // `done`, in the next round
      throw new Error("a mistake of ours");
    },
  };
  const good = { nextRound: () => calls.push("good") };
  for (const reader of [bad, good, bad]) rounds.join(reader);
  await done;
  assert.deepEqual(calls, ["bad", "good"]);
  assert.equal(failures.length, 1);
});
