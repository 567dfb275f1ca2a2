import { printable } from "@wardmq/events";
import type { Limits } from "@wardmq/feed";
import {
  type ConnackPacket,
  type ConnectPacket,
  connackVersion,
  connectReturnCode,
  decodeConnect,
  decodeVariableByteInteger,
  encodePacket,
  encodeProperties,
  MqttError,
  type PropertyValues,
  type ProtocolVersion,
  variableByteIntegerLength,
  type WillMessage,
} from "@wardmq/mqtt";
import type { Grant } from "@wardmq/tokens/verify";
import { ApplicationMessage } from "../routing/application-message.ts";
import type { Session } from "../session/session.ts";
import { neverExpires } from "../session/sessions.ts";
import type { Will } from "../session/will.ts";
import type { Refused } from "../tokens/token-judge.ts";
import { subjectOf } from "../tokens/token-subjects.ts";
import type { Connection } from "./connection.ts";
import { type Peer, refuseCertificate } from "./context.ts";
import { limitKindOf, limitsFor } from "./limit-of.ts";
import { brokenTopicLimit } from "./publish.ts";
import { withinMaximum } from "./reason.ts";
import { countRefusal, judgeToken, keysOf, saidOf, tokenOf, tokenProperties } from "./token.ts";

/** Why a CONNECT is refused. */
interface Refusal {
  readonly check: string;
  readonly reasonCode: number;
  readonly why: string;
}

/** One check of a CONNECT. Nothing is looked up or changed for a client before all of them have passed. */
type Check = (connect: ConnectPacket, connection: Connection) => Refusal | undefined;

const checks: readonly Check[] = [
  checkCredential,
  checkAuthenticationMethod,
  checkClientId,
  checkConnections,
  checkConnectionsOfSubject,
  checkSessionsOfSubject,
  checkStore,
  checkPatientData,
  checkWill,
];

/** The first packet of a connection, 5.0 section 3.1.4. */
export function handleConnect(
  connection: Connection,
  firstByte: number,
  buffer: Buffer,
  start: number,
  end: number,
): void {
  let connect: ConnectPacket;
  try {
    if (firstByte !== 0x10) throw new MqttError("ERR_MQTT_FIXED_HEADER_FLAGS");
    // What waits for its token is kept, and these bytes are valid during the call only.
    const bytes = takesToken(connection.peer)
      ? Buffer.from(buffer.subarray(start, end))
      : undefined;
    const { userProperties } = connection.context.limits();
    connect =
      bytes === undefined
        ? decodeConnect(buffer, start, end, userProperties)
        : decodeConnect(bytes, 0, bytes.length, userProperties);
  } catch (error) {
    if (!(error instanceof MqttError)) throw error;
    const version = connackVersion(buffer, start, end);
    const { reasonCode, message, code } = error;
    const bytes = version === undefined ? undefined : refusal(version, reasonCode, message);
    connection.refuse(code, message, bytes, reasonCode);
    return;
  }
  if (bringsToken(connect, connection.peer)) authenticate(connect, connection);
  else settle(connect, connection);
}

/** Accepts the CONNECT of a peer whose subject is known, or refuses it. */
function settle(connect: ConnectPacket, connection: Connection): void {
  for (const check of checks) {
    const refused = check(connect, connection);
    if (refused === undefined) continue;
    const { reasonCode, why } = refused;
    connection.refuse(refused.check, why, refusalOf(connect, reasonCode, why), reasonCode);
    return;
  }
  accept(connect, connection);
}

/** A certificate alone is not enough where only tokens are taken; where it is, one without a token needs none. */
function bringsToken({ password, properties }: ConnectPacket, peer: Peer): boolean {
  if (!takesToken(peer)) return false;
  const brings = password !== undefined || properties.authenticationMethod !== undefined;
  return brings || peer.proof === "token" || peer.fingerprint === undefined;
}

function takesToken({ proof }: Peer): boolean {
  return proof === "token" || proof === "both";
}

/** What everybody hears whose token gets nobody in: neither the words nor the time say which check it failed. */
const tokenRefused = "the token was refused";

/** The token is judged before anything is looked up or changed for the client. */
function authenticate(connect: ConnectPacket, connection: Connection): void {
  const { context, peer } = connection;
  connection.wait();
  const credential = tokenOf(connect);
  const judged: Promise<Grant | Refused> =
    "check" in credential ? Promise.resolve(credential) : judgeToken(connection, credential, false);
  judged.then((verdict) => {
    if ("check" in verdict) {
      const delayMs = countRefusal(connection, verdict); // of a peer that did not wait for it too
      const bytes = refusalOf(connect, 0x87, tokenRefused);
      const check = `token-${verdict.check}`;
      connection.refuseLater(delayMs, check, verdict.why, bytes, 0x87, saidOf(verdict));
      return;
    }
    connection.judged(() => {
      context.tokens.attempts.succeeded(keysOf(peer));
      connection.become(subjectOf(verdict));
      settle(connect, connection);
      connection.readOn();
    });
  }, context.failed);
}

/**
 * The handshake may have been a while ago: a WebSocket, and the CONNECT in it, come when the peer likes, and a token is
 * judged in its own time.
 */
function checkCredential(_: ConnectPacket, { peer }: Connection): Refusal | undefined {
  const refused = refuseCertificate(peer);
  return refused && { ...refused, reasonCode: 0x87 };
}

function checkAuthenticationMethod(
  { properties }: ConnectPacket,
  { peer }: Connection,
): Refusal | undefined {
  if (properties.authenticationMethod === undefined || peer.subject.grant) return undefined;
  return {
    check: "authentication-method",
    reasonCode: 0x8c, // 5.0 [MQTT-4.12.0-1]
    why: "no authentication method is spoken here: leave it out, the certificate authenticates",
  };
}

/** A device's client id is its uuid; a service chooses one that an event can hold, or gets one. */
function checkClientId(
  { clientId }: ConnectPacket,
  { context, peer }: Connection,
): Refusal | undefined {
  const { record } = peer.subject;
  if (Buffer.byteLength(clientId) > context.limits().clientIdBytes) {
    const why = "the client identifier is too long";
    return { check: "limits.clientIdBytes", reasonCode: 0x85, why };
  }
  if (record.kind !== "device" || clientId === record.attributes["id"]) return undefined;
  return {
    check: "client-id",
    reasonCode: 0x85,
    why: "a device's client identifier is the uuid of its record",
  };
}

/** A name that a service chooses is seen in events and by operators: it must be no patient's. */
function checkPatientData(
  { clientId }: ConnectPacket,
  { context, peer }: Connection,
): Refusal | undefined {
  const requester = { subject: peer.subject, address: peer.address };
  if (!context.enforcement.phi.blocks(requester, "client id", clientId)) return undefined;
  const why = "the client identifier looks as if it named a patient";
  return { check: "phi", reasonCode: 0x85, why };
}

function checkConnections(
  { clientId }: ConnectPacket,
  { context, peer }: Connection,
): Refusal | undefined {
  const { connections } = context.limits();
  if (context.connections.size > connections) {
    return { check: "limits.connections", reasonCode: 0x97, why: "too many connections" };
  }
  // Who comes back for a session makes it smaller.
  if (!context.budget.isOver || context.sessions.has(peer.subject, clientId)) return undefined;
  return { check: "limits.memoryBytes", reasonCode: 0x97, why: "the memory budget is used up" };
}

function checkConnectionsOfSubject(
  { clientId }: ConnectPacket,
  { context, peer }: Connection,
): Refusal | undefined {
  const { subject } = peer;
  const kind = limitKindOf(subject);
  const { connections } =
    subject.grant === undefined ? subject : context.tokens.subjects.of(subject);
  const others = connections - (context.sessions.isConnected(subject, clientId) ? 1 : 0);
  if (others >= context.limits().connectionsPerSubject[kind]) {
    const check = `limits.connectionsPerSubject.${kind}`;
    return { check, reasonCode: 0x97, why: "too many connections of this subject" };
  }
  const { connections: ofRoles } = context.enforcement.limitsOf(subject);
  if (ofRoles === undefined || others < ofRoles) return undefined;
  const why = "too many connections of this subject, by the limits of its roles";
  return { check: "role-limits", reasonCode: 0x97, why };
}

/** A session that ends with its connection is bounded with it; one that would be kept needs a place. */
function checkSessionsOfSubject(
  connect: ConnectPacket,
  { context, peer }: Connection,
): Refusal | undefined {
  const { subject } = peer;
  const limits = context.limits();
  const kind = limitKindOf(subject);
  const sessions =
    subject.grant === undefined
      ? context.sessions.of(subject).length
      : context.tokens.subjects.of(subject).sessions;
  if (sessions < limits.sessionsPerSubject[kind]) return undefined;
  if (wantedExpiryOf(connect, limits) === 0 || context.sessions.has(subject, connect.clientId)) {
    return undefined;
  }
  const check = `limits.sessionsPerSubject.${kind}`;
  return { check, reasonCode: 0x97, why: "too many sessions of this subject" };
}

/** While the store refuses, a session that is found goes on; one that begins or is started anew could not be kept. */
function checkStore(connect: ConnectPacket, { context, peer }: Connection): Refusal | undefined {
  if (!context.journal.isFailing) return undefined;
  const isFound = context.sessions.has(peer.subject, connect.clientId);
  const isNew = wantedExpiryOf(connect, context.limits()) > 0 && !isFound;
  if (!isNew && !(isFound && connect.cleanStart)) return undefined;
  return { check: "store", reasonCode: 0x97, why: "the broker cannot store the session" };
}

function checkWill(
  { will, clientId }: ConnectPacket,
  { context, peer }: Connection,
): Refusal | undefined {
  if (will === undefined) return undefined;
  const limit = brokenTopicLimit(will.topic, context);
  if (limit !== undefined) {
    return { check: `limits.${limit}`, reasonCode: 0x90, why: "the will's topic is too long" };
  }
  // What stands in the firmware of a device must not keep it from hearing why it is in quarantine: when the will is to
  // be sent it is asked for again, and withheld.
  if (peer.subject.isQuarantined) return undefined;
  const requester = { subject: peer.subject, clientId, address: peer.address };
  const { qos, retain, payload, properties } = will;
  const { contentType, responseTopic, userProperty = [] } = properties;
  const payloadLength = payload.length;
  const userProperties = userProperty.flat();
  const message = { qos, retain, payloadLength, contentType, responseTopic, userProperties };
  if (context.enforcement.authorizeWill(requester, will.topic, message)) return undefined;
  return { check: "will", reasonCode: 0x87, why: "the will is not allowed by the policy" };
}

function accept(connect: ConnectPacket, connection: Connection): void {
  const { context, peer } = connection;
  const { version, properties } = connect;
  const terms = termsFor(connect, connection);
  const maximumPacketBytes = properties.maximumPacketSize ?? Number.POSITIVE_INFINITY;
  const { userProperty, ...granted } = terms.granted;
  const accepted = (isPresent: boolean) =>
    withinMaximum(maximumPacketBytes, userProperty === undefined ? {} : { userProperty }, (more) =>
      connack(version, isPresent, 0, version === 5 ? { ...granted, ...more } : {}),
    );
  if (accepted(false).length > maximumPacketBytes) {
    const why = "the CONNACK is larger than the client's maximum packet size";
    const bytes = refusal(version, 0x95, why, maximumPacketBytes); // 5.0 [MQTT-3.1.2-24]
    connection.refuse("maximum-packet-size", why, bytes, 0x95);
    return;
  }
  const { clientId } = terms;
  const { said } = context.journal;
  const { session, isPresent } = context.sessions.open(peer.subject, clientId, connect.cleanStart);
  if (peer.subject.grant !== undefined) adoptSession(session, connection);
  const will = connect.will === undefined ? undefined : makeWill(connect.will, connection);
  context.sessions.begin(session, terms.expirySeconds, will);
  session.window = Math.min(properties.receiveMaximum ?? 65_535, terms.inflight);
  connection.open({
    session,
    version,
    inflight: terms.inflight,
    keepAliveSeconds: terms.keepAliveSeconds,
    will,
    maximumPacketBytes,
    topicAliasMaximum: Math.min(properties.topicAliasMaximum ?? 0, context.limits().topicAliases),
    wantsProblemInformation: properties.requestProblemInformation !== 0,
    mayChangeExpiry: terms.wantedExpiry > 0,
    mayAuthenticate: properties.authenticationMethod !== undefined,
  });
  // A session that is found again is on disk; that it is connected now may follow.
  if (!isPresent && context.journal.said !== said && !connection.hold()) return;
  connection.output.send(accepted(isPresent));
  context.record({
    type: "connected",
    subject: peer.subject.id,
    clientId: printable(clientId),
    address: peer.address,
    listener: peer.listener,
    details: { version: version === 5 ? "5.0" : "3.1.1", sessionPresent: isPresent },
  });
  tellOfChangeOver(connection);
  if (isPresent) session.resume(connection);
}

/** A device that has two active certificates and comes with the newer one needs the older one no more. */
function tellOfChangeOver({ context, peer }: Connection): void {
  const { fingerprint } = peer;
  const { kind, certificates } = peer.subject.record;
  if (kind !== "device" || certificates.length < 2 || fingerprint === undefined) return;
  const active = certificates.filter(({ state }) => state === "active");
  if (active.length > 1 && active.at(-1)?.fingerprint === fingerprint)
    context.certificateUsed(fingerprint);
}

/** A session that was there before has a subject that others hold: it gets the new token. */
function adoptSession({ subject }: Session, connection: Connection): void {
  const { context, peer } = connection;
  const { grant } = peer.subject;
  context.tokens.subjects.add(subject);
  if (subject === peer.subject || grant === undefined) return;
  connection.become(subject);
  context.sessions.replaceGrant(subject, grant);
}

/** What the client asked for and what it gets, and the CONNACK properties that tell it. */
function termsFor(connect: ConnectPacket, { context, peer }: Connection) {
  const limits = context.limits();
  const { inflight } = limitsFor(peer.subject, context);
  const clientId = connect.clientId === "" ? `auto-${context.randomId()}` : connect.clientId;
  const wantedExpiry = wantedExpiryOf(connect, limits);
  const expirySeconds = Math.min(wantedExpiry, limits.sessionExpirySeconds);
  const keepAliveSeconds = keepAliveInForce(connect, limits.keepAliveSeconds);
  const granted: PropertyValues = {
    ...(expirySeconds === wantedExpiry ? {} : { sessionExpiryInterval: expirySeconds }),
    receiveMaximum: inflight,
    maximumPacketSize: limits.packetBytes,
    ...(limits.topicAliases === 0 ? {} : { topicAliasMaximum: limits.topicAliases }),
    ...(connect.clientId === "" ? { assignedClientIdentifier: clientId } : {}),
    ...(keepAliveSeconds === connect.keepAlive ? {} : { serverKeepAlive: keepAliveSeconds }),
    ...(peer.subject.grant === undefined ? {} : tokenProperties(connect, peer.subject.grant)),
  };
  return { clientId, wantedExpiry, inflight, expirySeconds, keepAliveSeconds, granted };
}

function wantedExpiryOf(
  { version, cleanStart, properties }: ConnectPacket,
  { sessionExpirySeconds }: Limits,
): number {
  if (version === 5) return properties.sessionExpiryInterval ?? 0;
  return cleanStart ? 0 : sessionExpirySeconds; // 3.1.1 section 3.1.2.4 lets the server end it one day
}

/**
 * A client may not choose to be silent for ever. 5.0 is told by Server Keep Alive; on 3.1.1 the longest time holds
 * unsaid, as 3.1.1 section 3.1.2.10 allows.
 */
function keepAliveInForce(
  { keepAlive, version }: ConnectPacket,
  { min, max }: { readonly min: number; readonly max: number },
): number {
  if (keepAlive === 0 || keepAlive > max) return max;
  return version === 5 ? Math.max(keepAlive, min) : keepAlive;
}

/** The Will Message as the Application Message it becomes; its expiry counts from the moment it is sent. */
function makeWill(will: WillMessage, { context, peer }: Connection): Will {
  const { willDelayInterval = 0, messageExpiryInterval, ...rest } = will.properties;
  const travelling: PropertyValues = {
    ...(messageExpiryInterval === undefined ? {} : { messageExpiryInterval }),
    ...rest,
  };
  const encoded = encodeProperties(travelling, "WILL");
  const length = decodeVariableByteInteger(encoded, 0, encoded.length);
  const bytes = Buffer.concat([encoded.subarray(variableByteIntegerLength(length)), will.payload]);
  const message = new ApplicationMessage(context.router.topic(will.topic), peer.subject, bytes);
  message.qos = will.qos;
  message.retain = will.retain;
  message.propertiesEnd = length;
  message.payloadStart = length;
  message.payloadEnd = bytes.length;
  message.expiryAt = messageExpiryInterval === undefined ? -1 : 1; // the first property, behind its identifier
  return {
    message,
    delaySeconds: willDelayInterval === neverExpires ? Number.POSITIVE_INFINITY : willDelayInterval,
    expiryInterval: messageExpiryInterval ?? -1,
  };
}

function refusalOf({ version, properties }: ConnectPacket, reasonCode: number, why: string) {
  return refusal(version, reasonCode, why, properties.maximumPacketSize);
}

/** The CONNACK that refuses; nothing where 3.1.1 has no code for the reason and wants a silent close. */
function refusal(
  version: ProtocolVersion,
  reasonCode: number,
  why: string,
  maximumPacketBytes?: number,
): Buffer | undefined {
  if (version === 5) {
    const bytes = withinMaximum(maximumPacketBytes, { reasonString: why }, (properties) =>
      connack(version, false, reasonCode, properties),
    );
    return bytes.length > (maximumPacketBytes ?? bytes.length) ? undefined : bytes;
  }
  const code = connectReturnCode(reasonCode);
  return code === undefined ? undefined : connack(version, false, code, {});
}

function connack(
  version: ProtocolVersion,
  sessionPresent: boolean,
  reasonCode: number,
  properties: PropertyValues,
): Buffer {
  const packet: ConnackPacket = { type: "CONNACK", sessionPresent, reasonCode, properties };
  return encodePacket(packet, version);
}
