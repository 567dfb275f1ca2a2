import type { SubjectRecord } from "@wardmq/feed";
import type { SubjectState } from "../enforcement/subjects.ts";
import { ApplicationMessage } from "./application-message.ts";
import type { Router } from "./router.ts";

/** The topic on which a device is told about itself; services, people and apps have none. */
export function lifecycleTopicOf({ kind, attributes }: SubjectRecord): string | undefined {
  const { org, site, ward, id } = attributes;
  return kind === "device" ? `${org}/${site}/${ward}/device/${id}/lifecycle` : undefined;
}

/**
 * A word of ours on that topic, at QoS 1. It counts as the device's own, so that the policy decides about it like about
 * everything else that stands there.
 */
export function lifecycleMessage(
  router: Router,
  subject: SubjectState,
  text: string,
): ApplicationMessage | undefined {
  const name = lifecycleTopicOf(subject.record);
  if (name === undefined) return undefined;
  const payload = Buffer.from(text, "utf8");
  const message = new ApplicationMessage(router.topic(name), subject, payload);
  message.qos = 1;
  message.payloadEnd = payload.length;
  message.isKept();
  return message;
}
