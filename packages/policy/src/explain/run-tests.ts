import { compilePolicy } from "../decide/compile-policy.ts";
import type { Decision, Subject } from "../decide/decision.ts";
import { valuesOf } from "../decide/narrow.ts";
import { denyByTerms, isWithin } from "../decide/terms.ts";
import type { Policy, PolicyTest, SubjectKind } from "../language/policy.ts";

/** A test of a policy with what came of it. */
export interface TestResult {
  readonly test: PolicyTest;
  readonly decision: Decision;
  readonly passed: boolean;
}

/** Runs the `tests:` of a policy; `now` in milliseconds since 1970 is for those that name no time. */
export function runPolicyTests(policy: Policy, now: number): readonly TestResult[] {
  const compiled = compilePolicy(policy);
  return policy.tests.map((test) => {
    const at = test.at === undefined ? now : Date.parse(test.at);
    const rights = compiled.rightsOf(subjectOf(test), at);
    const decision =
      test.publish === undefined
        ? rights.decideSubscribe(test.subscribe ?? "")
        : withMessage(rights.decidePublish(test.publish), test);
    return { test, decision, passed: decision.effect === test.expect };
  });
}

function subjectOf({ subject, with: place, roles = [] }: PolicyTest): Subject {
  const at = subject.indexOf(":");
  const attributes = { ...valuesOf(place), id: subject.slice(at + 1) };
  return { id: subject, kind: subject.slice(0, at) as SubjectKind, attributes, roles };
}

function withMessage(decision: Decision, { qos = 0, retain = false }: PolicyTest): Decision {
  const [first] = decision.terms;
  const message = { qos, retain, payloadLength: 0, contentType: first?.contentType };
  if (decision.effect === "Deny" || isWithin(decision.terms, message)) return decision;
  return denyByTerms(decision.terms, message);
}
