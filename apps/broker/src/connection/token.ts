import { printable } from "@wardmq/events";
import {
  type AuthPacket,
  type ConnectPacket,
  encodePacket,
  MqttError,
  type PropertyValues,
} from "@wardmq/mqtt";
import { networkOf } from "@wardmq/tls";
import { type AttemptKey, attemptKeys, explainBan, type Grant } from "@wardmq/tokens/verify";
import type { Refused } from "../tokens/token-judge.ts";
import type { Connection } from "./connection.ts";
import { type Peer, refuseCertificate } from "./context.ts";
import { withinMaximum } from "./reason.ts";

/** The Authentication Method of 5.0 section 4.12 under which Authentication Data is an access token. */
export const authenticationMethod = "OAUTH2-JWT";

/** Where a client that has no AUTH publishes its next token; nobody can subscribe to it. */
export const renewalTopic = "$token/renew";

/** Where a client with a token is told what becomes of it, if it subscribes. */
const tokenEventsTopic = "$token/events";

/** A client is told so long before its token ends, or for the last fifth of a shorter life. */
const warnBeforeMs = 60_000;

export function warningMs({ issuedAt, expiresAt }: Grant): number {
  return Math.min(warnBeforeMs, (expiresAt - issuedAt) / 5);
}

interface TokenCredential {
  readonly token: string;
  readonly username: string | undefined;
}

/** The token of a CONNECT: its password, or on 5.0 the Authentication Data of our method. */
export function tokenOf({
  username,
  password,
  properties,
}: ConnectPacket): TokenCredential | Refused {
  const { authenticationMethod: method, authenticationData: data } = properties;
  if (method !== undefined && method !== authenticationMethod) {
    return {
      check: "method",
      why: `the one authentication method spoken here is ${authenticationMethod}`,
    };
  }
  const given = [password, method === undefined ? undefined : data].filter(
    (one) => one !== undefined,
  );
  const [token, another] = given;
  if (token === undefined) {
    return { check: "missing", why: "this listener takes an access token as the password" };
  }
  if (another !== undefined) {
    return {
      check: "twice",
      why: "a token came as the password and another as authentication data",
    };
  }
  return { token: Buffer.from(token).toString("latin1"), username };
}

/** Has a token judged for this connection, unless tokens from there are banned. */
export function judgeToken(
  { context, peer }: Connection,
  { token, username }: TokenCredential,
  isRenewal: boolean,
): Promise<Grant | Refused> {
  const { fingerprint } = peer;
  const network = networkOf(peer.address);
  const { attempts } = context.tokens;
  const keys = keysOf(peer);
  const ban = attempts.banOf(keys);
  if (ban !== undefined) return Promise.resolve({ check: "banned", why: explainBan(ban) });
  const isSuspect = attempts.hasFailed(keys);
  return context.tokens.judge({ token, username, fingerprint, network, isRenewal, isSuspect });
}

/** Where the tokens of a peer come from. */
export function keysOf({
  address,
  fingerprint,
}: Pick<Peer, "address" | "fingerprint">): readonly AttemptKey[] {
  return attemptKeys(networkOf(address), fingerprint);
}

/** What a refused token said of itself, for whoever counts; nobody is banned by it. */
export function saidOf({ issuer, claimed }: Refused): Readonly<Record<string, string>> {
  return { ...(issuer && { issuer }), ...(claimed && { claimed }) };
}

/** Refusals that say nothing against the token. */
const isOurFault: ReadonlySet<string> = new Set(["banned", "busy", "issuer", "judge"]);

/** Counts a token that was refused; gives the milliseconds until the client may hear of it. */
export function countRefusal({ context, peer }: Connection, refused: Refused): number {
  const { delayMs, ban } = context.tokens.attempts.failed(
    isOurFault.has(refused.check) ? [] : keysOf(peer),
  );
  if (ban !== undefined) {
    context.record({
      type: "tokens-banned",
      address: peer.address,
      listener: peer.listener,
      check: ban.key,
      details: { failures: ban.failures, until: Math.round(ban.until) },
    });
  }
  return delayMs;
}

/** What a CONNACK says of the token. */
export function tokenProperties({ properties }: ConnectPacket, grant: Grant): PropertyValues {
  const { authenticationMethod: method } = properties;
  return {
    ...(method === undefined ? {} : { authenticationMethod: method }), // 5.0 [MQTT-4.12.0-5]
    ...tokenExpires(grant),
  };
}

/** What a CONNACK, and an AUTH that renewed, says of the end of the token. */
function tokenExpires({ expiresAt }: Grant): Required<Pick<PropertyValues, "userProperty">> {
  return { userProperty: [["token-expires", new Date(expiresAt).toISOString()]] };
}

/**
 * AUTH, 5.0 section 4.12.1: a token to follow the one in use. One that is refused ends nothing: the exchange goes on
 * (0x18) and the former token counts to its end, so that the client may send a better one.
 */
export function handleAuth(connection: Connection, { reasonCode, properties }: AuthPacket): void {
  // Without an Authentication Method in CONNECT there is no AUTH, 5.0 [MQTT-4.12.0-6]; nor with another one.
  const isOurs = properties.authenticationMethod === authenticationMethod;
  if (connection.settled?.mayAuthenticate !== true || !isOurs) {
    throw new MqttError("ERR_MQTT_AUTHENTICATION_METHOD");
  }
  if (connection.renewing === "AUTH") throw new MqttError("ERR_MQTT_DIRECTION"); // it is our turn, not the client's
  if (reasonCode !== 0x19 && reasonCode !== 0x18) throw new MqttError("ERR_MQTT_REASON_CODE");
  const answer = (reasonCode: number, optional: Parameters<typeof withinMaximum>[1]) =>
    connection.answer(
      withinMaximum(connection.settled?.maximumPacketBytes, optional, (more) =>
        encodePacket(
          { type: "AUTH", reasonCode, properties: { authenticationMethod, ...more } },
          5,
        ),
      ),
    );
  renew(connection, "AUTH", properties.authenticationData ?? Buffer.alloc(0), (grant) => {
    if (grant === undefined) answer(0x18, { reasonString: "the token was refused" });
    else answer(0, tokenExpires(grant));
  });
}

/**
 * Has a further token judged; it follows the former one when it is of the same subject. One is judged at a time: another
 * that comes meanwhile is refused at once, and the client is not read until the first one has its answer.
 */
export function renew(
  connection: Connection,
  by: NonNullable<Connection["renewing"]>,
  token: Uint8Array,
  tell: (grant: Grant | undefined) => void,
): void {
  if (connection.renewing !== undefined) {
    tell(undefined);
    connection.readNothingWhileRenewing();
    return;
  }
  connection.renewing = by;
  const text = Buffer.from(token).toString("latin1");
  const { context, peer } = connection;
  const finish = (grant: Grant | undefined) => {
    if (!connection.isOpen) return;
    connection.renewalEnded();
    tell(grant);
    tellOfToken(connection, grant === undefined ? "refused" : "renewed");
  };
  judgeToken(connection, { token: text, username: undefined }, true).then((verdict) => {
    const refused = "check" in verdict ? verdict : refuseSuccessor(verdict, peer);
    if (refused !== undefined) {
      recordRenewal(connection, "token-renewal-refused", refused);
      const tell = () => connection.judged(() => finish(undefined));
      context.tokens.later(tell, countRefusal(connection, refused));
      return;
    }
    connection.judged(() => {
      context.tokens.attempts.succeeded(keysOf(peer));
      context.sessions.replaceGrant(peer.subject, verdict as Grant);
      recordRenewal(connection, "token-renewed");
      connection.renewed();
      finish(verdict as Grant);
    });
  }, context.failed);
}

function refuseSuccessor(grant: Grant, peer: Peer): Refused | undefined {
  if (grant.subject === peer.subject.id) return refuseCertificate(peer);
  return { check: "subject", why: "the token is of another subject than the one in use" };
}

/** Tells a client that listens to `$token/events` what becomes of its token. */
export function tellOfToken(connection: Connection, state: "ending" | "renewed" | "refused"): void {
  const { grant } = connection.peer.subject;
  if (!connection.hearsOfToken || grant === undefined || connection.output.isBlocked) return;
  const payload = Buffer.from(
    JSON.stringify({ state, expires: new Date(grant.expiresAt).toISOString() }),
  );
  const rest = { qos: 0, retain: false, dup: false, packetId: undefined, properties: {} } as const;
  const packet = encodePacket(
    { type: "PUBLISH", topic: tokenEventsTopic, payload, ...rest },
    connection.version,
  );
  const { maximumPacketBytes = packet.length } = connection.settled ?? {};
  if (packet.length <= maximumPacketBytes) connection.answer(packet); // 5.0 [MQTT-3.1.2-25] discards a larger one
}

/** Hears of its token, or not, from here on; false where the filter is another or there is no token. */
export function listenToToken(connection: Connection, filter: string, isWanted: boolean): boolean {
  if (filter !== tokenEventsTopic || connection.peer.subject.grant === undefined) return false;
  connection.hearsOfToken = isWanted;
  return true;
}

function recordRenewal(
  { context, peer, clientId }: Connection,
  type: "token-renewed" | "token-renewal-refused",
  refused?: Refused,
): void {
  context.record({
    type,
    subject: peer.subject.id,
    clientId: printable(clientId),
    address: peer.address,
    listener: peer.listener,
    ...(refused === undefined ? {} : { check: `token-${refused.check}`, why: refused.why }),
    ...(refused === undefined ? {} : { details: saidOf(refused) }),
  });
}
