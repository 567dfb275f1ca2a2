import { randomUUID } from "node:crypto";
import type { CertificateSummary, Commands, SubjectSummary } from "@wardmq/commands";
import { formatSpiffeId } from "@wardmq/x509";
import { Failure } from "../failure.ts";
import type { Doing, Registry } from "../registry/registry.ts";
import type { NewSubject, RegisteredSubject } from "../registry/rows.ts";
import type { Publication, Surroundings } from "./handler.ts";

/** What came of a command that changed the state of subjects. */
export type Effect = Commands["quarantine"]["result"];
export type Move = Parameters<Registry["move"]>[1];

/** Why nobody can be of this tenant; undefined where the policy is for it, or it is the deployment's own. */
export function refusesTenant(
  { registry, tenants }: Pick<Surroundings, "registry" | "tenants">,
  org: string | undefined,
): Failure | undefined {
  if (org === undefined || org === registry.identity.org) return undefined;
  if (tenants().some(({ name }) => name === org)) return undefined;
  return new Failure("ERR_TENANT_UNKNOWN", `${org} is no tenant of the policy`, {
    hint: `add it to tenants in policy.yaml, beside ${registry.identity.org}`,
  });
}

/** A device as the registry takes it, from what an operator says of it. */
export function newDevice(
  { identity }: Registry,
  {
    org = identity.org,
    id = randomUUID(),
    maker,
    serial,
    owner,
    tags = [],
    ...where
  }: Commands["device.add"]["arguments"],
): NewSubject {
  const { trustDomain } = identity;
  return {
    id: `device:${id}`,
    kind: "device",
    attributes: { org, ...where, id },
    spiffeId: formatSpiffeId({ trustDomain, kind: "device", id }),
    details: {
      ...(maker === undefined ? {} : { maker }),
      ...(serial === undefined ? {} : { serial }),
      ...(owner === undefined ? {} : { owner }),
    },
    tags: [...new Set(tags)].sort(),
  };
}

/**
 * Takes subjects through a transition and tells the brokers. The registry is changed first: whatever happens to a
 * broker, one that is revoked is never let in again.
 */
export async function moveSubjects(
  { registry, publisher, record }: Surroundings,
  ids: readonly string[],
  name: Move,
  doing: Doing,
): Promise<Effect> {
  const before = new Map(ids.map((id) => [id, activeCertificates(existing(registry, id))]));
  const moved = registry.move(ids, name, doing);
  const published = moved.length > 0 ? publisher.publish({ subjects: moved }) : undefined;
  for (const { id, state } of moved) {
    const details = { actor: doing.actor, state };
    const type = name === "revoke" ? "subject-revoked-by" : "subject-changed";
    record({
      type,
      subject: id,
      ...(doing.reason === undefined ? {} : { why: doing.reason }),
      details,
    });
  }
  const certificatesRevoked = moved.reduce(
    (sum, subject) => sum + (before.get(subject.id) ?? 0) - activeCertificates(subject),
    0,
  );
  const done = await published?.();
  return { subjects: moved.length, certificatesRevoked, ...effectOf(done) };
}

/** What brokers did about a change, for a result. */
export function effectOf({ answers, unconfirmed }: Publication = { answers: [], unconfirmed: 0 }) {
  return {
    brokers: answers.map(
      ({ connectionsClosed, sessionsEnded, messagesWithheld, milliseconds, confirmedMs }) => ({
        connectionsClosed,
        sessionsEnded,
        messagesWithheld,
        milliseconds,
        confirmedMs,
      }),
    ),
    ...(unconfirmed > 0 ? { unconfirmed } : {}),
  };
}

/** The record of a subject; that there is none is a refusal. */
export function existing(registry: Registry, id: string): RegisteredSubject {
  const subject = registry.subject(id);
  if (subject !== undefined) return subject;
  throw new Failure("ERR_SUBJECT_UNKNOWN", `there is no ${id}`, {
    hint: "wardmq list DIR shows who exists",
  });
}

function activeCertificates({ certificates }: RegisteredSubject): number {
  return certificates.filter(({ state }) => state === "active").length;
}

/** A device or a service as commands show it. */
export function summaryOf(subject: RegisteredSubject): SubjectSummary {
  const { id, kind, state, attributes, details, tags } = subject;
  if (kind === "operator") throw new Error("an operator is shown by its own commands");
  const certificates = certificatesOf(subject);
  return { id, kind, state, attributes, details: { ...details }, tags, certificates };
}

/** The certificates of a record, as results show them. */
export function certificatesOf({ certificates }: RegisteredSubject): readonly CertificateSummary[] {
  return certificates.map(({ fingerprint, serialNumber, notAfter, state }) => ({
    fingerprint,
    serialNumber,
    notAfter,
    state,
  }));
}
