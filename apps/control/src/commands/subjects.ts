import type { SubjectSummary, subjectCommands } from "@wardmq/commands";
import { formatSpiffeId } from "@wardmq/x509";
import type { Doing } from "../registry/registry.ts";
import type { NewSubject } from "../registry/rows.ts";
import { isFound } from "../registry/search.ts";
import { refuseUnlessMatching } from "./etag.ts";
import type { HandlersOf, Surroundings } from "./handler.ts";
import { wrongRequest } from "./requests.ts";
import { existing, moveSubjects, newDevice, refusesTenant, summaryOf } from "./subject-acts.ts";

export const subjectHandlers: HandlersOf<typeof subjectCommands> = {
  "device.add": (on, device, caller) => addSubject(on, newDevice(on.registry, device), caller),

  "service.add": (on, { name: id, org = on.registry.identity.org }, caller) => {
    const { trustDomain } = on.registry.identity;
    const spiffeId = formatSpiffeId({ trustDomain, kind: "service", id });
    const service = {
      id: `service:${id}`,
      kind: "service",
      attributes: { org, id },
      spiffeId,
    } as const;
    return addSubject(on, service, caller);
  },

  list: ({ registry }, { cursor, limit = 1_000, ...query }) => {
    const found: SubjectSummary[] = [];
    for (const id of registry.idsAfter(idOfCursor(registry, cursor))) {
      const subject = registry.subject(id);
      if (subject === undefined || subject.kind === "operator" || !isFound(subject, query))
        continue;
      if (found.length === limit) return { subjects: found, next: found.at(-1)?.id ?? "" };
      found.push(summaryOf(subject));
    }
    return { subjects: found };
  },

  revoke: async (on, { subject, because, ifMatch }, caller) => {
    refuseUnlessMatching(summaryOf(existing(on.registry, subject)), ifMatch);
    const doing = because === undefined ? caller : { ...caller, reason: because };
    const { subjects: _, ...effect } = await moveSubjects(on, [subject], "revoke", doing);
    return { subject, ...effect };
  },
};

/** The subject that a page ended with; records stay for good, so one that is none was never given as `next`. */
function idOfCursor(registry: Surroundings["registry"], cursor: string | undefined): string {
  if (cursor === undefined) return "";
  const { kind = "operator" } = registry.subject(cursor) ?? {};
  if (kind !== "operator") return cursor;
  throw wrongRequest("list: the cursor was not given by a page", "give `next` of the page before");
}

function addSubject(on: Surroundings, subject: NewSubject, doing: Doing): SubjectSummary {
  const { registry, publisher, record } = on;
  const refused = refusesTenant(on, subject.attributes["org"]);
  if (refused !== undefined) throw refused;
  const added = registry.addSubject(subject, doing);
  publisher.publish({ subjects: [added] });
  record({ type: "subject-added", subject: added.id, details: { actor: doing.actor } });
  return summaryOf(added);
}
