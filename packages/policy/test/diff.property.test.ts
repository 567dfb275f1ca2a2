import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  compilePolicy,
  type Difference,
  diffPolicies,
  isWithin,
  type Policy,
  parsePolicy,
  type Subject,
} from "../src/index.ts";
import { otherUuid, uuid } from "./world.ts";

/** Two small policies; what each subject of a small world may do under both is compared with what the diff says. */
const words = ["o1", "s1", "s2", "a", "b", uuid, otherUuid];
const subjects: readonly Subject[] = [uuid, otherUuid].flatMap((id) =>
  ["s1", "s2"].map((site) => ({
    id: `device:${id}`,
    kind: "device" as const,
    attributes: { org: "o1", site, ward: "s1", id },
  })),
);
const topics = words.flatMap((one) => [
  `o1/${one}`,
  ...words.flatMap((two) => [
    `o1/${one}/${two}`,
    ...words.map((three) => `o1/${one}/${two}/${three}`),
  ]),
]);

const level = fc.constantFrom("+", "+", "{site}", "{id}", "s1", "a", "b");
const filter = fc
  .tuple(fc.array(level, { minLength: 1, maxLength: 2 }), fc.boolean())
  .map(([levels, rest]) => ["{org}", ...levels, ...(rest ? ["#"] : [])].join("/"));
const rule = fc.record({
  filter,
  qos: fc.constantFrom(1, 2),
  retain: fc.constantFrom("never", "allowed"),
});
const to = fc.constantFrom("device:*", "device:*", `device:${uuid}`, "group:some");
const policies = fc
  .record({
    rules: fc.array(fc.tuple(to, fc.array(rule, { minLength: 1, maxLength: 2 })), { maxLength: 2 }),
    deny: fc.array(fc.tuple(to, filter), { maxLength: 1 }),
  })
  .map(({ rules, deny }) => {
    const text = JSON.stringify({
      topics: { schema: "off" },
      groups: { some: { kind: "device", site: ["s1"] } },
      roles: Object.fromEntries(rules.map(([, publish], i) => [`r${i}`, { publish }])),
      bindings: rules.map(([whom], i) => ({ role: `r${i}`, to: whom })),
      deny: deny.map(([whom, one]) => ({ to: whom, publish: [one], reason: "test" })),
    });
    return parsePolicy(text);
  });

const messages = [1, 2].flatMap((qos) =>
  [false, true].map((retain) => ({ qos, retain, payloadLength: 0, contentType: undefined })),
);

/** Everything that is allowed in the small world. */
function rightsIn(policy: Policy): ReadonlySet<string> {
  const compiled = compilePolicy(policy);
  const allowed = new Set<string>();
  for (const subject of subjects) {
    const rights = compiled.rightsOf(subject);
    for (const topic of topics) {
      const { effect, terms } = rights.decidePublish(topic);
      if (effect === "Deny") continue;
      for (const [i, message] of messages.entries()) {
        if (isWithin(terms, message))
          allowed.add(`${subject.id} ${subject.attributes["site"]} ${topic} ${i}`);
      }
    }
  }
  return allowed;
}

function isShown(difference: Difference, here: Policy, there: Policy): boolean {
  const { topic, subjects: shown } = difference.example;
  const [subject] = shown;
  if (!subject) return false;
  const decide = (policy: Policy) => compilePolicy(policy).rightsOf(subject).decidePublish(topic);
  const [yes, other] = [decide(here), decide(there)];
  if (yes.effect !== "Permit") return false;
  return messages.some(
    (message) =>
      isWithin(yes.terms, message) && (other.effect === "Deny" || !isWithin(other.terms, message)),
  );
}

describe("a diff against brute force over small worlds", () => {
  test("names a gain or a loss exactly where there is one, with an example that is one", () => {
    const seen = { same: 0, differ: 0 };
    fc.assert(
      fc.property(policies, policies, (former, next) => {
        const { gained, lost } = diffPolicies(former, next);
        for (const one of gained) assert.ok(isShown(one, next, former), JSON.stringify(one));
        for (const one of lost) assert.ok(isShown(one, former, next), JSON.stringify(one));
        const [before, after] = [rightsIn(former), rightsIn(next)];
        if (gained.length === 0) assert.ok(after.isSubsetOf(before), "a gain was overlooked");
        if (lost.length === 0) assert.ok(before.isSubsetOf(after), "a loss was overlooked");
        if (gained.length + lost.length === 0) seen.same += 1;
        else seen.differ += 1;
      }),
      { numRuns: 300 },
    );
    assert.ok(seen.same > 5 && seen.differ > 50, JSON.stringify(seen));
  });

  test("finds no difference between a policy and itself", () => {
    fc.assert(
      fc.property(policies, (policy) => {
        assert.deepEqual(diffPolicies(policy, policy), { gained: [], lost: [], others: [] });
      }),
      { numRuns: 100 },
    );
  });
});
