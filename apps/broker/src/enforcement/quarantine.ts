import type { SubjectRecord } from "@wardmq/feed";
import { deny, permit, type SubjectRights, type Terms } from "@wardmq/policy/compile";
import { lifecycleTopicOf } from "../routing/lifecycle.ts";

const ruleId = "quarantine";
const terms: Terms = {
  ruleId,
  qos: 2,
  retain: true, // as control's own word on that topic is
  retainSeconds: Number.POSITIVE_INFINITY,
  payloadBytes: Number.POSITIVE_INFINITY,
  contentType: undefined,
};
const permitted = permit(ruleId, [terms]);
const denied = deny(
  "Deny",
  "the subject is in quarantine and may speak on its own lifecycle topic only: wardmq release ends that",
  ruleId,
);

/**
 * What a quarantined subject may do, whatever the policy says: a device speaks and listens on its own `lifecycle` topic,
 * where it is told to enrol anew; a service has no such topic.
 */
export function quarantineRights(record: SubjectRecord): SubjectRights {
  const { id, kind, attributes } = record;
  const lifecycle = lifecycleTopicOf(record);
  const decide = (asked: string) => (asked === lifecycle ? permitted : denied);
  return {
    subject: { id, kind, attributes },
    limits: {},
    decidePublish: decide,
    decideSubscribe: decide,
    decideReceive: decide,
  };
}
