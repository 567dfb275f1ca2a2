import {
  type ConnackPacket,
  decodePacket,
  encodePacket,
  type Packet,
  type PacketName,
  type PropertyValues,
  type ProtocolVersion,
  type PublishPacket,
  packetTypes,
  type QoS,
  type SubscriptionRequest,
} from "@wardmq/mqtt";
import { bytes, splitPackets } from "./bytes.ts";
import type { Wire } from "./wire.ts";

/** The packet of a name; the four acknowledgements share one shape. */
export type PacketOf<Name extends PacketName, P extends Packet = Packet> = P extends unknown
  ? Name extends P["type"]
    ? P
    : never
  : never;

export interface ConnectOptions {
  readonly clientId?: string;
  readonly cleanStart?: boolean;
  readonly keepAlive?: number;
  readonly will?: { readonly topic: string; readonly payload?: string } & Partial<
    Omit<NonNullable<PacketOf<"CONNECT">["will"]>, "topic" | "payload">
  >;
  readonly username?: string;
  readonly password?: Uint8Array;
  readonly properties?: PropertyValues;
}

export interface PublishOptions {
  readonly qos?: QoS;
  readonly retain?: boolean;
  readonly dup?: boolean;
  readonly packetId?: number;
  readonly properties?: PropertyValues;
}

export type SubscribeOptions = Partial<Omit<SubscriptionRequest, "filter">> & {
  readonly properties?: PropertyValues;
};

/** How long a test waits for what must come. */
const patienceMs = 10_000;

/**
 * An MQTT client that does what a test says and nothing else: it acknowledges nothing by itself and may send any bytes.
 * What the server sent waits in a queue until the test takes it.
 */
export class RawClient {
  readonly version: ProtocolVersion;
  readonly wire: Wire;
  readonly #packets: Buffer[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #ended = false;
  #packetId = 0;
  #changed: () => void = () => {};

  constructor(wire: Wire, version: ProtocolVersion) {
    this.wire = wire;
    this.version = version;
    wire.onEnd = () => {
      this.#ended = true;
      this.#changed();
    };
    wire.onBytes = (received) => {
      const { packets, rest } = splitPackets(Buffer.concat([this.#rest, received]));
      this.#packets.push(...packets);
      this.#rest = rest;
      this.#changed();
    };
  }

  /** Sends bytes in the notation of `bytes`, raw bytes, or a packet. */
  send(...what: readonly (string | Buffer | Packet)[]): void {
    const parts = what.map((part) =>
      typeof part === "string"
        ? bytes(part, this.version)
        : Buffer.isBuffer(part)
          ? part
          : Buffer.from(encodePacket(part, this.version)),
    );
    this.wire.send(Buffer.concat(parts));
  }

  /** Sends CONNECT without waiting for the answer. */
  sendConnect(options: ConnectOptions): void {
    const { will, cleanStart = true, keepAlive = 60, clientId = "", properties = {} } = options;
    this.send({
      type: "CONNECT",
      version: this.version,
      cleanStart,
      keepAlive,
      clientId,
      will: will && {
        qos: 0,
        retain: false,
        properties: {},
        ...will,
        payload: Buffer.from(will.payload ?? ""),
      },
      username: options.username,
      password: options.password,
      properties,
    });
  }

  /** The next packet as its bytes, whatever it is. */
  nextBytes(): Promise<Buffer> {
    return this.#until("a packet", () => this.#packets.shift());
  }

  /** The next packet, whatever it is. */
  async next(): Promise<Packet> {
    return this.#decode(await this.nextBytes());
  }

  /** The next packet, which has to be of this type. */
  async expect<Name extends PacketName>(type: Name): Promise<PacketOf<Name>> {
    const packet = await this.#until(type, () => this.#packets.shift());
    if (nameOf(packet) !== type) throw new Error(`expected ${type}, received ${describe(packet)}`);
    return this.#decode(packet) as PacketOf<Name>;
  }

  /** The first packet of this type; others stay in the queue, for their order to it is free. */
  async take<Name extends PacketName>(type: Name): Promise<PacketOf<Name>> {
    const packet = await this.#until(type, () => {
      const at = this.#packets.findIndex((waiting) => nameOf(waiting) === type);
      return at < 0 ? undefined : this.#packets.splice(at, 1)[0];
    });
    return this.#decode(packet) as PacketOf<Name>;
  }

  /** Waits until the server has ended the connection; fails when it sent packets nobody took. */
  async expectEnd(): Promise<void> {
    await this.#until("the end of the connection", () => this.#ended || undefined);
    const [unexpected] = this.#packets;
    if (unexpected !== undefined) {
      throw new Error(`expected nothing but the end, received ${describe(unexpected)}`);
    }
  }

  /** The server sends DISCONNECT with this code and ends the connection; on 3.1.1 it only ends it. */
  async expectRefusal(reasonCode: number): Promise<void> {
    if (this.version === 5) {
      const { reasonCode: got } = await this.take("DISCONNECT");
      if (got !== reasonCode) {
        throw new Error(`expected DISCONNECT ${hex(reasonCode)}, received DISCONNECT ${hex(got)}`);
      }
    }
    await this.expectEnd();
  }

  /** Asks for PINGRESP and fails when anything else is there: what was to come has come by then. */
  async expectQuiet(): Promise<void> {
    this.send("c0 00");
    await this.expect("PINGRESP");
  }

  /** Waits for the server to have processed all that was sent so far. */
  async settle(): Promise<void> {
    this.send("c0 00");
    await this.take("PINGRESP");
  }

  async connect(options: ConnectOptions): Promise<ConnackPacket> {
    this.sendConnect(options);
    return await this.expect("CONNACK");
  }

  /** Subscribes to one filter and returns the answered code. */
  async subscribe(filter: string, options: SubscribeOptions = {}): Promise<number> {
    const { properties = {}, ...rest } = options;
    const request = {
      filter,
      qos: 2,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    } as const;
    const packetId = this.nextPacketId();
    this.send({
      type: "SUBSCRIBE",
      packetId,
      subscriptions: [{ ...request, ...rest }],
      properties,
    });
    const suback = await this.take("SUBACK");
    if (suback.packetId !== packetId) throw new Error("the SUBACK is for another SUBSCRIBE");
    return suback.reasonCodes[0] ?? -1;
  }

  /** Unsubscribes from one filter and returns the answered code; 3.1.1 answers none. */
  async unsubscribe(filter: string): Promise<number | undefined> {
    this.send({
      type: "UNSUBSCRIBE",
      packetId: this.nextPacketId(),
      filters: [filter],
      properties: {},
    });
    return (await this.take("UNSUBACK")).reasonCodes[0];
  }

  /** Sends one PUBLISH without waiting, and returns its Packet Identifier. */
  sendPublish(topic: string, payload: string | Buffer, options: PublishOptions = {}): number {
    const { qos = 0, retain = false, dup = false, properties = {} } = options;
    const packetId = qos === 0 ? undefined : (options.packetId ?? this.nextPacketId());
    const body = Buffer.from(payload);
    this.send({ type: "PUBLISH", topic, payload: body, qos, retain, dup, packetId, properties });
    return packetId ?? 0;
  }

  /** Publishes and completes the exchange of the QoS; returns the Reason Code of the first answer, 0 for QoS 0. */
  async publish(
    topic: string,
    payload: string | Buffer,
    options: PublishOptions = {},
  ): Promise<number> {
    const packetId = this.sendPublish(topic, payload, options);
    if (options.qos === 1) return (await this.take("PUBACK")).reasonCode;
    if (options.qos === 2) {
      const { reasonCode } = await this.take("PUBREC");
      if (reasonCode >= 0x80) return reasonCode;
      this.sendAcknowledgement("PUBREL", packetId);
      await this.take("PUBCOMP");
      return reasonCode;
    }
    await this.settle();
    return 0;
  }

  /** Takes the next message and completes the exchange of its QoS. */
  async receive(): Promise<PublishPacket & { readonly text: string }> {
    const message = await this.take("PUBLISH");
    await this.acknowledge(message);
    return { ...message, text: Buffer.from(message.payload).toString() };
  }

  /** Completes the exchange for a message that was taken. */
  async acknowledge({ qos, packetId }: PublishPacket): Promise<void> {
    if (packetId === undefined) return;
    this.sendAcknowledgement(qos === 1 ? "PUBACK" : "PUBREC", packetId);
    if (qos !== 2) return;
    await this.take("PUBREL");
    this.sendAcknowledgement("PUBCOMP", packetId);
  }

  sendAcknowledgement(
    type: "PUBACK" | "PUBREC" | "PUBREL" | "PUBCOMP",
    packetId: number,
    reasonCode = 0,
  ): void {
    this.send({ type, packetId, reasonCode, properties: {} });
  }

  nextPacketId(): number {
    this.#packetId += 1;
    return this.#packetId;
  }

  /** Says goodbye and waits for the connection to end. */
  async disconnect(reasonCode = 0, properties: PropertyValues = {}): Promise<void> {
    this.send({ type: "DISCONNECT", reasonCode, properties });
    await this.#until("the end of the connection", () => this.#ended || undefined);
  }

  /** Ends the connection without DISCONNECT, as a failing network does. */
  drop(): void {
    this.wire.socket.destroy();
  }

  /** Takes what happened until `attempt` finds what it looks for; an error says what came in its place. */
  async #until<Found>(what: string, attempt: () => Found | undefined): Promise<Found> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      const found = attempt();
      if (found !== undefined) return found;
      const left = deadline - Date.now();
      if (this.#ended || left <= 0) {
        const how = this.#ended ? "the connection ended" : "nothing came in time";
        const queue = this.#packets.map(describe).join(", ") || "nothing";
        throw new Error(`expected ${what}: ${how}; waiting in the queue: ${queue}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  #decode(packet: Buffer): Packet {
    const body = 1 + packet.subarray(1).findIndex((byte) => byte < 0x80) + 1;
    return decodePacket(packet[0] ?? 0, packet, body, packet.length, this.version, {
      sender: "server",
    });
  }
}

const names = Object.keys(packetTypes) as PacketName[];

function nameOf(packet: Buffer): PacketName | undefined {
  return names.find((name) => packetTypes[name] === (packet[0] ?? 0) >> 4);
}

function describe(packet: Buffer): string {
  return `${nameOf(packet) ?? "?"} (${packet.toString("hex").slice(0, 80)})`;
}

function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, "0")}`;
}
