import { MqttError } from "./errors.ts";
import type { ProtocolVersion } from "./packet.ts";
import type { PropertyValues } from "./properties.ts";
import { parseTopicName } from "./topic-name.ts";

/** Refuses what is no Topic Name; on 5.0 it may be empty where a Topic Alias stands for it (3.3.2.1). */
export function checkPublishTopic(
  topic: string,
  version: ProtocolVersion,
  { topicAlias }: PropertyValues,
): void {
  if (topic !== "" || version === 4) parseTopicName(topic);
  else if (topicAlias === undefined) throw new MqttError("ERR_MQTT_TOPIC_MISSING");
}
