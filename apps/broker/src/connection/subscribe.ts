import { printable } from "@wardmq/events";
import {
  encodePacket,
  parseSharedSubscription,
  type QoS,
  type SubscribePacket,
  type SubscriptionRequest,
  type UnsubscribePacket,
} from "@wardmq/mqtt";
import type { Subscription } from "../routing/subscription.ts";
import type { Session } from "../session/session.ts";
import type { Connection } from "./connection.ts";
import { brokenTopicLimit } from "./publish.ts";
import { listenToToken } from "./token.ts";

/** SUBSCRIBE, 5.0 section 3.8.4: each filter is authorized by itself; retained messages follow the SUBACK. */
export function handleSubscribe(
  connection: Connection,
  session: Session,
  packet: SubscribePacket,
): void {
  const identifier = packet.properties.subscriptionIdentifier?.[0] ?? 0;
  const wantRetained: Subscription[] = [];
  let deniedBy: string | undefined;
  const { journal } = connection.context;
  const { said } = journal;
  const reasonCodes = packet.subscriptions.map((request) => {
    if (listenToToken(connection, request.filter, true)) return 0;
    const wanted = asSubscription(request, identifier);
    const refusal = refuse(connection, session, wanted);
    if (refusal !== 0) return connection.version === 5 ? refusal : 0x80;
    const { effect, qos, ruleId } = connection.context.enforcement.authorizeNewSubscription(
      connection.requester,
      wanted,
    );
    if (effect === "Deny") {
      deniedBy ??= ruleId;
      return connection.version === 5 ? 0x87 : 0x80;
    }
    // The policy's ceiling is granted in the SUBACK, as 5.0 [MQTT-3.8.4-7] has it; the filter is never narrowed.
    const subscription = qos < wanted.qos ? { ...wanted, qos: qos as QoS } : wanted;
    const isNew = session.subscriptions?.has(subscription.filter) !== true;
    connection.context.sessions.subscribe(session, subscription);
    const { retainHandling } = request;
    if (
      subscription.group === undefined &&
      (retainHandling === 0 || (retainHandling === 1 && isNew))
    ) {
      wantRetained.push(subscription);
    }
    return subscription.qos;
  });
  const { packetId } = packet;
  if (journal.said !== said && !connection.hold()) return;
  connection.answer(
    connection.explained(
      Math.max(...reasonCodes),
      (properties) =>
        encodePacket({ type: "SUBACK", packetId, reasonCodes, properties }, connection.version),
      deniedBy,
    ),
  );
  if (!connection.isOpen) return; // the SUBACK did not fit: nobody is there to send to
  for (const subscription of wantRetained) {
    connection.context.router.sendRetained(session, subscription);
  }
}

export function handleUnsubscribe(
  connection: Connection,
  session: Session,
  packet: UnsubscribePacket,
): void {
  const { sessions, journal } = connection.context;
  const { said } = journal;
  const found = packet.filters.map(
    (filter) => listenToToken(connection, filter, false) || sessions.unsubscribe(session, filter),
  );
  const reasonCodes = connection.version === 5 ? found.map((existed) => (existed ? 0 : 0x11)) : [];
  const { packetId } = packet;
  if (journal.said !== said && !connection.hold()) return;
  connection.answer(
    encodePacket({ type: "UNSUBACK", packetId, reasonCodes, properties: {} }, connection.version),
  );
}

function asSubscription(request: SubscriptionRequest, identifier: number): Subscription {
  const shared = parseSharedSubscription(request.filter);
  return {
    filter: request.filter,
    topicFilter: shared?.filter ?? request.filter,
    group: shared?.group,
    qos: request.qos,
    noLocal: request.noLocal,
    retainAsPublished: request.retainAsPublished,
    identifier,
  };
}

/** The Reason Code of the limit that refuses the subscription, or 0. */
function refuse(connection: Connection, session: Session, subscription: Subscription): number {
  const { context } = connection;
  const { filter, topicFilter, group = "" } = subscription;
  const isLongGroup = Buffer.byteLength(group) > context.limits().topicBytes;
  const tooLong = isLongGroup ? "topicBytes" : brokenTopicLimit(topicFilter, context);
  if (tooLong !== undefined) return refuseByLimit(connection, tooLong, filter, 0x8f);
  const isNew = session.subscriptions?.has(filter) !== true;
  if (isNew && (session.subscriptions?.size ?? 0) >= context.limits().subscriptions) {
    return refuseByLimit(connection, "subscriptions", filter, 0x97);
  }
  if (isNew && context.budget.isOver) return refuseByLimit(connection, "memoryBytes", filter, 0x97);
  if (session.stored !== undefined && context.journal.isFailing) return 0x97;
  return 0;
}

function refuseByLimit(
  connection: Connection,
  limit: string,
  filter: string,
  reasonCode: number,
): number {
  connection.context.record({
    type: "limit-reached",
    subject: connection.peer.subject.id,
    clientId: printable(connection.clientId),
    address: connection.address,
    limit,
    topic: printable(filter),
  });
  return reasonCode;
}
