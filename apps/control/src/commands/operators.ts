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

/** Whether anybody but the caller could approve something. */
export function hasOtherSecurityOfficer(registry: Registry, actor: string): boolean {
  return registry
    .operators()
    .some(
      ({ id, state, attributes }) =>
        id !== actor && state === "active" && attributes["role"] === "security-officer",
    );
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
  return { id, role: roleOf(record), state, certificates: certificatesOf(record) };
}
