import { printable } from "@wardmq/events";
import {
  decodeUtf8,
  encodePacket,
  isUtf8Payload,
  MqttError,
  PublishFrame,
  parseTopicName,
} from "@wardmq/mqtt";
import { type Exchange, isWithin, type Terms } from "@wardmq/policy/compile";
import type { OpenCommand } from "../enforcement/open-commands.ts";
import { ApplicationMessage } from "../routing/application-message.ts";
import { Topic } from "../routing/topic.ts";
import type { Session } from "../session/session.ts";
import type { Connection, Settled } from "./connection.ts";
import type { ConnectionContext } from "./context.ts";
import { renew, renewalTopic } from "./token.ts";

/** What one connection has found out about a topic it publishes to. */
interface PublishTopic {
  /** The router's own from the first PUBLISH that is allowed; before, it has never heard of the name. */
  topic: Topic;
  /** The Reason Code that refuses it: 0x87 by policy, 0x90 by a limit; 0 when it is allowed. */
  refusal: number;
  /** What a message must keep to where it is allowed. */
  terms: readonly Terms[];
  /** Where it is a topic of commands or of their answers. */
  exchange: Exchange | undefined;
  /** The rule that refuses it. */
  ruleId: string | undefined;
  /** The enforcement epoch the answer belongs to. */
  epoch: number;
}

/** How many topics one connection's answers are remembered for, and how long their names may be together. */
const rememberedTopics = 256;
const rememberedBytes = 16_384;

/** What is known of a topic before the first PUBLISH to it is judged. */
const unasked = {
  refusal: 0,
  terms: [],
  exchange: undefined,
  ruleId: undefined,
  epoch: 0,
} as const;

/** What an alias stands for whose Topic Name broke a limit: the name itself is never kept. */
const overLimit: PublishTopic = { ...unasked, topic: new Topic(""), refusal: 0x90 };

/** Reused for every PUBLISH of every connection: the whole way through the broker is one call. */
const frame = new PublishFrame();
let message: ApplicationMessage | undefined;

/**
 * Hot path. What a connection does with a PUBLISH, in this order: resolve the alias, authorize the final Topic Name,
 * check payload format and retained limits, route, acknowledge.
 */
export class PublishHandler {
  readonly #connection: Connection;
  readonly #session: Session;
  readonly #inflight: number;
  readonly #context: ConnectionContext;
  /** By the bytes of the name read as Latin-1: one key for each name, and cheap to make. */
  #topics: Map<string, PublishTopic> | undefined;
  #topicBytes = 0;
  #last: PublishTopic | undefined;
  /** Topic Aliases the client has set; they end with the connection. */
  #aliases: PublishTopic[] | undefined;

  constructor(
    connection: Connection,
    { session, inflight }: Pick<Settled, "session" | "inflight">,
  ) {
    this.#connection = connection;
    this.#session = session;
    this.#inflight = inflight;
    this.#context = connection.context;
  }

  handle(firstByte: number, buffer: Buffer, start: number, end: number): void {
    frame.decode(firstByte, buffer, start, end, this.#connection.version);
    if (frame.userProperties > this.#context.limits().userProperties) {
      throw new MqttError("ERR_MQTT_USER_PROPERTIES");
    }
    const topic = this.#resolveTopic(buffer);
    const { qos, packetId } = frame;
    if (qos === 2 && this.#isDuplicate(packetId)) {
      if (this.#session.stored !== undefined && !this.#connection.hold()) return;
      this.#connection.sendPubrec(packetId, 0);
      return;
    }
    // Every denial is an event, so a refusal that was remembered is asked for again.
    if (topic.epoch !== this.#context.enforcement.epoch || topic.refusal !== 0) {
      if (this.#isRenewal(topic, buffer)) return;
      this.#authorize(topic);
    }
    if (topic.refusal !== 0) {
      this.#refuse(topic.refusal, topic.ruleId);
      return;
    }
    if (frame.payloadFormatIndicator === 1 && !this.#isPayloadUtf8(buffer)) return;
    if (!topic.topic.isLive) topic.topic = this.#context.router.topic(topic.topic.name);
    const application = fill(topic.topic, this.#session, this.#context, buffer);
    if (!isWithin(topic.terms, application)) {
      const { ruleId } = this.#context.enforcement.refuseMessage(
        this.#connection.requester,
        topic.topic.name,
        topic.terms,
        application,
      );
      this.#refuse(0x87, ruleId);
      return;
    }
    const hasFreeText = frame.userProperties > 0 || frame.hasContentType;
    const { enforcement } = this.#context;
    if (hasFreeText && enforcement.phi.blocksFreeText(this.#connection.requester, application)) {
      this.#refuse(0x87, "phi");
      return;
    }
    if (frame.responseTopicStart >= 0 && !this.#mayBeAnswered(buffer)) return;
    const { exchange } = topic;
    const command = exchange && this.#commandOf(exchange, application);
    if (exchange !== undefined && command === undefined) return;
    if (application.retain && !this.#mayRetain(application)) return;
    const { journal } = this.#context;
    if (journal.isRefusing && !this.#mayStore(application)) return;
    const { said } = journal;
    if (qos === 2) this.#rememberPacketId(packetId);
    const receivers =
      exchange === undefined || command === undefined
        ? this.#context.router.publish(application, this.#session)
        : this.#exchange(exchange, command, application);
    journal.commitLarge();
    // 0x10: no matching subscribers.
    this.#acknowledge(receivers === 0 && this.#connection.version === 5 ? 0x10 : 0, said);
  }

  /** Acknowledges the PUBLISH of the frame, after what the journal was told since `said`. */
  #acknowledge(reasonCode: number, said: number): void {
    const { qos, packetId } = frame;
    if (qos === 0) return;
    if (this.#context.journal.said !== said && !this.#connection.hold()) return;
    if (qos === 1) this.#connection.sendPuback(packetId, reasonCode);
    else this.#connection.sendPubrec(packetId, reasonCode);
  }

  /** The command that this message is, or that it answers; nothing where it was refused. */
  #commandOf(exchange: Exchange, application: ApplicationMessage): OpenCommand | undefined {
    const { enforcement } = this.#context;
    const { requester } = this.#connection;
    if (exchange.part === "response") {
      const answered = enforcement.authorizeResponse(requester, exchange, application);
      if (answered === undefined) this.#refuseResponse(exchange);
      return answered;
    }
    const command = enforcement.authorizeCommand(requester, exchange, application, frame.dup);
    if (command === undefined) {
      this.#refuse(0x87, exchange.ruleId);
      return undefined;
    }
    const limit = enforcement.commands.limitFor(command);
    if (limit === undefined) return command;
    this.#recordLimit(limit, application.topic.name);
    this.#refuse(0x97);
    return undefined;
  }

  /**
   * Deviation: on 3.1.1 it is acknowledged and dropped. Nobody waits for it, and a connection that ended for it would end
   * again each time the device sends it again, with the device's alarms.
   */
  #refuseResponse({ ruleId }: Exchange): void {
    if (this.#connection.version === 5) {
      this.#refuse(0x87, ruleId);
      return;
    }
    const { said } = this.#context.journal;
    if (frame.qos === 2) this.#rememberPacketId(frame.packetId);
    this.#acknowledge(0, said);
  }

  /** A command opens when somebody is to get it; its answer goes to who sent it and to nobody else. */
  #exchange({ part }: Exchange, command: OpenCommand, application: ApplicationMessage): number {
    const { router, enforcement, now } = this.#context;
    if (part === "response") {
      enforcement.commands.close(command);
      return router.publishTo(command.requester, application);
    }
    // Whoever gets it later could not answer any more.
    application.expiresAt = Math.min(application.expiresAt, now() + command.withinMs);
    const receivers = router.publish(application, this.#session);
    if (receivers > 0) enforcement.commands.open(command);
    return receivers;
  }

  #resolveTopic(buffer: Buffer): PublishTopic {
    const { topicAlias } = frame;
    if (topicAlias > this.#context.limits().topicAliases)
      throw new MqttError("ERR_MQTT_TOPIC_ALIAS");
    if (frame.topicStart === frame.topicEnd) {
      const known = topicAlias === 0 ? undefined : this.#aliases?.[topicAlias];
      if (known === undefined) throw new MqttError("ERR_MQTT_TOPIC_MISSING"); // 5.0 section 3.3.2.3.4
      return known;
    }
    const topic = this.#findTopic(buffer, frame.topicStart, frame.topicEnd);
    if (topicAlias > 0) {
      this.#aliases ??= [];
      this.#aliases[topicAlias] = topic === this.#last ? topic : overLimit;
    }
    return topic;
  }

  #findTopic(buffer: Buffer, start: number, end: number): PublishTopic {
    const last = this.#last;
    if (last !== undefined && isSameName(last.topic.encoded, buffer, start, end)) return last;
    this.#topics ??= new Map();
    const key = buffer.toString("latin1", start, end);
    let found = this.#topics.get(key);
    if (found === undefined) {
      const topic = new Topic(parseTopicName(decodeUtf8(buffer, start, end)));
      topic.isLive = false;
      found = { ...unasked, topic };
      if (brokenTopicLimit(topic.name, this.#context) !== undefined) return found; // not remembered
      this.#topicBytes += key.length;
      if (this.#topics.size >= rememberedTopics || this.#topicBytes > rememberedBytes) {
        this.#topics.clear();
        this.#topicBytes = key.length;
      }
      this.#topics.set(key, found);
    }
    this.#last = found;
    return found;
  }

  /** The next token of a client that has no AUTH; it goes no further, and no policy allows its topic. */
  #isRenewal({ topic }: PublishTopic, buffer: Buffer): boolean {
    const connection = this.#connection;
    if (topic.name !== renewalTopic || connection.peer.subject.grant === undefined) return false;
    const { qos, packetId, payloadStart, payloadEnd } = frame;
    const acknowledge = (grant: unknown) => {
      const reasonCode = grant === undefined && connection.version === 5 ? 0x87 : 0;
      if (qos === 2 && reasonCode === 0) this.#rememberPacketId(packetId); // a PUBREC that refuses frees it
      if (qos === 1) connection.sendPuback(packetId, reasonCode);
      else if (qos === 2) connection.sendPubrec(packetId, reasonCode);
    };
    renew(connection, "PUBLISH", buffer.subarray(payloadStart, payloadEnd), acknowledge);
    return true;
  }

  #authorize(known: PublishTopic): void {
    const { enforcement } = this.#context;
    const { name } = known.topic;
    known.epoch = enforcement.epoch;
    const limit = known === overLimit ? "topicBytes" : brokenTopicLimit(name, this.#context);
    if (limit !== undefined) {
      known.refusal = 0x90;
      this.#recordLimit(limit, name);
      return;
    }
    const decision = enforcement.authorizePublish(this.#connection.requester, name);
    known.refusal = decision.effect === "Deny" ? 0x87 : 0;
    known.terms = decision.terms;
    known.exchange = decision.exchange;
    known.ruleId = decision.ruleId;
  }

  /**
   * A PUBLISH that is not accepted: 5.0 says so in the acknowledgement, or closes where QoS 0 has none and the fault
   * is the packet's; on 3.1.1 an acknowledgement would be a lie, so the connection ends. QoS 0 is dropped.
   */
  #refuse(reasonCode: number, ruleId?: string): void {
    if (frame.qos === 0) return;
    if (this.#connection.version === 4) {
      this.#connection.disconnect(reasonCode, "a message was refused");
      return;
    }
    const type = frame.qos === 1 ? "PUBACK" : "PUBREC";
    const { packetId } = frame;
    this.#connection.answer(
      this.#connection.explained(
        reasonCode,
        (properties) => encodePacket({ type, packetId, reasonCode, properties }, 5),
        ruleId,
      ),
    );
  }

  #isDuplicate(packetId: number): boolean {
    return this.#session.inboundQos2?.has(packetId) === true; // 5.0 [MQTT-4.3.3-10]
  }

  #rememberPacketId(packetId: number): void {
    this.#session.inboundQos2 ??= new Set();
    const pending = this.#session.inboundQos2;
    // 3.1.1 has no Receive Maximum a client could know of: only one that never releases goes so far beyond ours.
    const inflight = this.#inflight;
    if (pending.size >= (this.#connection.version === 5 ? inflight : 16 * inflight)) {
      throw new MqttError("ERR_MQTT_RECEIVE_MAXIMUM"); // 5.0 [MQTT-3.3.4-7]
    }
    pending.add(packetId);
    const { stored } = this.#session;
    if (stored !== undefined) this.#context.journal.received(stored.id, packetId);
  }

  #isPayloadUtf8(buffer: Buffer): boolean {
    if (isUtf8Payload(buffer, frame.payloadStart, frame.payloadEnd)) return true;
    if (frame.qos === 0) throw new MqttError("ERR_MQTT_PAYLOAD_FORMAT");
    this.#refuse(0x99);
    return false;
  }

  /** Whether the answer may go where this message says. */
  #mayBeAnswered(buffer: Buffer): boolean {
    const { enforcement } = this.#context;
    const text = buffer.toString("utf8", frame.responseTopicStart, frame.responseTopicEnd);
    const { requester } = this.#connection;
    const decision = enforcement.authorizeResponseTopic(requester, "publish", text);
    if (decision.effect === "Permit") return true;
    this.#refuse(0x87, decision.ruleId);
    return false;
  }

  #mayRetain(application: ApplicationMessage): boolean {
    if (application.payloadLength === 0) return true;
    const { name } = application.topic;
    const limit = this.#context.router.retainedLimit(name, application.keep().size);
    if (limit === undefined) return true;
    this.#recordLimit(limit, name);
    this.#refuse(0x97);
    return false;
  }

  /** While the store takes no more: what nobody durable is owed goes on, and QoS 0 to those who are there. */
  #mayStore(application: ApplicationMessage): boolean {
    const { router, journal } = this.#context;
    const { refusal } = journal;
    if (refusal === undefined) return true;
    const { qos } = application;
    const isOwed = qos > 0 ? router.wouldStore(application) : application.retain;
    const keepsPacketId = qos === 2 && this.#session.stored !== undefined;
    if (!keepsPacketId && !isOwed) return true;
    if (refusal === "storedBytes") this.#recordLimit("storedBytes", application.topic.name);
    if (qos === 0) return true; // nobody can be told; the router leaves its topic without a retained message
    this.#refuse(0x97);
    return false;
  }

  #recordLimit(limit: string, topic: string): void {
    this.#context.record({
      type: "limit-reached",
      subject: this.#session.subject.id,
      clientId: printable(this.#session.clientId),
      address: this.#connection.address,
      limit,
      topic: printable(topic),
    });
  }
}

/** The limit a Topic Name or Topic Filter breaks, or nothing. */
export function brokenTopicLimit(topic: string, context: ConnectionContext): string | undefined {
  const limits = context.limits();
  if (Buffer.byteLength(topic) > limits.topicBytes) return "topicBytes";
  let levels = 1;
  for (let i = 0; i < topic.length; i += 1) if (topic.charCodeAt(i) === 0x2f) levels += 1;
  return levels > limits.topicLevels ? "topicLevels" : undefined;
}

/** Hot path. Compares from the end, where topics of one device differ. */
function isSameName(encoded: Buffer, buffer: Buffer, start: number, end: number): boolean {
  if (encoded.length - 2 !== end - start) return false;
  for (let i = end - 1, j = encoded.length - 1; i >= start; i -= 1, j -= 1) {
    if (buffer[i] !== encoded[j]) return false;
  }
  return true;
}

/** The frame as an Application Message whose parts still lie in the buffer it arrived in. */
function fill(
  topic: Topic,
  session: Session,
  context: ConnectionContext,
  buffer: Buffer,
): ApplicationMessage {
  message ??= new ApplicationMessage(topic, session.subject, buffer);
  message.renew();
  message.topic = topic;
  message.publisher = session.subject;
  message.qos = frame.qos;
  message.retain = frame.retain;
  message.bytes = buffer;
  message.propertiesStart = frame.propertiesStart;
  message.propertiesEnd = frame.propertiesEnd;
  message.payloadStart = frame.payloadStart;
  message.payloadEnd = frame.payloadEnd;
  message.expiryAt = frame.messageExpiryAt;
  message.expiresAt =
    frame.messageExpiryInterval < 0
      ? Number.POSITIVE_INFINITY
      : context.now() + frame.messageExpiryInterval * 1000;
  if (frame.topicAliasAt >= 0) leaveOutAlias(message);
  return message;
}

const topicAliasLength = 3;

/** An alias belongs to its connection and does not travel on, 5.0 section 3.3.2.3.4. */
function leaveOutAlias(application: ApplicationMessage): void {
  const { bytes, propertiesStart: start, propertiesEnd: end } = application;
  const at = frame.topicAliasAt;
  if (at === start) {
    application.propertiesStart += topicAliasLength;
    return;
  }
  if (at + topicAliasLength === end) {
    application.propertiesEnd -= topicAliasLength;
    return;
  }
  const behind = at + topicAliasLength;
  const without = Buffer.concat([
    bytes.subarray(start, at),
    bytes.subarray(behind, end),
    bytes.subarray(application.payloadStart, application.payloadEnd),
  ]);
  if (application.expiryAt >= 0) {
    const shift = application.expiryAt > at ? topicAliasLength : 0;
    application.expiryAt -= start + shift;
  }
  application.bytes = without;
  application.propertiesStart = 0;
  application.propertiesEnd = end - start - topicAliasLength;
  application.payloadStart = application.propertiesEnd;
  application.payloadEnd = without.length;
}
