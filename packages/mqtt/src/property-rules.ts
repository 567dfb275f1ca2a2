import { MqttError } from "./errors.ts";
import {
  type PropertyDefinition,
  type PropertyName,
  type PropertyPlace,
  type PropertyValues,
  properties,
} from "./properties.ts";
import type { Sender } from "./reason-codes.ts";
import { isTopicName } from "./topic-name.ts";

/** Refuses a value outside of the range its row gives, and a Response Topic that is no Topic Name. */
export function checkPropertyValue(name: PropertyName, value: unknown): void {
  const { minimum = 0, maximum = Number.POSITIVE_INFINITY }: PropertyDefinition = properties[name];
  if (typeof value === "number" && !(value >= minimum && value <= maximum)) {
    // 5.0 3.3.4 names a code of its own for the Topic Alias 0.
    throw new MqttError(name === "topicAlias" ? "ERR_MQTT_TOPIC_ALIAS" : "ERR_MQTT_PROPERTY_VALUE");
  }
  if (name === "responseTopic" && !isTopicName(String(value))) {
    throw new MqttError("ERR_MQTT_RESPONSE_TOPIC"); // 5.0 [MQTT-3.3.2-14]
  }
}

/** Refuses properties of one packet that are each right but not together, or not from this side. */
export function checkPropertyValues(
  values: PropertyValues,
  place: PropertyPlace,
  sender: Sender | undefined,
): void {
  if (values.authenticationData !== undefined && values.authenticationMethod === undefined) {
    throw new MqttError("ERR_MQTT_AUTHENTICATION_METHOD"); // 5.0 3.1.2.11.10
  }
  const identifiers = values.subscriptionIdentifier?.length ?? 0;
  if (place === "SUBSCRIBE" && identifiers > 1) {
    throw new MqttError("ERR_MQTT_PROPERTY_DUPLICATE"); // 5.0 3.8.2.1.2
  }
  const fromTheWrongSide =
    (place === "PUBLISH" && sender === "client" && identifiers > 0) || // 5.0 [MQTT-3.3.4-6]
    (place === "DISCONNECT" && sender === "server" && values.sessionExpiryInterval !== undefined); // 5.0 [MQTT-3.14.2-2]
  if (fromTheWrongSide) throw new MqttError("ERR_MQTT_PROPERTY_SENDER");
}
