import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compilePolicy, loadPolicy } from "../src/index.ts";
import { service } from "./world.ts";

const rules = `
topics: { schema: off }
roles: { all: { publish: ["#"] } }
bindings: [{ role: all, to: "service:*" }]
`;
const place = { environment: "prod", org: "st-anna" };
const load = (text: string) => loadPolicy([{ name: "policy.yaml", text }], place);

/** Whether services of the two organisations may publish to the topics of each. */
function effects(text: string): string[] {
  const policy = compilePolicy(load(text));
  return ["st-anna", "st-bert"].flatMap((org) =>
    ["st-anna/a", "st-bert/a"].map(
      (topic) =>
        `${org} ${topic} ${policy.rightsOf(service("x", org)).decidePublish(topic).effect}`,
    ),
  );
}

describe("what a deployment loads", () => {
  test("refuses a policy for another environment, and takes one for its own", () => {
    assert.throws(() => load(`environment: test\n${rules}`), { name: "PolicyError" });
    assert.equal(load(`environment: prod\n${rules}`).environment, "prod");
  });

  test("gives another organisation no right under a policy that names no tenants", () => {
    const [own, ofOthers, ...others] = effects(rules);
    assert.deepEqual([own, ofOthers], ["st-anna st-anna/a Permit", "st-anna st-bert/a Permit"]);
    assert.deepEqual(others, ["st-bert st-anna/a Deny", "st-bert st-bert/a Deny"]);
  });

  test("gives each tenant that is named its own topics and none of the other's", () => {
    assert.deepEqual(effects(`tenants: { st-anna: {}, st-bert: {} }\n${rules}`), [
      "st-anna st-anna/a Permit",
      "st-anna st-bert/a Deny",
      "st-bert st-anna/a Deny",
      "st-bert st-bert/a Permit",
    ]);
  });
});
