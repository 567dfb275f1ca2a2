import type { LoginRequirement, Policy } from "../language/policy.ts";

/** A role that a claim gives, and how somebody must have logged in for it. */
export interface TokenRole extends Pick<LoginRequirement, "acr" | "amr" | "certificateBound"> {
  readonly issuer: string;
  readonly claim: readonly string[];
  readonly value: string;
  readonly role: string;
}

/** The `claims` of a policy as whoever judges tokens reads them, each with what its role requires; in their order. */
export function tokenRoles({ claims, roles }: Pick<Policy, "claims" | "roles">): TokenRole[] {
  const required = new Map(roles.map(({ name, requires }) => [name, requires]));
  return claims.map(({ issuer, claim, value, role }) => {
    const { acr, amr, certificateBound } = required.get(role) ?? {};
    return {
      issuer,
      claim,
      value,
      role,
      ...(acr === undefined ? {} : { acr }),
      ...(amr === undefined ? {} : { amr }),
      ...(certificateBound === undefined ? {} : { certificateBound }),
    };
  });
}
