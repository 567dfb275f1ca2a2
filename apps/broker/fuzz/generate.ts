import {
  encodePacket,
  type Packet,
  type PropertyValues,
  type ProtocolVersion,
  type QoS,
} from "@wardmq/mqtt";
import { type ModelConnection, neverGiven } from "./model.ts";
import { deviceTopic } from "./policy.ts";
import type { Random } from "./random.ts";

/** Bytes that broke other brokers, or that only just are no MQTT; each is sent in every state. */
export const attacks: readonly string[] = [
  "101000044d5154540502003c0321001400006202d301e0020020", // mqtt-packet 612
  "3080808080010000", // NanoMQ CVE-2026-21888: a length of five bytes
  "30ffffffff7f", // CVE-2026-40046: a length beyond four bytes
  "30ffffff7f0001", // the largest length, and three bytes
  "308000", // not the shortest length
  "30020000", // CVE-2021-34432: an empty topic
  "3000", // a PUBLISH of nothing
  "32030001", // cut in the topic, then nothing
  "3203000161", // QoS 1 without an identifier
  "36050001610001", // QoS 3
  "3205000161000000", // identifier 0
  "340700016100010000", // and again below: QoS 2 twice with one identifier
  "340700016100010000340700016100010000",
  "3008000124000161", // a topic that begins with `$`
  "300400012300", // `#` in a topic
  "30040001c080", // overlong UTF-8
  "300500030061", // longer than the packet
  "300700056100620063", // U+0000
  "3009000161062300002300", // topic alias 0
  "30080001610323ffff", // topic alias above the maximum
  "3007000003230005", // an alias that was never set
  "20020000", // CVE-2021-28166: a CONNACK from a client
  "9003000100", // a SUBACK from a client
  "b0020001", // an UNSUBACK from a client
  "d000", // a PINGRESP from a client
  "f000", // AUTH without a method
  "f00418021500", // AUTH with one
  "6202ffff", // PUBREL for nothing
  "62020000", // PUBREL for identifier 0
  "6002000a", // PUBREL with wrong flags
  "5002ffff", // PUBREC for nothing
  "40020001", // PUBACK for nothing
  "7002ffff", // PUBCOMP for nothing
  "82020001", // SUBSCRIBE of nothing
  "8006000100012300", // SUBSCRIBE with wrong flags
  "82080001000003612b62", // no options
  "8209000100000361236200", // `#` inside
  "820a0001000004612b2f6200", // `+` beside text
  "820f000100000924736861726521000000", // `$share` without a group
  "82070001000001 6103".replace(" ", ""), // QoS 3
  "8207000100000161ff", // reserved options
  "a2020001", // UNSUBSCRIBE of nothing
  "e00100", // DISCONNECT with a code on 3.1.1 too
  "e0018b", // with a code that is the server's
  "e00700051100000e10", // with an expiry
  "0000", // a reserved type
  "ffffffffffffffff",
  "474554202f20485454502f312e310d0a0d0a", // HTTP
  "16030100", // TLS in TLS
];

const channels = ["telemetry", "alarm", "command", "command/response"] as const;

/** Names, filters and packets that a client may send, for the subjects of one stage. */
export class Generator {
  readonly #random: Random;
  readonly #devices: readonly string[];
  #serial = 0;

  constructor(random: Random, devices: readonly string[]) {
    this.#random = random;
    this.#devices = devices;
  }

  topic(subject: string): string {
    const own = this.#devices.includes(subject) ? subject : this.#random.pick(this.#devices);
    return this.#random.pick([
      "t/1",
      "t/1",
      "t/2",
      "t/1/x",
      "t",
      "t/",
      "allowed/x",
      "allowed/y/z",
      "allowed",
      deviceTopic(own, this.#random.pick(channels)),
      deviceTopic(own, "telemetry"),
      deviceTopic(this.#random.pick(this.#devices), this.#random.pick(channels)),
      ...(this.#random.chance(10) ? this.#oddTopics() : []),
    ]);
  }

  #oddTopics(): string[] {
    return [
      "$SYS/broker/clients",
      "$share/g/t/1",
      "/",
      "t//1",
      "__proto__",
      "w\u0430rd/\u202ex",
      "x".repeat(1_024),
      "x".repeat(1_025),
      `a${"/a".repeat(15)}`,
      `a${"/".repeat(300)}`,
      ...(this.#random.chance(20) ? ["/".repeat(60_000)] : []), // CVE-2019-11779
      `a${"/".repeat(16)}`,
    ];
  }

  filter(subject: string): string {
    const device = this.#devices.includes(subject) ? subject : this.#random.pick(this.#devices);
    return this.#random.pick([
      "#",
      "t/#",
      "t/+",
      "t/1",
      "t/2",
      "+/1",
      "+",
      "+/+/#",
      "allowed/#",
      "allowed/x",
      "allowed/+/z",
      "$share/g/t/#",
      "$share/g/allowed/#",
      "$share/h/t/1",
      deviceTopic(device, "command"),
      deviceTopic(device, "telemetry"),
      "hospital/+/+/device/+/telemetry",
      ...(this.#random.chance(10)
        ? [
            "$SYS/#",
            "$share/g/$SYS/#",
            "$x/#",
            "/#",
            "",
            "t/#/x",
            "t+",
            "x".repeat(1_025),
            `a${"/+".repeat(16)}`,
            ...(this.#random.chance(20) ? [`${"+/".repeat(30_000)}#`] : []), // CVE-2019-11779
            "$share//t",
            "$share/g",
          ]
        : []),
    ]);
  }

  qos(): QoS {
    return this.#random.pick([0, 1, 1, 2, 2] as const);
  }

  connect(version: ProtocolVersion, subject: string, clientId: string): Packet {
    const random = this.#random;
    const properties: PropertyValues =
      version === 4
        ? {}
        : {
            ...(random.chance(60)
              ? { sessionExpiryInterval: random.pick([0, 3_600, 86_400, 0xffff_ffff]) }
              : {}),
            ...(random.chance(30) ? { receiveMaximum: random.pick([1, 2, 5, 65_535]) } : {}),
            ...(random.chance(20) ? { topicAliasMaximum: random.pick([0, 1, 3, 65_535]) } : {}),
            ...(random.chance(5)
              ? { maximumPacketSize: random.pick([1, 20, 60, 200, 5_000]) }
              : {}),
            ...(random.chance(20) ? { requestProblemInformation: random.below(2) as 0 | 1 } : {}),
            ...(random.chance(2) ? { authenticationMethod: "SCRAM" } : {}),
            ...(random.chance(5) ? { userProperty: [["a", "b"]] } : {}),
          };
    return {
      type: "CONNECT",
      version,
      cleanStart: clientId === "" && version === 4 ? true : random.chance(35),
      keepAlive: random.pick([0, 60, 600, 65_535]),
      clientId,
      will: random.chance(30) ? this.#will(version, subject) : undefined,
      username: random.chance(10) ? "user" : undefined,
      password: undefined,
      properties,
    };
  }

  #will(version: ProtocolVersion, subject: string) {
    const random = this.#random;
    const delay = random.chance(30) ? { willDelayInterval: random.pick([0, 7_200]) } : {};
    return {
      topic: this.topic(subject),
      payload: this.payload("will"),
      qos: this.qos(),
      retain: random.chance(20),
      properties: version === 4 ? {} : { ...delay, ...this.#properties() },
    };
  }

  payload(kind = "message"): Buffer {
    this.#serial += 1;
    const length = this.#random.pick([0, 0, 0, 10, 130, 2_000, 20_000]);
    return Buffer.from(`${kind} ${this.#serial} ${"x".repeat(length)}`);
  }

  #properties(): PropertyValues {
    const random = this.#random;
    return {
      ...(random.chance(15) ? { payloadFormatIndicator: random.below(2) as 0 | 1 } : {}),
      ...(random.chance(15) ? { messageExpiryInterval: random.pick([3_600, 0xffff_ffff]) } : {}),
      ...(random.chance(15) ? { contentType: "text/plain" } : {}),
      ...(random.chance(15) ? { responseTopic: "t/reply" } : {}),
      ...(random.chance(15) ? { correlationData: random.bytes(3) } : {}),
      ...(random.chance(15)
        ? {
            userProperty: Array.from(
              { length: random.between(1, 34) },
              (_, i) => [`k${i % 3}`, `v${i}`] as const,
            ),
          }
        : {}),
    } as PropertyValues;
  }

  publish(connection: ModelConnection): Packet {
    const random = this.#random;
    const qos = this.qos();
    const isV5 = connection.version === 5;
    const alias = isV5 && random.chance(20) ? { topicAlias: random.pick([1, 2, 3, 16, 17]) } : {};
    const isNamed = !("topicAlias" in alias) || random.chance(60);
    const isInvalidUtf8 = random.chance(3);
    return {
      type: "PUBLISH",
      topic: isNamed ? this.topic(connection.subject) : "",
      payload: isInvalidUtf8 ? Buffer.from([0xff, random.below(256)]) : this.#maybeEmpty(),
      qos,
      retain: random.chance(20),
      dup: qos > 0 && random.chance(10),
      packetId: qos === 0 ? undefined : this.#packetId(),
      properties: isV5 ? { ...this.#properties(), ...alias } : {},
    };
  }

  /** Many large messages at once: more than the broker writes to a peer that does not read. */
  flood(connection: ModelConnection): Buffer {
    const topic = this.topic(connection.subject);
    const packets = Array.from({ length: this.#random.between(1, 12) }, () => {
      const qos = this.qos();
      const payload = Buffer.concat([this.payload(), Buffer.alloc(30_000, "y")]);
      const packetId = qos === 0 ? undefined : this.#packetId();
      const rest = { retain: false, dup: false, properties: {} } as const;
      return encoded(
        { type: "PUBLISH", topic, payload, qos, packetId, ...rest },
        connection.version,
      );
    });
    return Buffer.concat(packets);
  }

  #maybeEmpty(): Buffer {
    return this.#random.chance(5) ? Buffer.alloc(0) : this.payload();
  }

  #packetId(): number {
    return this.#random.chance(80) ? this.#random.between(1, 12) : this.#random.between(1, 65_535);
  }

  subscribe(connection: ModelConnection): Packet {
    const random = this.#random;
    const isV5 = connection.version === 5;
    return {
      type: "SUBSCRIBE",
      packetId: this.#packetId(),
      subscriptions: Array.from({ length: random.between(1, 3) }, () => {
        const filter = this.filter(connection.subject);
        return {
          filter,
          qos: this.qos(),
          noLocal: isV5 && random.chance(20) && !filter.startsWith("$share"),
          retainAsPublished: isV5 && random.chance(20),
          retainHandling: isV5 ? random.pick([0, 0, 1, 2] as const) : 0,
        };
      }),
      properties:
        isV5 && random.chance(40)
          ? { subscriptionIdentifier: [random.pick([1, 2, 127, 128, 268_435_455])] }
          : {},
    };
  }

  unsubscribe(connection: ModelConnection): Packet {
    const filters = [...(connection.session?.subscriptions.keys() ?? [])];
    const filter =
      filters.length > 0 && this.#random.chance(80)
        ? this.#random.pick(filters)
        : this.filter(connection.subject);
    return { type: "UNSUBSCRIBE", packetId: this.#packetId(), filters: [filter], properties: {} };
  }

  /** An acknowledgement: mostly the next step of something in flight, sometimes of nothing, again, or out of order. */
  acknowledge(connection: ModelConnection): Packet {
    const random = this.#random;
    const inflight = [...(connection.session?.inflight ?? [])].filter(
      ([, each]) => each.isOnTheWire,
    );
    const open = [...(connection.session?.inboundQos2 ?? [])];
    const plain = { reasonCode: 0, properties: {} } as const;
    if (open.length > 0 && random.chance(40)) {
      return { type: "PUBREL", packetId: random.pick(open), ...plain };
    }
    if (inflight.length === 0 || random.chance(5)) {
      const type = random.pick(["PUBACK", "PUBREC", "PUBREL", "PUBCOMP"] as const);
      return { type, packetId: random.between(neverGiven, 65_535), ...plain };
    }
    const [packetId, { qos, isReleased }] = random.pick(inflight);
    if (random.chance(5))
      return { type: random.pick(["PUBACK", "PUBREC", "PUBCOMP"] as const), packetId, ...plain };
    if (qos === 1) return { type: "PUBACK", packetId, ...plain };
    if (isReleased) return { type: random.chance(15) ? "PUBREC" : "PUBCOMP", packetId, ...plain };
    const refuses = connection.version === 5 && random.chance(5);
    return { type: "PUBREC", packetId, reasonCode: refuses ? 0x80 : 0, properties: {} };
  }

  disconnect(connection: ModelConnection): Packet {
    const random = this.#random;
    const isV5 = connection.version === 5;
    return {
      type: "DISCONNECT",
      reasonCode: isV5 && random.chance(30) ? 4 : 0,
      properties:
        isV5 && random.chance(20) ? { sessionExpiryInterval: random.pick([0, 3_600]) } : {},
    };
  }

  /** Any packet, of either side, well-formed for the version. */
  any(connection: ModelConnection): Buffer {
    const { version } = connection;
    const random = this.#random;
    const packet = random.pick<() => Packet>([
      () => this.publish(connection),
      () => this.subscribe(connection),
      () => this.unsubscribe(connection),
      () => this.acknowledge(connection),
      () => this.disconnect(connection),
      () => this.connect(version, connection.subject, "x"),
      () => ({ type: "PINGREQ" }),
      () => ({ type: "PINGRESP" }),
      () => ({ type: "CONNACK", sessionPresent: false, reasonCode: 0, properties: {} }),
      () => ({ type: "SUBACK", packetId: 1, reasonCodes: [0], properties: {} }),
      () => ({
        type: "UNSUBACK",
        packetId: 1,
        reasonCodes: version === 5 ? [0] : [],
        properties: {},
      }),
      () => ({ type: "PUBREL", packetId: this.#packetId(), reasonCode: 0, properties: {} }),
    ])();
    return encoded(packet, version);
  }

  /** Bytes that were a packet and have been changed somewhere. */
  mutated(bytes: Buffer): Buffer {
    const random = this.#random;
    let out: Buffer = Buffer.from(bytes);
    for (let i = random.between(1, 3); i > 0; i -= 1) {
      const at =
        out.length === 0
          ? 0
          : random.below(random.chance(70) ? Math.min(out.length, 24) : out.length);
      const how = random.weighted({ flip: 4, set: 4, insert: 2, remove: 2, cut: 1, twice: 1 });
      if (how === "flip" && out.length > 0) out[at] = (out[at] as number) ^ (1 << random.below(8));
      if (how === "set" && out.length > 0)
        out[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)]);
      if (how === "insert")
        out = Buffer.concat([
          out.subarray(0, at),
          random.bytes(random.between(1, 3)),
          out.subarray(at),
        ]);
      if (how === "remove") out = Buffer.concat([out.subarray(0, at), out.subarray(at + 1)]);
      if (how === "cut") out = out.subarray(0, at);
      if (how === "twice") out = Buffer.concat([out, out.subarray(0, at)]);
    }
    return out;
  }
}

/** A packet as bytes; empty when a random one cannot be encoded. */
export function encoded(packet: Packet, version: ProtocolVersion): Buffer {
  try {
    return encodePacket(packet, version);
  } catch {
    return Buffer.alloc(0);
  }
}
