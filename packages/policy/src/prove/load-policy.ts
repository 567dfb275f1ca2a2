import type { Policy } from "../language/policy.ts";
import { PolicyError } from "../language/policy-error.ts";
import { type PolicyFile, parsePolicyFiles } from "../language/read-policy.ts";
import { provePolicy } from "./assertions.ts";

/** What a policy is loaded for. */
export interface PolicyPlace {
  readonly environment: string;
  /** The deployment's own organisation. */
  readonly org: string;
}

/**
 * What a deployment may use: the policy of its files, if it is for this environment and all assertions hold. One that
 * names no tenants is for the deployment's own organisation: another's subjects may do nothing under it.
 */
export function loadPolicy(
  files: readonly PolicyFile[],
  { environment, org }: PolicyPlace,
): Policy {
  const policy = parsePolicyFiles(files);
  const file = files[0]?.name ?? "policy";
  if (policy.environment !== undefined && policy.environment !== environment) {
    const message = `expected a policy for ${environment}, found one for ${policy.environment}`;
    const hint = "apply it where it is meant for, or change its environment";
    throw new PolicyError(file, [{ line: 1, column: 1, path: "environment", message, hint }]);
  }
  const violations = provePolicy(policy);
  if (violations.length > 0) throw new PolicyError(file, violations.slice(0, 100));
  if (policy.tenants.length > 0) return policy;
  return { ...policy, tenants: [{ name: org, line: 1, column: 1 }] };
}

/** What a broker has to know of a policy: assertions and tests stay with control. */
export function enforcedPart(policy: Policy): Policy {
  return { ...policy, assert: [], tests: [] };
}
