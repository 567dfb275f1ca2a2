import {
  type AcknowledgementPacket,
  type ConnectPacket,
  connackVersion,
  decodeConnect,
  decodePacket,
  encodePacket,
  isUtf8Payload,
  MqttError,
  type Packet,
  type PropertyValues,
  type ProtocolVersion,
  type PublishPacket,
  packetTypes,
  parseSharedSubscription,
  type QoS,
  type SubscribePacket,
  type SubscriptionRequest,
} from "@wardmq/mqtt";
import { matches } from "../test/topics.ts";
import { Rights } from "./policy.ts";

/** The broker did what it may not. */
export class Violation extends Error {}

/** The limits the deployment of the fuzz runs with, as far as they show. */
export const limits = {
  preAuthBytes: 16_384,
  packetBytes: 1_048_576,
  topicBytes: 1_024,
  clientIdBytes: 256,
  topicLevels: 16,
  subscriptions: 1_000,
  inflight: 256,
  userProperties: 32,
  topicAliases: 16,
  keepAliveSeconds: { min: 5, max: 600 },
  sessionExpirySeconds: 7 * 86_400,
} as const;

/** Something that was published: by a PUBLISH that was accepted, or as a will. */
interface Publication {
  /** Later ones have larger numbers; 0 when it is retained or a will, whose order nobody promises. */
  readonly serial: number;
  readonly publisher: string;
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties: PropertyValues;
}

interface Subscribed {
  readonly topicFilter: string;
  readonly isShared: boolean;
  readonly qos: QoS;
  readonly noLocal: boolean;
}

/** What a client knows of a message that is in flight to it. */
interface Inflight {
  readonly key: string;
  readonly qos: 1 | 2;
  isReleased: boolean;
  /** Sent again, or for the first time, on the connection of now. */
  isOnTheWire: boolean;
}

/** A session as its client and everybody else can know it. */
export class ModelSession {
  readonly subject: string;
  /** Empty until the broker has assigned one. */
  clientId: string;
  expirySeconds = 0;
  connection: ModelConnection | undefined;
  readonly subscriptions = new Map<string, Subscribed>();
  /** Every subscription it ever had: what waits may come after an UNSUBSCRIBE. */
  readonly everSubscribed: Subscribed[] = [];
  readonly identifiers = new Set<number>();
  readonly inboundQos2 = new Set<number>();
  readonly inflight = new Map<number, Inflight>();
  /** How often each message may come for the first time. */
  readonly due = new Map<string, number>();
  /** How often each QoS 1 or 2 message has to come still. */
  readonly owed = new Map<string, number>();
  /** The last message of each publisher, topic and QoS: their order is kept, 5.0 section 4.6. */
  readonly lastSerial = new Map<string, number>();
  /** A will whose delay runs. */
  pendingWill: Publication | undefined;
  /** What does not fit was dropped, or a message was acknowledged before its client could see it: nothing is sure. */
  isUncertain = false;

  constructor(subject: string, clientId: string) {
    this.subject = subject;
    this.clientId = clientId;
  }
}

/** A run is too short for the broker to give this Packet Identifier, or one above. */
export const neverGiven = 40_000;

/** Seconds that never pass during a run. */
const longDelay = 3_600;

const keyOf = (topic: string, payload: Uint8Array) =>
  `${topic}\0${Buffer.from(payload).toString("hex")}`;

/** All the broker may and must do, kept as simply as can be. */
export class Model {
  readonly rights = new Rights();
  #serial = 0;
  readonly sessions = new Set<ModelSession>();
  readonly publications = new Map<string, Publication[]>();
  readonly retained = new Map<string, Publication>();
  /** Topics that a will may have been retained for, some time. */
  readonly maybeRetained = new Map<string, Publication[]>();

  nextSerial(): number {
    this.#serial += 1;
    return this.#serial;
  }

  publish(publication: Publication, origin: ModelSession | undefined, isCertain: boolean): void {
    const { publisher, topic, payload, qos, retain, properties } = publication;
    const { responseTopic } = properties;
    if (!this.rights.mayPublish(publisher, topic)) return; // a will, and the right to it is gone
    if (!this.rights.mayBeAnswered(publisher, responseTopic)) return;
    const key = keyOf(topic, payload);
    this.publications.set(key, [...(this.publications.get(key) ?? []), publication]);
    if (retain && !isCertain) {
      this.maybeRetained.set(topic, [...(this.maybeRetained.get(topic) ?? []), publication]);
    } else if (retain) {
      if (payload.length === 0) this.retained.delete(topic);
      else this.retained.set(topic, publication);
    }
    for (const session of this.sessions) {
      if (!this.rights.mayReceive(session.subject, topic)) continue;
      const all = [...session.subscriptions.values()].filter(
        ({ topicFilter, noLocal }) =>
          matches(topicFilter, topic) && !(noLocal && session === origin),
      );
      const shared = all.filter(({ isShared }) => isShared);
      const own = all.filter(({ isShared }) => !isShared);
      add(session.due, key, shared.length + Math.min(own.length, 1));
      const granted = Math.min(qos, Math.max(0, ...own.map(({ qos: most }) => most)));
      const lasts = publication.properties.messageExpiryInterval === undefined;
      if (isCertain && own.length > 0 && granted > 0 && lasts) add(session.owed, key, 1);
    }
  }

  /** Another policy is in force: who had a subscription that it does not allow loses it, and the connection. */
  usePolicy(which: number): void {
    const { rights } = this;
    rights.which = which;
    for (const session of this.sessions) {
      const { subject, subscriptions, connection, owed, inflight } = session;
      const lost = [...subscriptions].filter(
        ([, { topicFilter }]) => !rights.maySubscribe(subject, topicFilter),
      );
      for (const [filter] of lost) subscriptions.delete(filter);
      for (const key of [...owed.keys()]) if (!this.#mayArrive(subject, key)) owed.delete(key);
      // What is withheld leaves the session, and its Packet Identifier is free while the client believes it is not.
      const isWithheld = [...inflight.values()].some(({ key }) => !this.#mayArrive(subject, key));
      if (isWithheld) session.isUncertain = true;
      if (lost.length > 0) connection?.breaks(0x87);
    }
    for (const [topic, publication] of this.retained) {
      // Whoever asks for it next makes the broker drop it: nothing is owed of this topic any more.
      if (!rights.mayPublish(publication.publisher, topic))
        this.maybeRetained.set(topic, [publication]);
    }
  }

  /** Whether the receiver, and some publisher of it, have a right to it now. */
  #mayArrive(subject: string, key: string): boolean {
    const topic = key.slice(0, key.indexOf("\0"));
    if (!this.rights.mayReceive(subject, topic)) return false;
    return (this.publications.get(key) ?? []).some(({ publisher }) =>
      this.rights.mayPublish(publisher, topic),
    );
  }

  sessionOf(subject: string, clientId: string): ModelSession | undefined {
    return [...this.sessions].find(
      (session) => session.subject === subject && session.clientId === clientId,
    );
  }

  open(subject: string, clientId: string): ModelSession {
    const session = new ModelSession(subject, clientId);
    this.sessions.add(session);
    return session;
  }

  end(session: ModelSession): void {
    if (!this.sessions.delete(session)) return;
    const { pendingWill } = session;
    session.pendingWill = undefined;
    if (pendingWill !== undefined) this.publish(pendingWill, undefined, false);
    // What its Shared Subscriptions owe may go to other members of the group.
    for (const { topicFilter, isShared } of session.everSubscribed) {
      if (!isShared) continue;
      for (const other of this.sessions) {
        for (const [key, publications] of this.publications) {
          if (publications.some(({ topic }) => matches(topicFilter, topic))) add(other.due, key, 1);
        }
      }
    }
  }
}

function add(counts: Map<string, number>, key: string, number: number): void {
  if (number > 0) counts.set(key, (counts.get(key) ?? 0) + number);
}

function takeOne(counts: Map<string, number>, key: string): boolean {
  const left = counts.get(key) ?? 0;
  if (left === 0) return false;
  if (left === 1) counts.delete(key);
  else counts.set(key, left - 1);
  return true;
}

/** An answer the broker owes; `codes` are those it may carry. */
interface Answer {
  readonly type: Packet["type"];
  readonly packetId?: number;
  readonly codes?: readonly number[];
  readonly list?: readonly number[];
}

/** One network connection: what the client has sent, what the broker owes it, and what it may bring. */
export class ModelConnection {
  readonly subject: string;
  version: ProtocolVersion = 5;
  state: "awaiting" | "open" | "ended" = "awaiting";
  session: ModelSession | undefined;
  /** Asked for in a CONNECT that is accepted, maybe. */
  maximumPacketBytes = Number.POSITIVE_INFINITY;
  receiveMaximum = 65_535;
  /** Bytes of a packet that is not whole. */
  partial: Buffer = Buffer.alloc(0);
  /** The DISCONNECT or end that we wait for. */
  endCode: number | undefined;
  isFinished = false;
  readonly answers: Answer[] = [];
  readonly #model: Model;
  readonly #inboundAliases = new Map<number, string>();
  readonly #outboundAliases = new Map<number, string>();
  #topicAliasMaximum = 0;
  #mayRaiseExpiry = false;
  #will: Publication | undefined;
  #hasAnswer = false;
  #hasSaidGoodbye = false;

  constructor(model: Model, subject: string) {
    this.#model = model;
    this.subject = subject;
  }

  // --- what the client sends --------------------------------------------------------------------------

  /** The client sends these bytes: works out what they do, as the text of the specification says. */
  sends(bytes: Buffer): void {
    if (this.state === "ended") return;
    this.partial = Buffer.concat([this.partial, bytes]);
    try {
      for (;;) {
        if (this.state === "awaiting" && this.partial.length > 0) {
          if ((this.partial[0] as number) >> 4 !== packetTypes.CONNECT) {
            throw new MqttError("ERR_MQTT_DIRECTION");
          }
        }
        const length = wholeLength(
          this.partial,
          this.state === "awaiting" ? limits.preAuthBytes : limits.packetBytes,
        );
        if (length === undefined || length > this.partial.length) return;
        const packet = this.partial.subarray(0, length);
        this.partial = this.partial.subarray(length);
        this.#take(packet);
        if ((this.state as string) === "ended") return;
      }
    } catch (error) {
      if (!(error instanceof MqttError)) throw error;
      this.breaks(error.reasonCode);
    }
  }

  #take(packet: Buffer): void {
    const start = 2 + packet.subarray(1).findIndex((byte) => byte < 0x80);
    const firstByte = packet[0] as number;
    if (this.state === "awaiting") {
      this.version = connackVersion(packet, start, packet.length) ?? 5;
      if (firstByte !== 0x10) throw new MqttError("ERR_MQTT_FIXED_HEADER_FLAGS");
      this.#connects(decodeConnect(packet, start, packet.length, limits.userProperties));
      return;
    }
    if (firstByte >> 4 === packetTypes.CONNECT) throw new MqttError("ERR_MQTT_DIRECTION");
    const decoded = decodePacket(firstByte, packet, start, packet.length, this.version, {
      sender: "client",
      maximumUserProperties: limits.userProperties,
    });
    this.#does(decoded);
  }

  #connects(connect: ConnectPacket): void {
    this.version = connect.version;
    const { properties, will, clientId } = connect;
    this.maximumPacketBytes = properties.maximumPacketSize ?? Number.POSITIVE_INFINITY;
    this.receiveMaximum = properties.receiveMaximum ?? 65_535;
    this.#topicAliasMaximum = properties.topicAliasMaximum ?? 0;
    if (properties.authenticationMethod !== undefined) {
      this.breaks(0x8c);
      return;
    }
    if (isDevice(this.subject) && clientId !== this.subject) {
      this.breaks(0x85);
      return;
    }
    if (will !== undefined && brokenLimit(will.topic)) {
      this.breaks(0x90);
      return;
    }
    const { rights } = this.#model;
    if (
      will !== undefined &&
      !(
        rights.mayPublish(this.subject, will.topic) &&
        rights.mayBeAnswered(this.subject, will.properties.responseTopic)
      )
    ) {
      this.breaks(0x87);
      return;
    }
    if (this.version === 5 && this.maximumPacketBytes < connackBytes(connect)) {
      this.breaks(0x95);
      return;
    }
    const former = clientId === "" ? undefined : this.#model.sessionOf(this.subject, clientId);
    former?.connection?.breaks(0x8e);
    const found = clientId === "" ? undefined : this.#model.sessionOf(this.subject, clientId);
    const isPresent = found !== undefined && !connect.cleanStart;
    if (found !== undefined && !isPresent) this.#model.end(found);
    this.session = isPresent ? found : this.#model.open(this.subject, clientId);
    this.session.connection = this;
    this.session.pendingWill = undefined; // 5.0 section 3.1.3.2.2: the connection is back before it was sent
    const wanted =
      this.version === 5
        ? (properties.sessionExpiryInterval ?? 0)
        : connect.cleanStart
          ? 0
          : limits.sessionExpirySeconds;
    this.#mayRaiseExpiry = wanted > 0;
    this.session.expirySeconds = Math.min(wanted, limits.sessionExpirySeconds);
    if (this.maximumPacketBytes < 100_000) this.session.isUncertain = true;
    for (const inflight of this.session.inflight.values()) inflight.isOnTheWire = false;
    this.#will =
      will === undefined
        ? undefined
        : { ...will, serial: 0, publisher: this.subject, payload: Buffer.from(will.payload) };
    this.answers.push({ type: "CONNACK", codes: [isPresent ? 1 : 0] });
    if (!this.session.isUncertain) this.#owesPubrels(this.session);
    this.state = "open";
  }

  /** 5.0 [MQTT-4.4.0-1]: at once, in the order in which the messages were sent. */
  #owesPubrels({ inflight }: ModelSession): void {
    for (const [packetId, each] of inflight) {
      if (!each.isReleased) continue;
      each.isOnTheWire = true;
      this.answers.push({ type: "PUBREL", packetId, codes: [0] });
    }
  }

  #does(packet: Packet): void {
    const session = this.session as ModelSession;
    switch (packet.type) {
      case "PUBLISH":
        this.#publishes(session, packet);
        return;
      case "SUBSCRIBE":
        this.#subscribes(session, packet);
        return;
      case "UNSUBSCRIBE": {
        const found = packet.filters.map((filter) => session.subscriptions.delete(filter));
        const list = this.version === 5 ? found.map((was) => (was ? 0 : 0x11)) : [];
        this.answers.push({ type: "UNSUBACK", packetId: packet.packetId, list });
        return;
      }
      case "PUBACK":
      case "PUBREC":
      case "PUBREL":
      case "PUBCOMP":
        this.#acknowledges(session, packet);
        return;
      case "PINGREQ":
        this.answers.push({ type: "PINGRESP" });
        return;
      case "DISCONNECT":
        this.#disconnects(session, packet.reasonCode, packet.properties.sessionExpiryInterval);
        return;
      case "AUTH":
        throw new MqttError("ERR_MQTT_AUTHENTICATION_METHOD");
      default:
        throw new MqttError("ERR_MQTT_DIRECTION");
    }
  }

  #publishes(session: ModelSession, packet: PublishPacket): void {
    const { qos, properties, retain } = packet;
    const topic = this.#resolveAlias(packet.topic, properties.topicAlias);
    const answer = qos === 1 ? "PUBACK" : "PUBREC";
    const answers = (...codes: readonly number[]) => {
      if (qos > 0) this.answers.push({ type: answer, packetId: packet.packetId ?? 0, codes });
    };
    if (qos === 2 && session.inboundQos2.has(packet.packetId ?? 0)) {
      answers(0);
      return;
    }
    const refusal = brokenLimit(topic)
      ? 0x90
      : this.#model.rights.mayPublish(this.subject, topic)
        ? 0
        : 0x87;
    if (refusal !== 0) {
      if (qos > 0 && this.version === 4) {
        this.breaks(refusal);
        return;
      }
      answers(refusal);
      return;
    }
    const payload = Buffer.from(packet.payload);
    if (properties.payloadFormatIndicator === 1 && !isUtf8Payload(payload, 0, payload.length)) {
      if (qos === 0) throw new MqttError("ERR_MQTT_PAYLOAD_FORMAT");
      answers(0x99);
      return;
    }
    if (!this.#model.rights.mayBeAnswered(this.subject, properties.responseTopic)) {
      answers(0x87);
      return;
    }
    if (qos === 2) {
      if (this.version === 5 && session.inboundQos2.size >= limits.inflight) {
        throw new MqttError("ERR_MQTT_RECEIVE_MAXIMUM");
      }
      session.inboundQos2.add(packet.packetId ?? 0);
    }
    const publisher = this.subject;
    const serial = retain ? 0 : this.#model.nextSerial();
    this.#model.publish(
      { serial, publisher, topic, payload, qos, retain, properties },
      session,
      true,
    );
    answers(0, ...(this.version === 5 ? [0x10] : []));
  }

  #resolveAlias(topic: string, alias: number | undefined): string {
    if ((alias ?? 0) > limits.topicAliases) throw new MqttError("ERR_MQTT_TOPIC_ALIAS");
    if (topic !== "") {
      if (alias !== undefined) this.#inboundAliases.set(alias, topic);
      return topic;
    }
    const known = this.#inboundAliases.get(alias ?? 0);
    if (known === undefined) throw new MqttError("ERR_MQTT_TOPIC_MISSING");
    return known;
  }

  #subscribes(
    session: ModelSession,
    { packetId, subscriptions, properties }: SubscribePacket,
  ): void {
    const [identifier] = properties.subscriptionIdentifier ?? [];
    const retained: [SubscriptionRequest, boolean][] = [];
    const list = subscriptions.map((request) => {
      const shared = parseSharedSubscription(request.filter);
      const topicFilter: string = shared?.filter ?? request.filter;
      const isNew = !session.subscriptions.has(request.filter);
      const refusal = brokenLimit(topicFilter)
        ? 0x8f
        : isNew && session.subscriptions.size >= limits.subscriptions
          ? 0x97
          : this.#model.rights.maySubscribe(this.subject, topicFilter)
            ? 0
            : 0x87;
      if (refusal !== 0) return this.version === 5 ? refusal : 0x80;
      const { qos, noLocal } = request;
      const subscribed = { topicFilter, isShared: shared !== undefined, qos, noLocal };
      session.subscriptions.set(request.filter, subscribed);
      session.everSubscribed.push(subscribed);
      if (identifier !== undefined) session.identifiers.add(identifier);
      if (shared === undefined) retained.push([request, isNew]);
      return qos;
    });
    this.answers.push({ type: "SUBACK", packetId, list });
    for (const [request, isNew] of retained) this.#owesRetained(session, request, isNew);
  }

  #owesRetained(
    session: ModelSession,
    { filter, qos, retainHandling }: SubscriptionRequest,
    isNew: boolean,
  ): void {
    if (retainHandling === 2 || (retainHandling === 1 && !isNew)) return;
    for (const [topic, publications] of this.#model.maybeRetained) {
      if (!matches(filter, topic)) continue;
      for (const { payload } of publications) add(session.due, keyOf(topic, payload), 1);
    }
    for (const [topic, publication] of this.#model.retained) {
      if (!matches(filter, topic)) continue;
      const key = keyOf(topic, publication.payload);
      add(session.due, key, 1);
      const lasts = publication.properties.messageExpiryInterval === undefined;
      const isSure = lasts && !this.#model.maybeRetained.has(topic);
      if (Math.min(qos, publication.qos) > 0 && isSure) add(session.owed, key, 1);
    }
  }

  #acknowledges(
    session: ModelSession,
    { type, packetId, reasonCode }: AcknowledgementPacket,
  ): void {
    const inflight = session.inflight.get(packetId);
    if (type === "PUBREL") {
      const known = session.inboundQos2.delete(packetId);
      const code = known || this.version === 4 ? 0 : 0x92;
      this.answers.push({ type: "PUBCOMP", packetId, codes: [code] });
    } else if (type === "PUBREC") {
      if (inflight === undefined) {
        if (packetId < neverGiven) session.isUncertain = true;
        const codes = this.version === 4 ? [0] : packetId < neverGiven ? [0, 0x92] : [0x92];
        this.answers.push({ type: "PUBREL", packetId, codes });
      } else if (inflight.qos === 2) {
        if (reasonCode >= 0x80 && !inflight.isReleased) session.inflight.delete(packetId);
        else {
          inflight.isReleased = true;
          inflight.isOnTheWire = true;
          this.answers.push({ type: "PUBREL", packetId, codes: [0] });
        }
      }
    } else if (inflight !== undefined) {
      const settles = type === "PUBACK" ? inflight.qos === 1 : inflight.isReleased;
      if (settles) session.inflight.delete(packetId);
    } else if (packetId < neverGiven) session.isUncertain = true;
  }

  #disconnects(session: ModelSession, reasonCode: number, expiry: number | undefined): void {
    if (expiry !== undefined) {
      if (expiry > 0 && !this.#mayRaiseExpiry) throw new MqttError("ERR_MQTT_PROPERTY_VALUE");
      session.expirySeconds = Math.min(expiry, limits.sessionExpirySeconds);
    }
    if (reasonCode === 0) this.#will = undefined;
    this.ends();
  }

  /** The broker has to end this connection, with this code on 5.0. */
  breaks(reasonCode: number): void {
    if (this.state === "ended") return;
    this.endCode = reasonCode;
    this.ends();
  }

  /** The connection is over, whoever ended it. */
  ends(): void {
    if (this.state === "ended") return;
    this.state = "ended";
    this.partial = Buffer.alloc(0);
    const { session } = this;
    if (session === undefined) return;
    session.connection = undefined;
    const will = this.#will;
    const delay = Math.min(will?.properties.willDelayInterval ?? 0, session.expirySeconds);
    // Short delays end some time during the fuzz, so that such a will may be sent now or later.
    if (will !== undefined && delay < longDelay) {
      this.#model.publish(will, undefined, delay === 0);
    }
    if (delay > 0) session.pendingWill = will;
    if (session.expirySeconds === 0) this.#model.end(session);
  }

  // --- what the broker sends --------------------------------------------------------------------------

  /** A packet of the broker has come: it has to be one that may come now. */
  receives(bytes: Buffer): void {
    if (bytes.length > this.maximumPacketBytes)
      throw new Violation("larger than Maximum Packet Size");
    if (this.#hasSaidGoodbye) throw new Violation("a packet after DISCONNECT");
    const packet = this.#decode(bytes);
    if (!this.#hasAnswer && packet.type !== "CONNACK")
      throw new Violation(`${packet.type} before CONNACK`);
    if (packet.type === "PUBLISH") this.#receivesMessage(packet);
    else if (packet.type === "CONNACK")
      this.#receivesConnack(packet.reasonCode, packet.sessionPresent, packet.properties);
    else if (packet.type === "DISCONNECT") this.#receivesDisconnect(packet.reasonCode);
    else this.#receivesAnswer(packet);
  }

  #decode(bytes: Buffer): Packet {
    const start = 2 + bytes.subarray(1).findIndex((byte) => byte < 0x80);
    try {
      return decodePacket(bytes[0] as number, bytes, start, bytes.length, this.version, {
        sender: "server",
      });
    } catch (error) {
      throw new Violation(`the broker sent a malformed packet: ${String(error)}`);
    }
  }

  #receivesConnack(reasonCode: number, sessionPresent: boolean, properties: PropertyValues): void {
    if (this.#hasAnswer) throw new Violation("a second CONNACK");
    this.#hasAnswer = true;
    const expected = this.answers.shift();
    if (expected?.type !== "CONNACK") {
      if (reasonCode === 0) throw new Violation("a CONNECT was accepted that may not be");
      this.#hasSaidGoodbye = true;
      return;
    }
    if (reasonCode !== 0) {
      throw new Violation(`a CONNECT was refused with ${reasonCode} that may be accepted`);
    }
    if (sessionPresent !== (expected.codes?.[0] === 1))
      throw new Violation(`Session Present is ${sessionPresent}`);
    this.#learnClientId(properties.assignedClientIdentifier);
  }

  #learnClientId(assigned: string | undefined): void {
    const { session } = this;
    if (session === undefined) return;
    if ((assigned !== undefined) !== (session.clientId === "" && this.version === 5)) {
      throw new Violation(
        "an Assigned Client Identifier where none belongs, or none where one does",
      );
    }
    if (assigned !== undefined) session.clientId = assigned;
  }

  #receivesDisconnect(reasonCode: number): void {
    this.#hasSaidGoodbye = true;
    if (reasonCode === 0x95 && this.maximumPacketBytes < 100) this.breaks(0x95);
    if (this.state !== "ended" || this.endCode === undefined) {
      throw new Violation(`DISCONNECT 0x${reasonCode.toString(16)} without a cause`);
    }
    // Of several faults in one packet the broker may name another than the twin finds first.
    const isMalformed = (code: number) => code === 0x81 || code === 0x82;
    if (reasonCode !== this.endCode && !(isMalformed(reasonCode) && isMalformed(this.endCode))) {
      throw new Violation(
        `DISCONNECT 0x${reasonCode.toString(16)} instead of 0x${this.endCode.toString(16)}`,
      );
    }
  }

  #receivesAnswer(packet: Exclude<Packet, { type: "PUBLISH" | "CONNACK" | "DISCONNECT" }>): void {
    if (packet.type === "PUBREL" && this.#isPubrelOfResume(packet.packetId)) return;
    const expected = this.answers.shift();
    if (expected === undefined) throw new Violation(`${packet.type} answers nothing`);
    if (packet.type !== expected.type)
      throw new Violation(`${packet.type} instead of ${expected.type}`);
    if ("packetId" in packet && packet.packetId !== expected.packetId) {
      throw new Violation(`${packet.type} for ${packet.packetId} instead of ${expected.packetId}`);
    }
    if ("reasonCode" in packet && expected.codes?.includes(packet.reasonCode) === false) {
      throw new Violation(`${packet.type} with ${packet.reasonCode} instead of ${expected.codes}`);
    }
    if ("reasonCodes" in packet && String(packet.reasonCodes) !== String(expected.list)) {
      throw new Violation(`${packet.type} with ${packet.reasonCodes} instead of ${expected.list}`);
    }
  }

  /** After a reconnect the broker sends again the PUBREL it owes. */
  #isPubrelOfResume(packetId: number): boolean {
    const inflight = this.session?.inflight.get(packetId);
    if (this.answers[0]?.type !== "PUBREL" && this.session?.isUncertain === true) return true;
    if (inflight?.isReleased !== true || inflight.isOnTheWire) return false;
    inflight.isOnTheWire = true;
    return true;
  }

  #receivesMessage(packet: PublishPacket): void {
    const { session } = this;
    if (session === undefined) throw new Violation("a message without a session");
    const topic = this.#outboundTopic(packet);
    const key = keyOf(topic, packet.payload);
    this.#checkMayHave(session, topic, key, packet);
    if (packet.qos === 0) {
      if (!takeOne(session.due, key))
        throw new Violation("a QoS 0 message more often than it was published");
      return;
    }
    const packetId = packet.packetId ?? 0;
    const inflight = session.inflight.get(packetId);
    const onTheWire = [...session.inflight.values()].filter((each) => each.isOnTheWire).length;
    if (onTheWire >= this.receiveMaximum)
      throw new Violation("more in flight than Receive Maximum");
    const isAgain = inflight?.key === key && inflight.qos === packet.qos && packet.dup;
    if (inflight !== undefined && isAgain) {
      if (inflight.isReleased) throw new Violation("a QoS 2 message again after its PUBREC");
      if (inflight.isOnTheWire) throw new Violation("a message twice on one connection");
      inflight.isOnTheWire = true;
      return;
    }
    if (inflight !== undefined && !session.isUncertain) {
      throw new Violation("a Packet Identifier that is in use");
    }
    if (!takeOne(session.due, key)) {
      throw new Violation("a message more often than it was published");
    }
    takeOne(session.owed, key);
    this.#checkOrder(session, topic, key, packet.qos);
    session.inflight.set(packetId, { key, qos: packet.qos, isReleased: false, isOnTheWire: true });
  }

  #checkOrder(session: ModelSession, topic: string, key: string, qos: QoS): void {
    const isShared = session.everSubscribed.some(
      ({ isShared: shared, topicFilter }) => shared && matches(topicFilter, topic),
    );
    const [publication, ...others] = this.#model.publications.get(key) ?? [];
    if (isShared || publication === undefined || others.length > 0 || publication.serial === 0)
      return;
    const of = `${publication.publisher} ${publication.qos} ${qos} ${topic}`;
    const last = session.lastSerial.get(of) ?? 0;
    if (publication.serial < last) throw new Violation(`a message to ${topic} out of order`);
    session.lastSerial.set(of, publication.serial);
  }

  #outboundTopic({ topic, properties: { topicAlias } }: PublishPacket): string {
    if (topicAlias === undefined) return topic;
    if (topicAlias > this.#topicAliasMaximum)
      throw new Violation("a Topic Alias above the maximum");
    if (topic !== "") this.#outboundAliases.set(topicAlias, topic);
    const known = this.#outboundAliases.get(topicAlias);
    if (known === undefined) throw new Violation("a Topic Alias that was never set");
    return known;
  }

  #checkMayHave(session: ModelSession, topic: string, key: string, packet: PublishPacket): void {
    if (!this.#model.rights.mayReceive(this.subject, topic))
      throw new Violation(`${this.subject} may not have ${topic}`);
    const filters = session.everSubscribed.filter(({ topicFilter }) => matches(topicFilter, topic));
    if (filters.length === 0) throw new Violation(`nobody subscribed to ${topic} here`);
    const published = this.#model.publications.get(key) ?? [];
    if (published.length === 0) throw new Violation(`nobody published this to ${topic}`);
    const most = Math.max(...filters.map(({ qos }) => qos));
    const source = published.find(
      ({ publisher, qos, retain, properties }) =>
        this.#model.rights.mayPublish(publisher, topic) &&
        packet.qos <= Math.min(qos, most) &&
        (retain || !packet.retain) &&
        (this.version === 4 || hasTravelled(properties, packet.properties)),
    );
    if (source === undefined)
      throw new Violation(`a message to ${topic} is not as it was published`);
    for (const identifier of packet.properties.subscriptionIdentifier ?? []) {
      if (!session.identifiers.has(identifier))
        throw new Violation("an unknown Subscription Identifier");
    }
  }

  /** The network connection has ended. */
  finishes(): void {
    this.isFinished = true;
    if (this.state !== "ended") {
      throw new Violation(`the broker ended a connection of ${this.subject} without a cause`);
    }
  }
}

/** Whether what was published arrived whole: user properties in their order, and an expiry that only shrinks. */
function hasTravelled(from: PropertyValues, to: PropertyValues): boolean {
  const plain = ({
    payloadFormatIndicator,
    contentType,
    responseTopic,
    correlationData,
    userProperty,
  }: PropertyValues) =>
    JSON.stringify([
      payloadFormatIndicator,
      contentType,
      responseTopic,
      correlationData === undefined ? undefined : Buffer.from(correlationData).toString("hex"),
      userProperty,
    ]);
  const { messageExpiryInterval: before } = from;
  const { messageExpiryInterval: after } = to;
  const isShorter =
    before === undefined
      ? after === undefined
      : after !== undefined && after <= Math.max(before, 1);
  return isShorter && plain(from) === plain(to);
}

function isDevice(subject: string): boolean {
  return /^[0-9a-f-]{36}$/.test(subject);
}

function brokenLimit(topic: string): boolean {
  return (
    Buffer.byteLength(topic) > limits.topicBytes || topic.split("/").length > limits.topicLevels
  );
}

/** The length of the first packet, fixed header included; undefined while it cannot be told. */
function wholeLength(bytes: Buffer, maximum: number): number | undefined {
  let remaining = 0;
  for (let i = 1; i <= 4; i += 1) {
    const byte = bytes[i];
    if (byte === undefined) return undefined;
    remaining += (byte & 0x7f) * 128 ** (i - 1);
    if (byte >= 0x80) continue;
    if (byte === 0 && i > 1) break;
    const length = 1 + i + remaining;
    if (length > maximum) throw new MqttError("ERR_MQTT_PACKET_TOO_LARGE");
    return length;
  }
  throw new MqttError("ERR_MQTT_VARIABLE_BYTE_INTEGER");
}

/** The length of the CONNACK that accepts this CONNECT, with all the broker has to tell. */
function connackBytes({ clientId, keepAlive, properties }: ConnectPacket): number {
  const { sessionExpiryInterval: expiry = 0 } = properties;
  const { min, max } = limits.keepAliveSeconds;
  const serverKeepAlive = keepAlive === 0 ? max : Math.min(Math.max(keepAlive, min), max);
  const granted: PropertyValues = {
    ...(expiry > limits.sessionExpirySeconds ? { sessionExpiryInterval: 1 } : {}),
    receiveMaximum: limits.inflight,
    maximumPacketSize: limits.packetBytes,
    topicAliasMaximum: limits.topicAliases,
    ...(clientId === "" ? { assignedClientIdentifier: `auto-${"x".repeat(36)}` } : {}),
    ...(serverKeepAlive === keepAlive ? {} : { serverKeepAlive }),
  };
  const packet = {
    type: "CONNACK",
    sessionPresent: false,
    reasonCode: 0,
    properties: granted,
  } as const;
  return encodePacket(packet, 5).length;
}
