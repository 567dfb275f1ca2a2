import type { BreakGlassUse } from "@wardmq/commands";
import type { Policy } from "@wardmq/policy";

/** The policy with a grant for each of its roles that somebody has taken for an emergency; it ends by itself in brokers. */
export function withTaken(policy: Policy, uses: readonly BreakGlassUse[]): Policy {
  const grants = uses.flatMap(({ id, person, policyRole, until, actor }) =>
    policyRole === undefined || !canGrant(policy, policyRole)
      ? []
      : {
          role: policyRole,
          to: person,
          until: `${new Date(until).toISOString().slice(0, 19)}Z`,
          reason: `break-glass ${id}`,
          approvedBy: actor,
          ...{ line: 1, column: 1 },
        },
  );
  return { ...policy, grants: [...policy.grants, ...grants] };
}

/** Whether a policy has a role that can be given for a time: one that asks how somebody logged in is given by claims only. */
export function canGrant({ roles }: Policy, name: string): boolean {
  return roles.some((role) => role.name === name && role.requires === undefined);
}
