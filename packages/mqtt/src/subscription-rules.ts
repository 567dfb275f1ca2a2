import { MqttError } from "./errors.ts";
import type { ProtocolVersion, SubscriptionRequest } from "./packet.ts";
import { parseSharedSubscription, parseTopicFilter } from "./topic-filter.ts";

/** Refuses a subscription with an option or a filter that its version does not allow. */
export function checkSubscription(request: SubscriptionRequest, version: ProtocolVersion): void {
  const { qos, noLocal, retainAsPublished, retainHandling } = request;
  if (![0, 1, 2].includes(qos)) throw new MqttError("ERR_MQTT_SUBSCRIPTION_QOS"); // 5.0 3.8.3.1, 3.1.1 [MQTT-3-8.3-4]
  if (![0, 1, 2].includes(retainHandling)) throw new MqttError("ERR_MQTT_RETAIN_HANDLING");
  if (version === 4 && (noLocal || retainAsPublished || retainHandling !== 0)) {
    throw new MqttError("ERR_MQTT_SUBSCRIPTION_OPTIONS");
  }
  const shared = checkFilter(request.filter, version);
  if (shared && noLocal) throw new MqttError("ERR_MQTT_NO_LOCAL_SHARED"); // 5.0 [MQTT-3.8.3-4]
}

/** Refuses what no subscription of that version can have; says whether it is shared, which 3.1.1 does not know. */
export function checkFilter(filter: string, version: ProtocolVersion): boolean {
  parseTopicFilter(filter);
  return version === 5 && parseSharedSubscription(filter) !== undefined;
}
