import { type OperatorSummary, type operatorCommands, roles } from "@wardmq/commands";
import { formatSpiffeId } from "@wardmq/x509";
import { Failure } from "../failure.ts";
import type { Registry } from "../registry/registry.ts";
import type { OperatorRecord, RegisteredSubject } from "../registry/rows.ts";
import { credentialOf } from "./certificates.ts";
import type { HandlersOf } from "./handler.ts";
import { certificatesOf } from "./subject-acts.ts";

export const operatorHandlers: HandlersOf<typeof operatorCommands> = {
  "operator.add": ({ registry, record }, { name, role }, caller) => {
    const { trustDomain, org } = registry.identity;
    const kind = "operator";
    const spiffeId = formatSpiffeId({ trustDomain, kind, id: name });
    const attributes = { org, id: name, role };
    const added = registry.addSubject(
      { id: `operator:${name}`, kind, attributes, spiffeId },
      caller,
    );
    const details = { actor: caller.actor, change: "added", role };
    record({ type: "operator-changed", subject: added.id, details });
    return summaryOf(operatorRecord(added));
  },

  "operator.link": ({ registry, record }, { operator, person }, caller) => {
    const holder = person === null ? undefined : operatorOfPerson(registry, person);
    if (holder !== undefined && holder.id !== operator) {
      throw new Failure("ERR_OPERATOR_PERSON", `${person} is ${holder.id} already`, {
        hint: `take that away first: wardmq operator link DIR ${holder.id} none`,
      });
    }
    const wanted = { person: person === null ? null : person.slice(personPrefix.length) };
    const linked = registry.editSubject(operator, wanted, caller);
    const details = { actor: caller.actor, change: "person", person: person ?? "none" };
    record({ type: "operator-changed", subject: operator, details });
    return summaryOf(operatorRecord(linked));
  },

  "operator.list": ({ registry }) => ({ operators: registry.operators().map(summaryOf) }),

  "operator.revoke": ({ registry, record }, { operator }, caller) => {
    const { record: revoked } = registry.revokeSubject(operator, caller);
    const details = { actor: caller.actor, change: "revoked" };
    record({ type: "operator-changed", subject: operator, details });
    return summaryOf(operatorRecord(revoked));
  },

  "operator.credential": async (on, { operator, certificateRequest }, caller) => {
    const issued = await on.issuance.issue(operator, certificateRequest, caller);
    const details = { actor: caller.actor, change: "certificate" };
    on.record({ type: "operator-changed", subject: operator, details });
    return credentialOf(issued);
  },
};

/** Whether anybody but the caller could approve something: of those that are registered. */
export function hasOtherSecurityOfficer(registry: Registry, actor: string): boolean {
  return registry
    .operators()
    .some(
      (one) =>
        one.id !== actor && isInService(one) && one.attributes["role"] === "security-officer",
    );
}

/** Whether an operator can come: with a certificate, or with the tokens of the person it is. */
export function isInService({ state, attributes }: RegisteredSubject): boolean {
  return state === "active" || (state === "registered" && attributes["person"] !== undefined);
}

const personPrefix = "person:";

/** The operator that the person of a token is. */
export function operatorOfPerson(registry: Registry, subject: string): OperatorRecord | undefined {
  if (!subject.startsWith(personPrefix)) return undefined;
  const person = subject.slice(personPrefix.length);
  return registry.operators().find(({ attributes }) => attributes["person"] === person);
}

/** The person behind an actor of the API, as tokens name it. */
export function personOf(registry: Registry, actor: string): string | undefined {
  if (!actor.startsWith("operator:")) return actor;
  const { person } = registry.subject(actor)?.attributes ?? {};
  return person === undefined ? undefined : personPrefix + person;
}

/**
 * Whether two actors are two people for certain. Nobody knows whether an operator and a person of a token are the same
 * unless it was said, nor whether two issuers know one person; and an app is no person.
 */
export function areTwoPeople(registry: Registry, one: string, other: string): boolean {
  const [first, second] = [one, other].map(
    (actor) => operatorOfPerson(registry, actor)?.id ?? actor,
  );
  if (first === undefined || second === undefined || first === second) return false;
  if ([first, second].some((actor) => actor.startsWith("app:"))) return false;
  const issuers = [first, second].map((actor) =>
    actor.startsWith(personPrefix) ? actor.split("_", 1)[0] : undefined,
  );
  const isByToken = issuers.filter((issuer) => issuer !== undefined).length;
  if (isByToken === 2) return issuers[0] === issuers[1];
  return isByToken === 0 || [first, second].some((actor) => actor.startsWith("uid:"));
}

/** The role that an operator's record says. */
export function roleOf({ attributes }: OperatorRecord): OperatorSummary["role"] {
  const role = roles.find((one) => one === attributes["role"]);
  if (role === undefined) throw new Failure("ERR_REGISTRY", "an operator has no known role");
  return role;
}

function operatorRecord(record: RegisteredSubject): OperatorRecord {
  if (record.kind === "operator") return record;
  throw new Error("the record is of no operator");
}

function summaryOf(record: OperatorRecord): OperatorSummary {
  const { id, state } = record;
  const { person } = record.attributes;
  return {
    ...{ id, role: roleOf(record), state },
    ...(person === undefined ? {} : { person: personPrefix + person }),
    certificates: certificatesOf(record),
  };
}
