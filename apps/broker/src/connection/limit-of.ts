import type { PerKind } from "@wardmq/feed";
import type { SubjectLimits } from "@wardmq/policy/compile";
import type { SubjectState } from "../enforcement/subjects.ts";
import type { ConnectionContext } from "./context.ts";

/** Which of the limits that each kind has is this subject's; an app that comes with a token is a service. */
export function limitKindOf({ record: { kind } }: SubjectState): keyof PerKind {
  return kind === "app" ? "service" : kind;
}

/** The strictest of `wardmq.yaml` and the subject's roles: a role never widens what the broker allows. */
export function limitsFor(subject: SubjectState, context: ConnectionContext) {
  const kind = limitKindOf(subject);
  const limits = context.limits();
  const ofRoles: SubjectLimits = context.enforcement.limitsOf(subject);
  const unlimited = Number.POSITIVE_INFINITY;
  return {
    messagesPerSecond: Math.min(
      limits.messagesPerSecond[kind],
      ofRoles.messagesPerSecond ?? unlimited,
    ),
    bytesPerSecond: Math.min(limits.bytesPerSecond[kind], ofRoles.bytesPerSecond ?? unlimited),
    inflight: Math.min(limits.inflight, ofRoles.inflight ?? unlimited),
  };
}

const limits: Readonly<Record<string, string>> = {
  "connect-timeout": "connectTimeoutMs",
  "role-limits": "roles.limits.connections",
  ERR_MQTT_PACKET_TOO_LARGE: "packetBytes",
  ERR_MQTT_RECEIVE_MAXIMUM: "inflight",
  ERR_MQTT_TOPIC_ALIAS: "topicAliases",
  ERR_MQTT_USER_PROPERTIES: "userProperties",
};

/** The limit of wardmq.yaml, or of a role, that a failed check stands for, as the field of an event; nothing for other checks. */
export function limitOf(check: string): { readonly limit?: string } {
  const limit = check.startsWith("limits.") ? check.slice("limits.".length) : limits[check];
  return limit === undefined ? {} : { limit };
}
