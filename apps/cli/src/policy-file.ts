import { join } from "node:path";
import { checkPolicy, describeProblem, PolicyError, parsePolicy } from "@wardmq/policy";
import { readDeploymentFile } from "./deployment.ts";
import { Failure } from "./failure.ts";

/** The warnings about a deployment's policy, one line each; a policy with problems is a Failure that lists them. */
export function checkPolicyFile(directory: string): readonly string[] {
  const file = join(directory, "policy.yaml");
  const text = readDeploymentFile(directory, "policy.yaml");
  try {
    const policy = parsePolicy(text, file);
    return checkPolicy(policy).map((warning) => describeProblem(warning, file));
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw new Failure(
      2,
      error.problems.map((problem) => describeProblem(problem, file)).join("\n"),
      "",
    );
  }
}
