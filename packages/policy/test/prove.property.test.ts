import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  assertionsOf,
  compilePolicy,
  type Policy,
  parsePolicy,
  provePolicy,
  type Subject,
  type Violation,
} from "../src/index.ts";
import { otherUuid, uuid } from "./world.ts";

/**
 * Small worlds: every device and every topic of them is tried. What the proof finds is tried on the real decision; what
 * it says cannot be is looked for everywhere.
 */
const sites = ["s1", "s2"];
const words = ["o1", "s1", "s2", "a", "b", "c", "dd", uuid, otherUuid];
const devices: readonly Subject[] = [uuid, otherUuid].flatMap((id) =>
  sites.flatMap((site) =>
    sites.map((ward) => ({
      id: `device:${id}`,
      kind: "device" as const,
      attributes: { org: "o1", site, ward, id },
    })),
  ),
);
const topics = namesOf(4).filter((name) => name.startsWith("o1"));

function namesOf(depth: number): string[] {
  if (depth === 0) return [];
  const shorter = namesOf(depth - 1);
  const longest = shorter.filter((name) => name.split("/").length === depth - 1);
  const longer =
    depth === 1 ? words : longest.flatMap((name) => words.map((word) => `${name}/${word}`));
  return [...shorter, ...longer];
}

const level = fc.constantFrom("+", "{site}", "{ward}", "{id}", "s1", "a", "b", "c", "dd");
const filter = fc
  .tuple(fc.array(level, { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([levels, rest]) => ["{org}", ...levels, ...(rest ? ["#"] : [])].join("/"));
const filters = fc.array(filter, { minLength: 1, maxLength: 2 });
const to = fc.constantFrom("device:*", `device:${uuid}`, "group:some", "group:others");
const where = fc.constantFrom(undefined, { site: "s1" }, { ward: "s2" });
const never = fc.constantFrom("publish", "stray", "share") as fc.Arbitrary<
  "publish" | "stray" | "share"
>;

const policies = fc
  .record({
    roles: fc.array(filters, { minLength: 1, maxLength: 2 }),
    to: fc.array(to, { minLength: 2, maxLength: 2 }),
    where: fc.array(where, { minLength: 2, maxLength: 2 }),
    deny: fc.array(fc.tuple(fc.constantFrom(undefined, "device:*", "group:some"), filter), {
      maxLength: 2,
    }),
    never,
    on: fc.option(filter, { nil: undefined }),
    across: fc.constantFrom("site", "ward"),
    isStrict: fc.boolean(),
  })
  .map(({ roles, to: tos, where: wheres, deny, never: form, on, across, isStrict }) => {
    const across_ = form === "share" ? { across: [across] } : {};
    const on_ = form === "publish" && on !== undefined ? { on: [on] } : {};
    return parsePolicy(
      JSON.stringify({
        tenants: { o1: {} },
        topics: isStrict
          ? {
              templates: ["{org}/{site}/{ward}/{channel}", "{org}/{site}/{uuid}", "{org}/dd/#"],
              levels: { channel: ["a", "b"] },
            }
          : { schema: "off" },
        groups: {
          some: { kind: "device", site: ["s1"] },
          others: { kind: "device", ward: ["s1", "s2"] },
        },
        roles: Object.fromEntries(roles.map((publish, i) => [`r${i}`, { publish }])),
        bindings: roles.map((_, i) => ({
          role: `r${i}`,
          to: tos[i],
          ...(wheres[i] === undefined ? {} : { where: wheres[i] }),
        })),
        deny: deny.map(([whom, publish]) => ({
          ...(whom === undefined ? {} : { to: whom }),
          publish: [publish],
          reason: "test",
        })),
        assert: [{ id: "own", never: form, ...across_, ...on_ }],
      }),
    );
  });

/** Whether a subject may publish there, and by the rules of which roles. */
function permits(policy: Policy, subject: Subject, topic: string): boolean {
  return compilePolicy(policy).rightsOf(subject).decidePublish(topic).effect === "Permit";
}

/** The plain twin: everything that is possible in the small world is looked at. */
function isBroken(policy: Policy): boolean {
  const [assertion] = policy.assert;
  const compiled = compilePolicy(policy);
  const on = assertion?.on[0]?.filter;
  const reachable = devices.map((device) => {
    const rights = compiled.rightsOf(device);
    return new Set(topics.filter((topic) => rights.decidePublish(topic).effect === "Permit"));
  });
  if (assertion?.never === "share") {
    const [across = "site"] = assertion.across;
    return devices.some((one, i) =>
      devices.some((other, j) => {
        if (one.id === other.id || one.attributes[across] === other.attributes[across])
          return false;
        return !(reachable[i] as Set<string>).isDisjointFrom(reachable[j] as Set<string>);
      }),
    );
  }
  return devices.some((device, i) =>
    [...(reachable[i] as Set<string>)].some((topic) => {
      if (assertion?.never === "stray")
        return !topic.split("/").includes(device.attributes["id"] ?? "");
      if (on === undefined) return true;
      const asked = JSON.stringify({
        topics: { schema: "off" },
        roles: { r: { publish: [on] } },
        bindings: [{ role: "r", to: "device:*" }],
      });
      return permits(parsePolicy(asked), device, topic);
    }),
  );
}

function ownViolation(policy: Policy): Violation | undefined {
  return provePolicy(policy).find(({ assertion }) => assertion === "own");
}

describe("a proof against brute force over small worlds", () => {
  test("finds a violation wherever there is one, and what it shows is one", () => {
    const seen = { broken: 0, whole: 0 };
    fc.assert(
      fc.property(policies, (policy) => {
        const violation = ownViolation(policy);
        if (violation === undefined) {
          seen.whole += 1;
          assert.equal(isBroken(policy), false, "a violation was overlooked");
          return;
        }
        seen.broken += 1;
        const { topic = "", subjects = [] } = violation.witness ?? {};
        for (const subject of subjects) assert.ok(permits(policy, subject, topic), topic);
        const [one, other] = subjects;
        const [{ never: form, across } = { never: "", across: [] }] = assertionsOf(policy).filter(
          ({ id }) => id === "own",
        );
        if (form === "stray") assert.ok(!topic.split("/").includes(one?.attributes["id"] ?? ""));
        if (form !== "share") return;
        assert.notEqual(one?.id, other?.id);
        assert.ok(across.some((name) => one?.attributes[name] !== other?.attributes[name]));
      }),
      { numRuns: 400 },
    );
    assert.ok(seen.broken > 50 && seen.whole > 50, JSON.stringify(seen));
  });
});
