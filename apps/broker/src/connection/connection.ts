import { printable } from "@wardmq/events";
import {
  type AcknowledgementPacket,
  decodePacket,
  encodePacket,
  MqttError,
  type Packet,
  type PropertyValues,
  type ProtocolVersion,
  packetTypes,
  type QoS,
  reasonCodeAllowed,
} from "@wardmq/mqtt";
import type { Transport, TransportHandler } from "../door/transport.ts";
import type { Requester } from "../enforcement/enforcement.ts";
import { named, type SubjectState } from "../enforcement/subjects.ts";
import type {
  ApplicationMessage,
  SubscriptionIdentifiers,
} from "../routing/application-message.ts";
import type { FrameCache } from "../routing/frame-cache.ts";
import type { Session } from "../session/session.ts";
import type { SessionConnection } from "../session/session-connection.ts";
import type { Will } from "../session/will.ts";
import { handleConnect } from "./connect.ts";
import type { ConnectionContext, Peer } from "./context.ts";
import { FlowRate } from "./flow-rate.ts";
import { limitOf, limitsFor } from "./limit-of.ts";
import { price } from "./memory-budget.ts";
import { Output } from "./output.ts";
import { PacketReader } from "./packet-reader.ts";
import { PublishHandler } from "./publish.ts";
import { PublishWriter, type Wire } from "./publish-writer.ts";
import { reasons, withinMaximum } from "./reason.ts";
import type { Reader } from "./rounds.ts";
import { handleSubscribe, handleUnsubscribe } from "./subscribe.ts";
import { Timed } from "./timing-wheel.ts";
import { handleAuth, tellOfToken, warningMs } from "./token.ts";

/** Output behind a peer that does not read, from which on QoS 1 and 2 messages wait in the session. */
const congestedBytes = 131_072;
/** Answers a peer may leave unread before we stop reading from it. */
const unreadAnswers = 16_384;
/** How long a publisher pauses after each read while memory is over budget: slowly, but its alarms get through. */
const overBudgetMs = 100;
/** What a packet that arrives in parts may hold while such packets are too much for the budget. */
const spareablePartBytes = 65_536;
/** How long a peer may take to read our last words. */
const lastWordsMs = 500;
const tokenHasEnded = "the token has ended";
/** Reason Codes of who has lost its right, Not authorized and Administrative action: to what it has not read as well. */
const withdraws: ReadonlySet<number> = new Set([0x87, 0x98]);
const pingresp = Buffer.from([0xd0, 0]);
/** The first byte of the acknowledgement a busy reader sends most: its short form is read without an object. */
const puback = packetTypes.PUBACK << 4;

/** What a CONNECT has settled. */
export interface Settled extends Wire {
  readonly session: Session;
  /** The Receive Maximum that the client was told, and the most it gets unacknowledged. */
  readonly inflight: number;
  readonly keepAliveSeconds: number;
  readonly will: Will | undefined;
  /** 5.0 section 3.1.2.11.7: false keeps reason strings from everything but CONNACK and DISCONNECT. */
  readonly wantsProblemInformation: boolean;
  /** Whether the CONNECT had a Session Expiry Interval above 0: DISCONNECT may change it only then. */
  readonly mayChangeExpiry: boolean;
  /** Whether the CONNECT named our Authentication Method, so that a token may be renewed by AUTH. */
  readonly mayAuthenticate: boolean;
}

/**
 * One Network Connection, after the door:
 *
 *     awaiting CONNECT -> open -> closing (last words leave) -> closed
 *                  |-> judging (its token) -^
 *
 * Bytes come in through `receive`, packets leave through `output`. Due for keep alive, for the time a CONNECT may
 * take, for the end of a pause of reading and for last words that nobody reads.
 */
export class Connection extends Timed implements TransportHandler, SessionConnection, Reader {
  readonly peer: Peer;
  readonly context: ConnectionContext;
  readonly output: Output;
  version: ProtocolVersion = 5;
  settled: Settled | undefined;
  readonly #transport: Transport;
  readonly #reader: PacketReader;
  #publish: PublishHandler | undefined;
  #rate: FlowRate | undefined;
  /** The enforcement epoch the rates belong to: roles may limit them. */
  #rateEpoch = 0;
  #state: "awaiting" | "judging" | "open" | "closing" | "closed" = "awaiting";
  /** What came behind a CONNECT whose token is being judged. */
  #held: Buffer | undefined;
  /** With what a token came that is being judged, to follow the one in use. */
  renewing: "AUTH" | "PUBLISH" | undefined;
  /** Whether the client has subscribed to what becomes of its token. */
  hearsOfToken = false;
  #isWarned = false;
  /** Tick of the last whole packet. */
  #lastPacket: number;
  /** Why we do not read. */
  #paused: "time" | "answers" | "token" | "round" | undefined;
  /** Answers written while the peer was not reading. */
  #unread = 0;
  #published = 0;
  /** Whether this read brought anything but PUBLISH and short PUBACK packets. */
  #hasOthers = false;
  /** Tick of the last read that brought nothing but PUBACK packets. */
  #acknowledgedAt = -2;
  /** What this connection counts for in `context.preAuthBytes`. */
  #preAuthBytes = 0;
  /** The first `DISCONNECT` of either side decides about the will. */
  #will: Will | undefined;
  #writer: PublishWriter | undefined;

  constructor(transport: Transport, peer: Peer, context: ConnectionContext) {
    super();
    this.peer = peer;
    this.context = context;
    this.#transport = transport;
    this.output = new Output(transport, context.flusher, context.budget, context.journal);
    const limits = context.limits();
    this.#reader = new PacketReader(
      Math.min(limits.preAuthBytes, limits.packetBytes),
      this,
      context.budget,
    );
    this.#lastPacket = context.wheel.now;
    context.connections.add(this);
    context.budget.state += price.connection;
    context.wheel.schedule(this, limits.connectTimeoutMs - (peer.waitedMs ?? 0));
  }

  get address(): string {
    return this.peer.address;
  }

  get session(): Session | undefined {
    return this.settled?.session;
  }

  /** Who asks, for the Policy Enforcement Point. */
  get requester(): Requester {
    return { subject: this.peer.subject, clientId: this.clientId, address: this.peer.address };
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  get clientId(): string {
    return this.settled?.session.clientId ?? "";
  }

  // --- bytes in -------------------------------------------------------------------------------

  /** Hot path. */
  receive(bytes: Buffer): void {
    if (this.#state === "closing" || this.#state === "closed") return;
    this.#published = 0;
    this.#hasOthers = this.#state !== "open";
    try {
      if (this.#state === "judging") {
        this.#hold(bytes);
        return;
      }
      if (this.#state === "awaiting") this.#checkFirstByte(bytes);
      if (this.#reader.read(bytes) > 0) this.#lastPacket = this.context.wheel.now;
      if (this.#state === "awaiting") this.#checkPreAuthBytes();
      if (this.#isJudging) this.#hold(bytes.subarray(this.#reader.taken));
      if (this.#state === "open") this.#slowDown(bytes.length);
    } catch (error) {
      this.#failed(error);
    }
  }

  drained(): void {
    if (this.#state === "closing" || this.#state === "closed") return;
    try {
      this.output.drained();
      if (!this.output.isBlocked) this.#unread = 0;
      if (this.#state !== "open") return;
      this.session?.sendWaiting();
      if (this.#unread === 0 && this.#paused === "answers") this.#resumeReading();
    } catch (error) {
      this.#failed(error);
    }
  }

  closed(): void {
    this.context.wheel.cancel(this);
    try {
      this.#leave("the network connection was lost");
    } catch (error) {
      this.context.failed(error);
    }
    this.#state = "closed";
    this.output.discard();
  }

  override due(): void {
    try {
      if (this.#state === "closing") this.#transport.destroy();
      else if (this.#state === "judging") {
        this.refuse("token-timeout", "the token was not judged in time", undefined);
      } else if (this.#state === "awaiting") {
        this.refuse("connect-timeout", "no CONNECT arrived in time", undefined);
      } else if (this.#state === "open") this.#checkTime();
    } catch (error) {
      this.#failed(error);
    }
  }

  get #isJudging(): boolean {
    return this.#state === "judging";
  }

  /** Keeps what came too early for as long as the token of the CONNECT is being judged. */
  #hold(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#held = Buffer.concat([this.#held ?? Buffer.alloc(0), bytes]);
    this.#countPreAuthBytes(this.#held.length);
    const { preAuthBytes, preAuthBytesTotal } = this.context.limits();
    if (this.#held.length > preAuthBytes) {
      this.refuse(
        "limits.preAuthBytes",
        "too much was sent before the token was judged",
        undefined,
      );
    } else if (this.context.preAuthBytes > preAuthBytesTotal) {
      this.refuse("limits.preAuthBytesTotal", "too many unfinished CONNECT packets", undefined);
    }
  }

  /** Before CONNECT nothing but a CONNECT may come, 5.0 [MQTT-3.1.0-1]: seen in the first byte. */
  #checkFirstByte(bytes: Buffer): void {
    if (this.#reader.partialBytes === 0 && (bytes[0] ?? 0) >> 4 !== packetTypes.CONNECT) {
      throw new MqttError("ERR_MQTT_DIRECTION");
    }
  }

  #checkPreAuthBytes(): void {
    const { context } = this;
    this.#countPreAuthBytes(this.#reader.partialBytes);
    if (context.preAuthBytes > context.limits().preAuthBytesTotal) {
      this.refuse("limits.preAuthBytesTotal", "too many unfinished CONNECT packets", undefined);
    }
  }

  #countPreAuthBytes(bytes: number): void {
    this.context.preAuthBytes += bytes - this.#preAuthBytes;
    this.#preAuthBytes = bytes;
  }

  /** Hot path. One whole packet. */
  packet(firstByte: number, buffer: Buffer, start: number, end: number): void {
    if (this.settled !== undefined && this.context.enforcement.hasEnded(this.peer.subject)) {
      this.disconnect(0x87, tokenHasEnded);
      return;
    }
    if (firstByte >> 4 === packetTypes.PUBLISH && this.settled !== undefined) {
      this.#published += 1;
      this.#publish ??= new PublishHandler(this, this.settled);
      this.#publish.handle(firstByte, buffer, start, end);
      return;
    }
    if (this.#state === "awaiting") {
      handleConnect(this, firstByte, buffer, start, end);
      return;
    }
    if (firstByte === puback && end - start === 2) {
      const packetId = buffer.readUInt16BE(start);
      if (packetId !== 0) {
        this.#puback(packetId);
        return;
      }
    }
    this.#hasOthers = true;
    if (firstByte >> 4 === packetTypes.CONNECT) {
      throw new MqttError("ERR_MQTT_DIRECTION"); // well-formed or not, 5.0 [MQTT-3.1.0-2]
    }
    const packet = decodePacket(firstByte, buffer, start, end, this.version, {
      sender: "client",
      maximumUserProperties: this.context.limits().userProperties,
    });
    this.#dispatch(packet);
  }

  #dispatch(packet: Packet): void {
    const session = this.session as Session; // INVARIANT: set when the state became open
    switch (packet.type) {
      case "PUBACK":
        this.#puback(packet.packetId);
        return;
      case "PUBREC":
        this.#pubrec(session, packet);
        return;
      case "PUBREL":
        this.#pubrel(session, packet);
        return;
      case "PUBCOMP":
        if (session.stateOf(packet.packetId) === "released") session.settle(packet.packetId);
        return;
      case "SUBSCRIBE":
        handleSubscribe(this, session, packet);
        return;
      case "UNSUBSCRIBE":
        handleUnsubscribe(this, session, packet);
        return;
      case "PINGREQ":
        this.answer(pingresp);
        return;
      case "DISCONNECT":
        this.#disconnected(session, packet.reasonCode, packet.properties.sessionExpiryInterval);
        return;
      case "AUTH":
        handleAuth(this, packet);
        return;
      default:
        throw new MqttError("ERR_MQTT_DIRECTION");
    }
  }

  #puback(packetId: number): void {
    const { session } = this;
    if (session?.stateOf(packetId) === 1) session.settle(packetId);
  }

  #pubrec(session: Session, { packetId, reasonCode }: AcknowledgementPacket): void {
    const state = session.stateOf(packetId);
    if (state === 2 && reasonCode >= 0x80) session.settle(packetId);
    else if (state === 2 || state === "released") {
      session.release(packetId);
      if (session.stored === undefined || this.hold()) this.sendPubrel(packetId);
    } else if (state === undefined) this.#acknowledge("PUBREL", packetId, 0x92);
  }

  #pubrel(session: Session, { packetId }: AcknowledgementPacket): void {
    const isKnown = session.inboundQos2?.delete(packetId) === true;
    const { stored } = session;
    if (stored !== undefined) {
      if (isKnown) this.context.journal.receivedReleased(stored.id, packetId);
      if (!this.hold()) return;
    }
    this.#acknowledge("PUBCOMP", packetId, isKnown ? 0 : 0x92);
  }

  #disconnected(session: Session, reasonCode: number, expiry: number | undefined): void {
    if (expiry !== undefined) {
      // From 0 it may not be raised, 5.0 section 3.14.2.2.2.
      if (expiry > 0 && !this.settled?.mayChangeExpiry)
        throw new MqttError("ERR_MQTT_PROPERTY_VALUE");
      session.expirySeconds = Math.min(expiry, this.context.limits().sessionExpirySeconds);
    }
    if (reasonCode === 0) this.#will = undefined; // 5.0 [MQTT-3.14.4-3]
    this.#close("the client disconnected");
  }

  // --- the life of the connection ----------------------------------------------------------------

  /** A token, or the session it found, says who is at the other end. */
  become(subject: SubjectState): void {
    this.context.connections.delete(this);
    this.peer.subject = subject;
    this.context.connections.add(this);
  }

  /** The CONNECT came with a token: nothing more is read until it is judged. */
  wait(): void {
    this.#state = "judging";
    this.#reader.isStopped = true;
    this.#transport.pause();
  }

  /** The token was judged, and the CONNECT accepted: what came behind it follows. */
  readOn(): void {
    const held = this.#held;
    this.#held = undefined;
    this.#transport.resume();
    if (held !== undefined) this.receive(held);
  }

  /** Goes on with what a token was judged to be, unless the peer is gone; a mistake of ours ends the connection. */
  judged(goOn: () => void): void {
    if (this.#state === "closing" || this.#state === "closed") return;
    try {
      goOn();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Refuses after a time that tells nothing of what was wrong, and is longer after each failure. */
  refuseLater(delayMs: number, ...refusal: Parameters<Connection["refuse"]>): void {
    if (this.#state !== "judging") {
      this.#recordRefusal(...refusal);
      return;
    }
    this.context.wheel.cancel(this); // it was judged in time
    this.context.tokens.later(() => this.judged(() => this.refuse(...refusal)), delayMs);
  }

  /** A newer token speaks for the subject from now on. */
  renewed(): void {
    this.#isWarned = false;
    this.#scheduleKeepAlive();
  }

  /** The CONNECT is accepted: packets flow from here on. */
  open(settled: Settled): void {
    const { context } = this;
    this.#reader.isStopped = false;
    this.settled = settled;
    this.version = settled.version;
    this.#writer = new PublishWriter(this.output, settled);
    this.#will = settled.will;
    this.#state = "open";
    this.#countPreAuthBytes(0);
    this.#reader.maximumPacketBytes = context.limits().packetBytes;
    this.peer.subject.connections += 1;
    settled.session.connection = this;
    this.#scheduleKeepAlive();
  }

  /** Refuses before CONNECT was accepted: `connack`, where the protocol gives one, are our last words. */
  refuse(
    check: string,
    why: string,
    connack: Uint8Array | undefined,
    reasonCode?: number,
    details?: Readonly<Record<string, string>>,
  ): void {
    if (this.#state !== "awaiting" && this.#state !== "judging") return;
    this.#recordRefusal(check, why, connack, reasonCode, details);
    if (connack !== undefined) this.output.send(connack);
    this.#close(why, reasonCode);
  }

  #recordRefusal(...[check, why, , reasonCode, details]: Parameters<Connection["refuse"]>): void {
    this.context.record({
      type: "connect-refused",
      ...named(this.peer.subject),
      address: this.peer.address,
      listener: this.peer.listener,
      check,
      why,
      ...limitOf(check),
      ...(reasonCode === undefined ? {} : { reasonCode }),
      ...(details === undefined ? {} : { details }),
    });
  }

  /** Ends the connection from our side: DISCONNECT with the Reason Code on 5.0, then close. The will stays. */
  disconnect(reasonCode: number, why: string): void {
    if (this.#state === "awaiting" || this.#state === "judging") {
      this.refuse("ended", why, undefined, reasonCode);
      return;
    }
    if (this.#state !== "open") return;
    if (withdraws.has(reasonCode)) this.output.discardUnread();
    if (this.version === 5) {
      this.output.send(
        withinMaximum(this.settled?.maximumPacketBytes, { reasonString: why }, (properties) =>
          encodePacket({ type: "DISCONNECT", reasonCode, properties }, 5),
        ),
      );
    }
    this.#close(why, reasonCode);
  }

  /** The peer's mistake ends the connection as the specification says; ours does too, and no other one. */
  #failed(error: unknown): void {
    if (error instanceof MqttError) {
      this.#protocolError(error);
      return;
    }
    this.context.failed(error);
    this.context.wheel.schedule(this, lastWordsMs); // it may have happened on the way to the end
    try {
      this.#endBecause("unspecified error", 0x80);
    } catch (again) {
      this.context.failed(again);
      this.#transport.destroy();
    }
  }

  #protocolError(error: MqttError): void {
    const { code, message, reasonCode } = error;
    this.context.record({
      type: "protocol-error",
      ...named(this.peer.subject),
      clientId: printable(this.clientId),
      address: this.peer.address,
      listener: this.peer.listener,
      check: code,
      why: message,
      ...limitOf(this.#isLargeConnect(error) ? "limits.preAuthBytes" : code),
      reasonCode,
    });
    this.#endBecause(message, reasonCode);
  }

  #endBecause(why: string, reasonCode: number): void {
    if (this.settled === undefined) this.refuse("protocol", why, undefined, reasonCode);
    else this.disconnect(mayDisconnectWith(reasonCode) ? reasonCode : 0x81, why);
  }

  #isLargeConnect({ code }: MqttError): boolean {
    const { preAuthBytes, packetBytes } = this.context.limits();
    return (
      code === "ERR_MQTT_PACKET_TOO_LARGE" &&
      this.#state === "awaiting" &&
      preAuthBytes <= packetBytes
    );
  }

  /** Sends what is written, then closes; whoever does not read it in time is cut off. */
  #close(why: string, reasonCode?: number): void {
    this.#leave(why, reasonCode);
    this.#state = "closing";
    this.context.wheel.schedule(this, lastWordsMs);
    this.output.finish(() => this.#transport.end());
  }

  /** Leaves the session and gives back what the connection held; once. */
  #leave(why: string, reasonCode?: number): void {
    if (this.#state === "closing" || this.#state === "closed") return;
    const { context, settled } = this;
    this.#countPreAuthBytes(0);
    this.#state = "closing";
    this.#reader.discard();
    this.#publish = undefined;
    context.connections.delete(this);
    context.budget.state -= price.connection;
    if (settled === undefined) return;
    this.peer.subject.connections -= 1;
    context.record({
      type: "disconnected",
      subject: this.peer.subject.id,
      clientId: printable(this.clientId),
      address: this.peer.address,
      why,
      ...(reasonCode === undefined ? {} : { reasonCode }),
    });
    context.sessions.detach(settled.session, this.#will);
  }

  // --- time and rates ------------------------------------------------------------------------------

  /** Hot path: rates, unread answers and memory are looked at once per read, not per packet. */
  #slowDown(bytes: number): void {
    const { context } = this;
    const { epoch } = context.enforcement;
    if (this.#rate === undefined || this.#rateEpoch !== epoch) {
      const limits = limitsFor(this.peer.subject, context);
      if (this.#rate === undefined) this.#rate = new FlowRate(limits, monotonic);
      else this.#rate.use(limits);
      this.#rateEpoch = epoch;
    }
    const pauseMs = this.#rate.take(this.#published, bytes);
    if (context.budget.isOverByParts && this.#reader.partialBytes > spareablePartBytes) {
      this.#endForMemory();
      return;
    }
    if (this.#unread > unreadAnswers) this.#pauseReading("answers");
    else if (pauseMs > 0) this.#pauseReading("time", pauseMs);
    else if (this.#published > 0 && (context.budget.isOver || context.journal.isBehind)) {
      this.#pauseReading("time", overBudgetMs);
    } else if (this.#published === 0 && !this.#hasOthers && this.#reader.partialBytes === 0) {
      this.#onlyAcknowledged();
    }
  }

  /** Hot path. Whoever does nothing but acknowledge, and does so often, is read in rounds while its window has room. */
  #onlyAcknowledged(): void {
    const { rounds, wheel } = this.context;
    const isBusy = wheel.now - this.#acknowledgedAt <= 1;
    this.#acknowledgedAt = wheel.now;
    if (!isBusy || this.#paused !== undefined || this.session?.awaitsAcknowledgements) return;
    this.#pauseReading("round");
    rounds.join(this);
  }

  /** Hot path. */
  nextRound(): void {
    if (this.#paused !== "round") return;
    this.#paused = undefined;
    this.#transport.resume();
  }

  #endForMemory(): void {
    this.context.record({
      type: "limit-reached",
      subject: this.peer.subject.id,
      clientId: printable(this.clientId),
      address: this.peer.address,
      limit: "memoryBytes",
      why: "no room for a large packet that arrives in parts",
    });
    this.disconnect(0x97, "the memory budget is used up");
  }

  /** A token came before the former one was judged: nothing is read until it is, so that a flood waits for itself. */
  readNothingWhileRenewing(): void {
    this.#pauseReading("token");
  }

  /** The token to follow the one in use was judged: another may come. */
  renewalEnded(): void {
    this.renewing = undefined;
    if (this.#paused === "token") this.#resumeReading();
  }

  /**
   * For some time, until the peer has read our answers, for which its keep alive runs on, until its token is judged, or
   * until the next round.
   */
  #pauseReading(until: "time" | "answers" | "token" | "round", ms = 0): void {
    if (this.#paused === undefined) this.#transport.pause();
    this.#paused = until;
    if (until === "time") this.context.wheel.schedule(this, ms);
  }

  #resumeReading(): void {
    this.#paused = undefined;
    this.#lastPacket = this.context.wheel.now;
    this.#transport.resume();
    this.#scheduleKeepAlive();
  }

  #checkTime(): void {
    if (this.context.now() >= this.peer.notAfter) {
      this.disconnect(0x87, "the certificate has expired");
      return;
    }
    if (this.context.enforcement.hasEnded(this.peer.subject)) {
      this.disconnect(0x87, tokenHasEnded);
      return;
    }
    if (this.#tokenMs() <= 0 && !this.#isWarned) {
      this.#isWarned = true;
      tellOfToken(this, "ending");
    }
    if (this.#paused === "time") {
      this.#resumeReading();
      return;
    }
    const { wheel } = this.context;
    if (this.#paused === "token") this.#lastPacket = wheel.now; // it is us who do not read
    const keepAliveMs = (this.settled?.keepAliveSeconds ?? 0) * 1500; // 5.0 [MQTT-3.1.2-22]
    if ((wheel.now - this.#lastPacket) * wheel.tickMs >= keepAliveMs) {
      this.disconnect(0x8d, "keep alive timeout");
    } else this.#scheduleKeepAlive();
  }

  #scheduleKeepAlive(): void {
    const { wheel } = this.context;
    const sinceMs = (wheel.now - this.#lastPacket) * wheel.tickMs;
    const keepAliveMs = (this.settled?.keepAliveSeconds ?? 0) * 1500 - sinceMs;
    const certificateMs = this.peer.notAfter - this.context.now();
    wheel.schedule(this, Math.min(keepAliveMs, certificateMs, this.#tokenMs()));
  }

  /** Milliseconds until something has to be done about the token: say that it ends soon, then end. */
  #tokenMs(): number {
    const { grant } = this.peer.subject;
    if (grant === undefined) return Number.POSITIVE_INFINITY;
    const endsInMs = grant.expiresAt - this.context.tokens.now();
    return this.#isWarned ? endsInMs : endsInMs - warningMs(grant);
  }

  // --- the journal ---------------------------------------------------------------------------------

  /** Hot path. */
  hold(): boolean {
    const { journal } = this.context;
    if (journal.isFailing) {
      this.#endForStore();
      return false;
    }
    if (journal.mark > journal.committed) this.output.hold(journal.mark);
    return true;
  }

  /** The store has refused: what waits for it is forgotten, unacknowledged, and the connection with it. */
  storeFailed(): void {
    if (this.output.isHeld) this.#endForStore();
  }

  #endForStore(): void {
    this.output.discardHeld();
    this.disconnect(0x97, "the broker cannot store what it would promise");
  }

  // --- packets out -----------------------------------------------------------------------------------

  /** An answer to something the peer sent: if it does not read them, we stop reading from it. */
  answer(bytes: Uint8Array): void {
    if (bytes.length > (this.settled?.maximumPacketBytes ?? Number.POSITIVE_INFINITY)) {
      this.disconnect(0x95, "the answer is larger than the maximum packet size"); // 5.0 [MQTT-3.1.2-24]
      return;
    }
    this.output.send(bytes);
    if (this.output.isBlocked) this.#unread += bytes.length;
  }

  /** Hot path. PUBACK, PUBREC, PUBREL or PUBCOMP without a Reason String. */
  #acknowledge(type: AcknowledgementPacket["type"], packetId: number, reasonCode: number): void {
    const length = reasonCode === 0 || this.version === 4 ? 2 : 3;
    const out = this.output.room(2 + length);
    const at = this.output.end;
    out[at] = (packetTypes[type] << 4) | (type === "PUBREL" ? 2 : 0);
    out[at + 1] = length;
    out[at + 2] = packetId >> 8;
    out[at + 3] = packetId & 0xff;
    if (length === 3) out[at + 4] = reasonCode;
    this.output.end = at + 2 + length;
    if (this.output.isBlocked) this.#unread += 2 + length;
  }

  sendPuback(packetId: number, reasonCode: number): void {
    this.#acknowledge("PUBACK", packetId, reasonCode);
  }

  sendPubrec(packetId: number, reasonCode: number): void {
    this.#acknowledge("PUBREC", packetId, reasonCode);
  }

  /** A PUBACK, PUBREC or SUBACK that refuses says why, if the client wants to hear it, 5.0 section 3.1.2.11.7. */
  explained(
    reasonCode: number,
    encode: (properties: PropertyValues) => Buffer,
    ruleId?: string,
  ): Buffer {
    const reason = this.settled?.wantsProblemInformation === true ? reasons[reasonCode] : undefined;
    if (reason === undefined || this.version === 4) return encode({});
    const why = ruleId === undefined ? reason : `${reason}: ${ruleId}`;
    return withinMaximum(this.settled?.maximumPacketBytes, { reasonString: why }, encode);
  }

  sendPubrel(packetId: number): void {
    this.#acknowledge("PUBREL", packetId, 0);
  }

  get isCongested(): boolean {
    return this.output.blockedBytes > congestedBytes;
  }

  isTooLarge(message: ApplicationMessage, qos: QoS, identifiers: SubscriptionIdentifiers): boolean {
    return this.#writer?.isTooLarge(message, qos, identifiers) === true;
  }

  /** Hot path. */
  sendPublish(
    message: ApplicationMessage,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    identifiers: SubscriptionIdentifiers,
    frames: FrameCache | undefined,
    now: number,
  ): boolean {
    if (this.context.enforcement.hasEnded(this.peer.subject)) return true; // `due` ends it in a moment
    if (qos === 0 && this.output.isBlocked && this.#refusesMore()) return false;
    this.#writer?.write(message, qos, retain, dup, packetId, identifiers, frames, now);
    if (this.#paused === "round" && this.session?.awaitsAcknowledgements) this.nextRound();
    return true;
  }

  #refusesMore(): boolean {
    const { budget } = this.context;
    const limits = this.context.limits();
    return (
      this.output.blockedBytes > limits.queuedBytes ||
      budget.output + budget.queued > limits.queuedBytesTotal
    );
  }
}

/** A fault of CONNECT has codes that DISCONNECT does not know. */
function mayDisconnectWith(reasonCode: number): boolean {
  return reasonCodeAllowed("DISCONNECT", reasonCode, "server");
}

function monotonic(): number {
  return performance.now();
}
