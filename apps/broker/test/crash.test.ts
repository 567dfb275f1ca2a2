import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Packet } from "@wardmq/mqtt";
import fc from "fast-check";
import { BrokerParts, type Link } from "./broker-parts.ts";
import { SlowStore } from "./slow-store.ts";

type Action =
  | { readonly type: "publish"; readonly qos: 1 | 2; readonly retain: boolean }
  /** The store finishes what it is busy with. */
  | { readonly type: "commit" }
  /** A client does the next step of the protocol that it owes. */
  | { readonly type: "read"; readonly packets: number }
  | { readonly type: "answer" }
  | { readonly type: "dropReader" | "dropWriter" | "comeBack" }
  /** The process is killed: what was not committed is gone. */
  | { readonly type: "crash" };

const one = <Name extends string>(name: Name) => fc.constant(name);
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: one("publish"),
      qos: fc.constantFrom(1 as const, 2 as const),
      retain: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ type: one("commit") }) },
  {
    weight: 6,
    arbitrary: fc.record({ type: one("read"), packets: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 6, arbitrary: fc.record({ type: one("answer") }) },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constantFrom("dropReader", "dropWriter", "comeBack") }),
  },
  { weight: 2, arbitrary: fc.record({ type: one("crash") }) },
);

describe("a broker that is killed at any moment", () => {
  test("loses nothing it has acknowledged, and delivers QoS 2 once and in order", {
    timeout: 300_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 80, size: "max" }), (actions) =>
        new Scene().run(actions),
      ),
      { numRuns: 200 },
    );
  });
});

/** So little that segments are given up all the time. */
const spareBytes = 500;

interface Sent {
  readonly text: string;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  readonly packetId: number;
  isReceived: boolean;
}

/** A writer and a reader, both with sessions that are kept, who follow the protocol across every loss. */
class Scene {
  #store = new SlowStore();
  #parts = new BrokerParts({ store: this.#store, spareBytes });
  #writer: Link | undefined;
  #reader: Link | undefined;
  /** What the writer still has to be told about, in its order. */
  #unsettled: Sent[] = [];
  #published: Sent[] = [];
  #serial = 0;
  #wasThere = new Set<string>();
  /** What the reader has been given, and what it has not answered. */
  readonly #delivered: string[] = [];
  readonly #toAnswer: Packet[] = [];
  /** Packet Identifiers of QoS 2 messages that the reader has and are not released. */
  readonly #known = new Set<number>();

  async run(actions: readonly Action[]): Promise<void> {
    this.#comeBack();
    for (const each of actions) await this.#act(each);
    this.#finish();
  }

  async #act(action: Action): Promise<void> {
    switch (action.type) {
      case "publish":
        this.#publish(action.qos, action.retain);
        break;
      case "commit":
        this.#commit();
        break;
      case "read":
        this.#read(action.packets);
        break;
      case "answer":
        this.#answer();
        break;
      case "dropReader":
        this.#reader?.drop();
        this.#reader = undefined;
        this.#toAnswer.length = 0;
        break;
      case "dropWriter":
        this.#writer?.drop();
        this.#writer = undefined;
        break;
      case "comeBack":
        this.#comeBack();
        break;
      case "crash":
        await this.#crash();
        break;
    }
    assert.deepEqual(this.#parts.failures, []);
  }

  async #crash(): Promise<void> {
    this.#store = this.#store.survivor();
    const { clock } = this.#parts;
    this.#parts = new BrokerParts({ store: this.#store, spareBytes });
    this.#parts.clock = clock + 1_000;
    this.#parts.service("a");
    this.#parts.service("b");
    const { lost } = await this.#parts.restore();
    assert.equal(lost, 0);
    this.#writer = undefined;
    this.#reader = undefined;
    this.#toAnswer.length = 0;
  }

  #commit(): void {
    this.#parts.advance(50);
    this.#store.finish();
    this.#parts.turn();
  }

  #commitAll(): void {
    for (let i = 0; i < 10 || this.#store.isBusy; i += 1) this.#commit();
  }

  #comeBack(): void {
    if (this.#reader === undefined) {
      this.#reader = this.#connect("a", "reader");
      this.#reader.send({
        type: "SUBSCRIBE",
        packetId: 1,
        subscriptions: [
          { filter: "t", qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 2 },
        ],
        properties: {},
      });
      this.#commitAll();
      const packets = this.#reader.take();
      const connack = packets.shift();
      assert.equal(connack?.type, "CONNACK");
      this.#checkPresence("reader", connack);
      const suback = packets.findIndex(({ type }) => type === "SUBACK");
      packets.splice(suback, 1);
      this.#toAnswer.push(...packets);
      for (const packet of packets) this.#take(packet);
    }
    if (this.#writer === undefined) {
      this.#writer = this.#connect("b", "writer");
      this.#commitAll();
      const connack = this.#writer.take()[0];
      this.#checkPresence("writer", connack);
      for (const sent of [...this.#unsettled]) {
        if (sent.qos === 2 && sent.isReceived) this.#writer.send(release(sent));
        else this.#send(sent, true);
      }
    }
  }

  #checkPresence(name: string, connack: Packet | undefined): void {
    assert.equal(connack?.type === "CONNACK" && connack.sessionPresent, this.#wasThere.has(name));
    this.#wasThere.add(name);
  }

  #connect(service: string, clientId: string): Link {
    const link = this.#parts.link(this.#parts.service(service));
    link.version = 5;
    link.send({
      type: "CONNECT",
      version: 5,
      cleanStart: false,
      keepAlive: 60,
      clientId,
      will: undefined,
      username: undefined,
      password: undefined,
      properties: { sessionExpiryInterval: 100_000, receiveMaximum: 5 },
    });
    return link;
  }

  #publish(qos: 1 | 2, retain: boolean): void {
    if (this.#writer === undefined || this.#unsettled.length >= 20) return;
    this.#serial += 1;
    const packetId = 1 + (this.#serial % 50);
    if (this.#unsettled.some((other) => other.packetId === packetId)) return;
    const isRetained = retain && qos === 2; // QoS 1 may be published again, behind what came after it
    const sent = { text: `${qos}:${this.#serial}`, qos, retain: isRetained, packetId };
    this.#track({ ...sent, isReceived: false });
  }

  #track(sent: Sent): void {
    this.#unsettled.push(sent);
    this.#published.push(sent);
    this.#send(sent, false);
  }

  #send({ text, qos, retain, packetId }: Sent, dup: boolean): void {
    this.#writer?.send({
      type: "PUBLISH",
      topic: "t",
      payload: Buffer.from(text),
      qos,
      retain,
      dup,
      packetId,
      properties: {},
    });
  }

  /** The writer hears what has come; the reader takes some of what has come. */
  #read(count: number): void {
    for (const packet of this.#writer?.take() ?? []) this.#hear(packet);
    const packets = this.#reader?.take() ?? [];
    for (const packet of packets) this.#take(packet);
    this.#toAnswer.push(...packets);
    for (let i = 1; i < count; i += 1) this.#answer();
  }

  #hear(packet: Packet): void {
    if (!("packetId" in packet)) return;
    const at = this.#unsettled.findIndex(({ packetId }) => packetId === packet.packetId);
    const sent = this.#unsettled[at];
    assert.ok(sent !== undefined, `nothing is owed for ${JSON.stringify(packet)}`);
    if (packet.type === "PUBREC") {
      sent.isReceived = true;
      this.#writer?.send(release(sent));
    } else if (packet.type === "PUBACK" || packet.type === "PUBCOMP") this.#unsettled.splice(at, 1);
  }

  /** The reader is given what it has not been given; QoS 2 by its Packet Identifier. */
  #take(packet: Packet): void {
    if (packet.type !== "PUBLISH") return;
    if (packet.qos === 2) {
      if (this.#known.has(packet.packetId as number)) return;
      this.#known.add(packet.packetId as number);
    }
    this.#delivered.push(Buffer.from(packet.payload).toString());
  }

  #answer(): void {
    const packet = this.#toAnswer.shift();
    if (packet === undefined || this.#reader === undefined) return;
    const { packetId } = packet as { packetId: number };
    const answer = (type: "PUBACK" | "PUBREC" | "PUBCOMP") =>
      this.#reader?.send({ type, packetId, reasonCode: 0, properties: {} });
    if (packet.type === "PUBLISH") answer(packet.qos === 1 ? "PUBACK" : "PUBREC");
    else if (packet.type === "PUBREL") {
      this.#known.delete(packetId);
      answer("PUBCOMP");
    }
  }

  #finish(): void {
    this.#comeBack();
    for (let i = 0; i < 1_000; i += 1) {
      this.#commitAll();
      this.#read(1);
      if (this.#toAnswer.length === 0 && this.#unsettled.length === 0) break;
      while (this.#toAnswer.length > 0) this.#answer();
    }
    this.#commitAll();
    assert.equal(this.#unsettled.length, 0, "everything is acknowledged in the end");
    for (const qos of [1, 2]) {
      const wanted = this.#published.filter((sent) => sent.qos === qos).map(({ text }) => text);
      const got = this.#delivered.filter((text) => text.startsWith(`${qos}:`));
      assert.deepEqual(qos === 2 ? got : [...new Set(got)], wanted, `QoS ${qos}`);
    }
    const { budget, journal, retained } = this.#parts;
    assert.equal(budget.queued, 0);
    const last = this.#published.findLast(({ retain }) => retain);
    assert.equal(retained.get("t")?.bytes.toString(), last?.text);
    assert.ok(journal.liveBytes < 3_000, `${journal.liveBytes} bytes are said to live`);
    assert.deepEqual(this.#parts.failures, []);
  }
}

function release({ packetId }: Sent): Packet {
  return { type: "PUBREL", packetId, reasonCode: 0, properties: {} };
}
