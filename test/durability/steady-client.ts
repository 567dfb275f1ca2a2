import { decodePacket, encodePacket, type Packet, type QoS } from "@wardmq/mqtt";
import { splitPackets } from "../support/bytes.ts";
import type { Deployment } from "../support/deployment.ts";
import { openTls, tlsWire, type Wire } from "../support/wire.ts";

/** A message that the broker still has to answer for. */
interface Unsettled {
  readonly text: string;
  readonly topic: string;
  readonly qos: 1 | 2;
  readonly packetId: number;
  isReceived: boolean;
}

const retryMs = 20;
/** 5.0 section 3.7.2.1. */
const packetIdNotFound = 0x92;

/**
 * A client that keeps its session and follows the protocol across every loss of its connection, as 5.0 section 4.4 asks:
 * it comes back, sends again what was not acknowledged, and knows a QoS 2 message by its Packet Identifier.
 */
export class SteadyClient {
  readonly clientId: string;
  /** Everything that was given to the application, in its order. */
  readonly delivered: string[] = [];
  /** What the broker has promised to deliver: its PUBACK has come, or its PUBCOMP. */
  readonly acknowledged: string[] = [];
  readonly published: string[] = [];
  readonly faults: string[] = [];
  readonly #deployment: Deployment;
  readonly #subscriptions: readonly string[];
  readonly #known = new Set<number>();
  #unsettled: Unsettled[] = [];
  #wire: Wire | undefined;
  #rest: Buffer = Buffer.alloc(0);
  #isOpen = false;
  #isNew = true;
  #isEnded = false;
  #packetId = 0;
  #whenOpen: () => void = () => {};

  constructor(deployment: Deployment, clientId: string, subscriptions: readonly string[]) {
    this.#deployment = deployment;
    this.clientId = clientId;
    this.#subscriptions = subscriptions;
  }

  get unsettled(): number {
    return this.#unsettled.length;
  }

  /** Opens the first connection, and another one whenever one is lost, until `end`. */
  async start(): Promise<void> {
    const open = new Promise<void>((resolve) => {
      this.#whenOpen = resolve;
    });
    void this.#connect();
    await open;
  }

  end(): void {
    this.#isEnded = true;
    this.#wire?.socket.destroy();
  }

  /** Loses the connection; it comes back by itself. */
  drop(): void {
    this.#wire?.socket.destroy();
  }

  publish(topic: string, text: string, qos: 1 | 2): void {
    do this.#packetId = 1 + (this.#packetId % 60_000);
    while (this.#unsettled.some(({ packetId }) => packetId === this.#packetId));
    const message = { text, topic, qos, packetId: this.#packetId, isReceived: false };
    this.published.push(text);
    this.#unsettled.push(message);
    this.#sendPublish(message, false);
  }

  async #connect(): Promise<void> {
    while (!this.#isEnded) {
      try {
        const socket = await openTls(this.#deployment.mqtts, this.#deployment.credential("tester"));
        this.#opened(tlsWire(socket));
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, retryMs));
      }
    }
  }

  #opened(wire: Wire): void {
    this.#wire = wire;
    this.#rest = Buffer.alloc(0);
    wire.onBytes = (bytes) => {
      if (this.#wire !== wire) return;
      const { packets, rest } = splitPackets(Buffer.concat([this.#rest, bytes]));
      this.#rest = rest;
      for (const packet of packets) this.#hear(decode(packet));
    };
    wire.onEnd = () => {
      if (this.#wire !== wire) return;
      this.#isOpen = false;
      this.#wire = undefined;
      setTimeout(() => void this.#connect(), retryMs);
    };
    this.#send({
      type: "CONNECT",
      version: 5,
      cleanStart: false,
      keepAlive: 60,
      clientId: this.clientId,
      will: undefined,
      username: undefined,
      password: undefined,
      properties: { sessionExpiryInterval: 100_000, receiveMaximum: 20 },
    });
  }

  #hear(packet: Packet): void {
    switch (packet.type) {
      case "CONNACK":
        this.#accepted(packet.reasonCode, packet.sessionPresent);
        break;
      case "SUBACK":
        this.#isNew = false;
        this.#becomeOpen();
        break;
      case "PUBLISH":
        this.#take(packet.qos, packet.packetId ?? 0, Buffer.from(packet.payload).toString());
        break;
      case "PUBREL":
        this.#known.delete(packet.packetId);
        this.#answer("PUBCOMP", packet.packetId);
        break;
      case "PUBACK":
      case "PUBREC":
      case "PUBCOMP":
        this.#acknowledgement(packet.type, packet.packetId, packet.reasonCode);
        break;
      case "DISCONNECT":
        break;
      default:
        this.faults.push(`unexpected ${packet.type}`);
    }
  }

  #accepted(reasonCode: number, sessionPresent: boolean): void {
    if (reasonCode !== 0) return; // the broker closes, and we come back
    if (sessionPresent === this.#isNew && !(this.#isNew && sessionPresent)) {
      this.faults.push("the session was lost");
    }
    if (this.#isNew && this.#subscriptions.length > 0) {
      this.#send({
        type: "SUBSCRIBE",
        packetId: 65_000,
        subscriptions: this.#subscriptions.map((filter) => ({
          filter,
          qos: 2,
          noLocal: false,
          retainAsPublished: false,
          retainHandling: 2,
        })),
        properties: {},
      });
      return;
    }
    this.#isNew = false;
    this.#becomeOpen();
    for (const message of [...this.#unsettled]) {
      if (message.isReceived) this.#answer("PUBREL", message.packetId);
      else this.#sendPublish(message, true);
    }
  }

  #becomeOpen(): void {
    this.#isOpen = true;
    this.#whenOpen();
  }

  #take(qos: QoS, packetId: number, text: string): void {
    if (qos === 1) {
      this.delivered.push(text);
      this.#answer("PUBACK", packetId);
      return;
    }
    if (!this.#known.has(packetId)) {
      this.#known.add(packetId);
      this.delivered.push(text);
    }
    this.#answer("PUBREC", packetId);
  }

  #acknowledgement(type: "PUBACK" | "PUBREC" | "PUBCOMP", packetId: number, code: number): void {
    const message = this.#unsettled.find((each) => each.packetId === packetId);
    if (message === undefined) {
      this.faults.push(`${type} for ${packetId}, which is not in use`);
      return;
    }
    if (type === "PUBREC" && code < 0x80) {
      message.isReceived = true;
      this.#answer("PUBREL", packetId);
      return;
    }
    this.#unsettled = this.#unsettled.filter((each) => each !== message);
    // After a loss the broker may have forgotten the identifier already: the message is through all the same.
    const isThrough = code < 0x80 || (type === "PUBCOMP" && code === packetIdNotFound);
    if (isThrough) this.acknowledged.push(message.text);
    else this.faults.push(`${message.text} was refused with ${code}`);
  }

  #sendPublish({ text, topic, qos, packetId }: Unsettled, dup: boolean): void {
    if (!this.#isOpen) return;
    const payload = Buffer.from(text.padEnd(text.length + (packetId % 700)));
    const packet = { topic, payload, qos, retain: false, dup, packetId, properties: {} };
    this.#send({ type: "PUBLISH", ...packet });
  }

  #answer(type: "PUBACK" | "PUBREC" | "PUBREL" | "PUBCOMP", packetId: number): void {
    this.#send({ type, packetId, reasonCode: 0, properties: {} });
  }

  #send(packet: Packet): void {
    this.#wire?.send(Buffer.from(encodePacket(packet, 5)));
  }
}

function decode(packet: Buffer): Packet {
  const start = 2 + packet.subarray(1).findIndex((byte) => byte < 0x80);
  return decodePacket(packet[0] as number, packet, start, packet.length, 5, { sender: "server" });
}
