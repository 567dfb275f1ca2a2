import type { PerKind } from "@wardmq/feed";
import type { SubjectState } from "../enforcement/subjects.ts";

/** Which of the limits that each kind has is this subject's; an app that comes with a token is a service. */
export function limitKindOf({ record: { kind } }: SubjectState): keyof PerKind {
  return kind === "app" ? "service" : kind;
}

const limits: Readonly<Record<string, string>> = {
  "connect-timeout": "connectTimeoutMs",
  ERR_MQTT_PACKET_TOO_LARGE: "packetBytes",
  ERR_MQTT_RECEIVE_MAXIMUM: "inflight",
  ERR_MQTT_TOPIC_ALIAS: "topicAliases",
  ERR_MQTT_USER_PROPERTIES: "userProperties",
};

/** The limit of wardmq.yaml that a failed check stands for, as the field of an event; nothing for other checks. */
export function limitOf(check: string): { readonly limit?: string } {
  const limit = check.startsWith("limits.") ? check.slice("limits.".length) : limits[check];
  return limit === undefined ? {} : { limit };
}
