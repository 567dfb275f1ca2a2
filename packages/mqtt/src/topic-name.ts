import { MqttError } from "./errors.ts";
import { isUtf8EncodedString } from "./utf8.ts";

declare const brand: unique symbol;

/** What a message is published to: no wildcard, not empty, a UTF-8 Encoded String. */
export type TopicName = string & { readonly [brand]: "TopicName" };

/** Makes a Topic Name of a text or throws ERR_MQTT_TOPIC_NAME. */
export function parseTopicName(text: string): TopicName {
  if (!isTopicName(text)) throw new MqttError("ERR_MQTT_TOPIC_NAME");
  return text;
}

/** Whether the text is a Topic Name, 5.0 [MQTT-4.7.1-1] and [MQTT-4.7.3-1] to [MQTT-4.7.3-3]. */
export function isTopicName(text: string): text is TopicName {
  return text.length > 0 && !text.includes("+") && !text.includes("#") && isUtf8EncodedString(text);
}
