import type { BreakGlassUse } from "@wardmq/commands";
import { placeIn } from "@wardmq/config";
import type { Policy } from "@wardmq/policy";
import { type IssuerSettings, IssuersError } from "@wardmq/tokens";

/** The policy with a grant for each of its roles that somebody has taken for an emergency; it ends by itself in brokers. */
export function withTaken(policy: Policy, uses: readonly BreakGlassUse[]): Policy {
  const grants = uses.flatMap(({ id, person, policyRole, until, actor }) =>
    policyRole === undefined || faultOfGrant(policy, policyRole) !== undefined
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

/** Refuses what may be taken and the policy can not give, which nobody would see before the emergency. */
export function refuseUngrantable(
  policy: Policy,
  issuers: readonly IssuerSettings[],
  { file, text }: { readonly file: string; readonly text: () => string },
): void {
  const problems = issuers.flatMap(({ name, api }) =>
    (api?.breakGlass ?? []).flatMap(({ policyRole }, at) => {
      const message = policyRole === undefined ? undefined : faultOfGrant(policy, policyRole);
      if (message === undefined) return [];
      const path = ["issuers", name, "api", "breakGlass", at, "policyRole"];
      return { ...placeIn(text(), path), path: path.join("."), message };
    }),
  );
  if (problems.length > 0) throw new IssuersError(file, problems);
}

/** Why a policy can not give a role for a time; nothing where it can. */
function faultOfGrant({ roles }: Policy, name: string): string | undefined {
  const role = roles.find((one) => one.name === name);
  if (role === undefined) return `the policy has no role ${name}`;
  if (role.requires === undefined) return undefined;
  return `the role ${name} of the policy has requires, so only claims give it`;
}
