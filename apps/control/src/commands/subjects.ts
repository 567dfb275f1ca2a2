import { randomUUID } from "node:crypto";
import type { SubjectSummary, subjectCommands } from "@wardmq/commands";
import { formatSpiffeId } from "@wardmq/x509";
import type { Doing } from "../registry/registry.ts";
import type { RegisteredSubject } from "../registry/rows.ts";
import type { HandlersOf, Surroundings } from "./handler.ts";

export const subjectHandlers: HandlersOf<typeof subjectCommands> = {
  "device.add": (on, { id = randomUUID(), ...where }, caller) =>
    addSubject(on, "device", id, { org: on.registry.identity.org, id, ...where }, caller),

  "service.add": (on, { name: id }, caller) =>
    addSubject(on, "service", id, { org: on.registry.identity.org, id }, caller),

  list: ({ registry }) => ({ subjects: registry.subjects().map(summaryOf) }),

  /** The registry is changed first: whatever happens to the brokers, the certificate is never valid again. */
  revoke: async ({ registry, publisher, record }, { subject }, caller) => {
    const revoked = registry.revokeSubject(subject, caller);
    const published = publisher.publish({ subjects: [revoked.record] });
    record({ type: "subject-revoked-by", subject, details: { actor: caller.actor } });
    const { answers, unconfirmed } = await published();
    const { certificatesRevoked } = revoked;
    return {
      subject,
      certificatesRevoked,
      brokers: answers.map(({ connectionsClosed, milliseconds }) => ({
        connectionsClosed,
        milliseconds,
      })),
      ...(unconfirmed > 0 ? { unconfirmed } : {}),
    };
  },
};

function addSubject(
  { registry, publisher, record }: Surroundings,
  kind: "device" | "service",
  id: string,
  attributes: Readonly<Record<string, string>>,
  doing: Doing,
): SubjectSummary {
  const { trustDomain } = registry.identity;
  const spiffeId = formatSpiffeId({ trustDomain, kind, id });
  const added = registry.addSubject({ id: `${kind}:${id}`, kind, attributes, spiffeId }, doing);
  publisher.publish({ subjects: [added] });
  record({ type: "subject-added", subject: added.id, details: { actor: doing.actor } });
  return summaryOf(added);
}

function summaryOf({
  id,
  kind,
  state,
  attributes,
  certificates,
}: RegisteredSubject): SubjectSummary {
  return { id, kind, state, attributes, certificates };
}
