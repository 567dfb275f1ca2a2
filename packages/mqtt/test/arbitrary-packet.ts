import fc from "fast-check";
import {
  type Packet,
  type PacketName,
  type PropertyDefinition,
  type PropertyName,
  type PropertyPlace,
  type PropertyValues,
  type ProtocolVersion,
  parseSharedSubscription,
  properties,
  reasonCodeAllowed,
  type Sender,
  type WillMessage,
} from "../src/index.ts";

/** Any packet that this side may send in this version, with everything it may carry. */
export interface SentPacket {
  readonly packet: Packet;
  readonly version: ProtocolVersion;
  readonly sender: Sender;
}

const text = fc
  .string({ unit: "binary", maxLength: 12 })
  .map((value) => value.replaceAll("\0", ""));
const binary = fc.uint8Array({ maxLength: 12 }).map((value) => Buffer.from(value));
const level = fc.oneof(
  fc.constantFrom("", "a", "b", "device", "$SYS", "é", "\ufeff", "😀"),
  text.map((value) => value.replaceAll(/[/+#]/g, "")),
);
/** Any Topic Name. */
export const topicName = fc
  .array(level, { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join("/"))
  .filter((name) => name !== "");
/** Any Topic Filter that is not shared. */
export const topicFilter = fc
  .tuple(
    fc.array(fc.oneof(level, fc.constant("+")), { minLength: 1, maxLength: 5 }),
    fc.constantFrom("", "/#"),
  )
  .map(([levels, end]) => levels.join("/") + end)
  .filter((filter) => filter !== "" && !filter.startsWith("$share/"));
const sharedFilter = topicFilter.map((filter) => `$share/group/${filter}`);
const packetId = fc.integer({ min: 1, max: 0xffff });
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const);
const largest = {
  byte: 0xff,
  twoByteInteger: 0xffff,
  fourByteInteger: 0xffff_ffff,
  variableByteInteger: 268_435_455,
};

function propertyValue(name: PropertyName): fc.Arbitrary<unknown> {
  const { type, minimum = 0, maximum }: PropertyDefinition = properties[name];
  if (name === "responseTopic") return topicName;
  if (type === "utf8String") return text;
  if (type === "utf8StringPair") return fc.tuple(text, text);
  if (type === "binaryData") return binary;
  return fc.integer({ min: minimum, max: maximum ?? largest[type] });
}

function propertiesOf(
  place: PropertyPlace,
  sender: Sender,
  version: ProtocolVersion,
): fc.Arbitrary<PropertyValues> {
  if (version === 4) return fc.constant({});
  const model: Record<string, fc.Arbitrary<unknown>> = {};
  for (const name of Object.keys(properties) as PropertyName[]) {
    const { allowedIn, repeatable }: PropertyDefinition = properties[name];
    const wrongSide =
      (place === "PUBLISH" && name === "subscriptionIdentifier" && sender === "client") ||
      (place === "DISCONNECT" && name === "sessionExpiryInterval" && sender === "server");
    if (!allowedIn.includes(place) || wrongSide) continue;
    const maxLength = place === "SUBSCRIBE" && name === "subscriptionIdentifier" ? 1 : 3;
    const value = propertyValue(name);
    model[name] = repeatable ? fc.array(value, { minLength: 1, maxLength }) : value;
  }
  return fc.record(model, { requiredKeys: [], noNullPrototype: true }).map((values) => {
    const { authenticationData, ...rest } = values as PropertyValues;
    if (place === "AUTH") return { authenticationMethod: "method", ...values };
    return rest.authenticationMethod === undefined ? rest : values;
  });
}

function reasonCode(
  packet: PacketName,
  sender: Sender,
  version: ProtocolVersion,
): fc.Arbitrary<number> {
  const all = Array.from({ length: 256 }, (_, code) => code);
  if (version === 5) {
    return fc.constantFrom(...all.filter((code) => reasonCodeAllowed(packet, code, sender)));
  }
  if (packet === "CONNACK") return fc.constantFrom(0, 1, 2, 3, 4, 5);
  return packet === "SUBACK" ? fc.constantFrom(0, 1, 2, 0x80) : fc.constant(0);
}

function will(version: ProtocolVersion): fc.Arbitrary<WillMessage> {
  return fc
    .record(
      {
        topic: topicName,
        payload: binary,
        qos,
        retain: fc.boolean(),
        properties: propertiesOf("WILL", "client", version),
      },
      { noNullPrototype: true },
    )
    .map((message) =>
      message.properties.payloadFormatIndicator === 1
        ? { ...message, payload: Buffer.from("UTF-8 é\0") }
        : message,
    );
}

type Fields<Type extends PacketName> = {
  [Key in Exclude<keyof Extract<Packet, { type: Type }>, "type">]: fc.Arbitrary<unknown>;
};

function packetOf<Type extends PacketName>(type: Type, fields: Fields<Type>): fc.Arbitrary<Packet> {
  return fc
    .record(fields as Record<string, fc.Arbitrary<unknown>>, { noNullPrototype: true })
    .map((values) => ({ type, ...values }) as unknown as Packet);
}

function connect(version: ProtocolVersion): fc.Arbitrary<Packet> {
  return packetOf("CONNECT", {
    version: fc.constant(version),
    cleanStart: fc.boolean(),
    keepAlive: fc.integer({ min: 0, max: 0xffff }),
    clientId: text,
    will: fc.option(will(version), { nil: undefined }),
    username: fc.option(text, { nil: undefined }),
    password: fc.option(binary, { nil: undefined }),
    properties: propertiesOf("CONNECT", "client", version),
  }).map((packet) => {
    if (packet.type !== "CONNECT" || version === 5) return packet;
    return {
      ...packet,
      cleanStart: packet.cleanStart || packet.clientId === "",
      password: packet.username === undefined ? undefined : packet.password,
    };
  });
}

/** Any PUBLISH of this side. */
export function publish(sender: Sender, version: ProtocolVersion): fc.Arbitrary<Packet> {
  const fields = packetOf("PUBLISH", {
    topic: fc.oneof({ weight: 4, arbitrary: topicName }, { weight: 1, arbitrary: fc.constant("") }),
    payload: binary,
    qos,
    retain: fc.boolean(),
    dup: fc.boolean(),
    packetId,
    properties: propertiesOf("PUBLISH", sender, version),
  });
  return fields.map((packet) => {
    if (packet.type !== "PUBLISH") return packet;
    const named = packet.topic !== "" || packet.properties.topicAlias !== undefined;
    return {
      ...packet,
      topic: named && (version === 5 || packet.topic !== "") ? packet.topic : "t",
      dup: packet.dup && packet.qos > 0,
      packetId: packet.qos === 0 ? undefined : packet.packetId,
    };
  });
}

function subscription(version: ProtocolVersion): fc.Arbitrary<unknown> {
  const no = fc.constant(false);
  return fc
    .record(
      {
        filter: version === 5 ? fc.oneof(topicFilter, sharedFilter) : topicFilter,
        qos,
        noLocal: version === 5 ? fc.boolean() : no,
        retainAsPublished: version === 5 ? fc.boolean() : no,
        retainHandling: version === 5 ? fc.constantFrom(0, 1, 2) : fc.constant(0),
      },
      { noNullPrototype: true },
    )
    .map((request) => ({
      ...request,
      noLocal: request.noLocal && parseSharedSubscription(request.filter) === undefined,
    }));
}

function outcome<Type extends "PUBACK" | "PUBREC" | "PUBREL" | "PUBCOMP">(
  type: Type,
  sender: Sender,
  version: ProtocolVersion,
): fc.Arbitrary<Packet> {
  return packetOf<"PUBACK">(type as "PUBACK", {
    packetId,
    reasonCode: reasonCode(type, sender, version),
    properties: propertiesOf(type, sender, version),
  });
}

function fromBoth(sender: Sender, version: ProtocolVersion): fc.Arbitrary<Packet>[] {
  return [
    publish(sender, version),
    outcome("PUBACK", sender, version),
    outcome("PUBREC", sender, version),
    outcome("PUBREL", sender, version),
    outcome("PUBCOMP", sender, version),
  ];
}

/** Only in 5.0 may a server disconnect and either side authenticate. */
function onlyIn5(sender: Sender): fc.Arbitrary<Packet>[] {
  const fields = (type: "DISCONNECT" | "AUTH") => ({
    reasonCode: reasonCode(type, sender, 5),
    properties: propertiesOf(type, sender, 5),
  });
  return [packetOf("DISCONNECT", fields("DISCONNECT")), packetOf("AUTH", fields("AUTH"))];
}

function fromClient(version: ProtocolVersion): fc.Arbitrary<Packet>[] {
  return [
    connect(version),
    ...fromBoth("client", version),
    packetOf("SUBSCRIBE", {
      packetId,
      subscriptions: fc.array(subscription(version), { minLength: 1, maxLength: 3 }),
      properties: propertiesOf("SUBSCRIBE", "client", version),
    }),
    packetOf("UNSUBSCRIBE", {
      packetId,
      filters: fc.array(topicFilter, { minLength: 1, maxLength: 3 }),
      properties: propertiesOf("UNSUBSCRIBE", "client", version),
    }),
    fc.constant({ type: "PINGREQ" }),
    ...(version === 5
      ? onlyIn5("client")
      : [fc.constant({ type: "DISCONNECT", reasonCode: 0, properties: {} } as const)]),
  ];
}

function fromServer(version: ProtocolVersion): fc.Arbitrary<Packet>[] {
  const codes = (type: "SUBACK" | "UNSUBACK") =>
    fc.array(reasonCode(type, "server", version), { minLength: 1, maxLength: 3 });
  return [
    packetOf("CONNACK", {
      sessionPresent: fc.boolean(),
      reasonCode: reasonCode("CONNACK", "server", version),
      properties: propertiesOf("CONNACK", "server", version),
    }).map((packet) =>
      packet.type === "CONNACK"
        ? { ...packet, sessionPresent: packet.sessionPresent && packet.reasonCode === 0 }
        : packet,
    ),
    ...fromBoth("server", version),
    packetOf("SUBACK", {
      packetId,
      reasonCodes: codes("SUBACK"),
      properties: propertiesOf("SUBACK", "server", version),
    }),
    packetOf("UNSUBACK", {
      packetId,
      reasonCodes: version === 5 ? codes("UNSUBACK") : fc.constant([]),
      properties: propertiesOf("UNSUBACK", "server", version),
    }),
    fc.constant({ type: "PINGRESP" }),
    ...(version === 5 ? onlyIn5("server") : []),
  ];
}

const senders: readonly Sender[] = ["client", "server"];
const versions: readonly ProtocolVersion[] = [4, 5];

export const sentPacket: fc.Arbitrary<SentPacket> = fc.oneof(
  ...versions.flatMap((version) =>
    senders.map((sender) =>
      fc
        .oneof(...(sender === "client" ? fromClient(version) : fromServer(version)))
        .map((packet) => ({ packet, version, sender })),
    ),
  ),
);
