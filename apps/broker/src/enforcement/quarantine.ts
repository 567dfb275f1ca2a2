import type { SubjectRecord } from "@wardmq/feed";
import type { Decision, SubjectRights } from "@wardmq/policy/compile";

const permit: Decision = {
  effect: "Permit",
  because: "Permit",
  ruleId: "quarantine",
  hint: undefined,
};
const deny: Decision = {
  effect: "Deny",
  because: "Deny",
  ruleId: "quarantine",
  hint: "the subject is in quarantine and may speak on its own lifecycle topic only: wardmq release ends that",
};

/**
 * What a quarantined subject may do, whatever the policy says: a device speaks and listens on its own `lifecycle` topic,
 * where it is told to enrol anew; a service has no such topic.
 */
export function quarantineRights({ id, kind, attributes }: SubjectRecord): SubjectRights {
  const { org, site, ward, id: uuid } = attributes;
  const lifecycle = kind === "device" && `${org}/${site}/${ward}/device/${uuid}/lifecycle`;
  const decide = (asked: string) => (asked === lifecycle ? permit : deny);
  return {
    subject: { id, kind, attributes },
    decidePublish: decide,
    decideSubscribe: decide,
    decideReceive: decide,
  };
}
