import type { PropertyValues } from "@wardmq/mqtt";

/** A packet with a Reason String or User Properties, or without where they would make it too large, 5.0 [MQTT-3.14.2-3]. */
export function withinMaximum(
  maximumPacketBytes: number | undefined,
  optional: Pick<PropertyValues, "reasonString" | "userProperty">,
  encode: (properties: PropertyValues) => Buffer,
): Buffer {
  const explained = encode(optional);
  return explained.length <= (maximumPacketBytes ?? explained.length) ? explained : encode({});
}

/** What a client is told of a refusal; the event tells the operator more. */
export const reasons: Readonly<Record<number, string>> = {
  135: "not allowed by the policy",
  143: "the topic filter breaks a limit",
  144: "the topic name breaks a limit",
  151: "a quota is used up",
  153: "the payload is not the UTF-8 its indicator says",
};
