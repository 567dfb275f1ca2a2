import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compilePolicy, type Decision, parsePolicy, type Subject } from "../src/index.ts";

const roles = `roles:
  monitor:
    publish: ["{org}/{site}/{ward}/device/{id}/alarm"]
    subscribe: ["{org}/{site}/{ward}/device/{id}/command"]
`;
const wards = 50;

function device(i: number): Subject {
  const id = `5f0e3b1c-8d2a-4f6e-9b7c-${i.toString(16).padStart(12, "0")}`;
  const attributes = { org: "st-anna", site: "main", ward: `w-${i % wards}`, id };
  return { id: `device:${id}`, kind: "device", attributes };
}

/** The different answers to what each device asks about its own topic: rules that are shared give one and the same. */
function answers(text: string, devices: number): ReadonlySet<Decision> {
  const policy = compilePolicy(parsePolicy(text));
  const found = new Set<Decision>();
  for (let i = 0; i < devices; i += 1) {
    const subject = device(i);
    const { ward, id } = subject.attributes;
    const decision = policy
      .rightsOf(subject)
      .decidePublish(`st-anna/main/${ward}/device/${id}/alarm`);
    assert.equal(decision.effect, "Permit");
    found.add(decision);
  }
  return found;
}

describe("a role", () => {
  test("costs one template, however many devices have it", () => {
    assert.equal(
      answers(`${roles}bindings: [{ role: monitor, to: "device:*" }]\n`, 100_000).size,
      1,
    );
  });

  test("that is narrowed to a place costs one for each value of what narrows it", () => {
    const narrowed = Array.from(
      { length: wards },
      (_, i) => `  - { role: monitor, to: "device:*", where: { ward: w-${i} } }\n`,
    ).join("");
    assert.ok(answers(`${roles}bindings:\n${narrowed}`, 5_000).size <= wards);
  });

  test("is no part of the rights of whoever does not have it", () => {
    const policy = compilePolicy(
      parsePolicy(`${roles}bindings: [{ role: monitor, to: "device:*" }]\n`),
    );
    const { id } = device(1).attributes;
    const service: Subject = {
      id: `service:${id}`,
      kind: "service",
      attributes: device(1).attributes,
    };
    const topic = `st-anna/main/w-1/device/${id}/alarm`;
    assert.equal(policy.rightsOf(service).decidePublish(topic).effect, "Deny");
  });
});
