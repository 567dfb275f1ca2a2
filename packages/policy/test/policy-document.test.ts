import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  attributes,
  checkPolicy,
  compilePolicy,
  PolicyError,
  parsePolicy,
  policyChecks,
  policyLimits,
} from "../src/index.ts";
import { device, service, uuid } from "./world.ts";

const document = readFileSync(join(import.meta.dirname, "../../../docs/policy.md"), "utf8");
const examples = [...document.matchAll(/```yaml\n(.*?)```/gs)].map(([, text]) => text ?? "");

/** The cells of a table's rows, found by its head. */
function table(...head: readonly string[]): readonly (readonly string[])[] {
  const lines = document.split("\n");
  const start = lines.indexOf(`| ${head.join(" | ")} |`);
  assert.notEqual(start, -1, `the table ${head.join(", ")} is missing`);
  const rows = lines.slice(start + 2);
  return rows
    .slice(
      0,
      rows.findIndex((line) => !line.startsWith("|")),
    )
    .map((line) => line.slice(2, -2).split(" | "));
}

describe("docs/policy.md", () => {
  test("has examples that are policies without findings", () => {
    assert.equal(examples.length, 3);
    for (const example of examples)
      assert.deepEqual(checkPolicy(parsePolicy(example)), [], example);
  });

  test("has a first example that allows nothing and a second that does what is said of it", () => {
    const [nothing = "", ward = ""] = examples;
    const own = `st-anna/main/icu-1/device/${uuid}`;
    const denied = compilePolicy(parsePolicy(nothing)).rightsOf(device());
    assert.equal(denied.decidePublish(`${own}/alarm`).effect, "Deny");
    const policy = compilePolicy(parsePolicy(ward));
    assert.equal(policy.rightsOf(device()).decidePublish(`${own}/alarm`).effect, "Permit");
    assert.equal(policy.rightsOf(device()).decideSubscribe(`${own}/alarm`).effect, "Deny");
    const dashboard = policy.rightsOf(service("dashboard"));
    assert.equal(dashboard.decideSubscribe("st-anna/main/+/device/+/alarm").effect, "Permit");
    assert.equal(dashboard.decideSubscribe("st-anna/#").effect, "Deny");
  });

  test("lists the filters that are refused with what is said of them", () => {
    for (const [filter = "", because = ""] of table("Refused filter", "Expected")) {
      const text = `roles: { r: { subscribe: [${filter.slice(1, -1)}] } }`;
      assert.throws(
        () => parsePolicy(text),
        (error) => error instanceof PolicyError && error.message.includes(`expected ${because}`),
        filter,
      );
    }
  });

  test("lists the attributes as they are", () => {
    assert.deepEqual(
      table("Attribute", "Device", "Service", "Value"),
      Object.entries(attributes).map(([name, row]) => [
        `\`{${name}}\``,
        row.device,
        row.service,
        row.summary,
      ]),
    );
  });

  test("lists the limits as they are", () => {
    const { fileBytes, rules, filterBytes, filterLevels } = policyLimits;
    const whole = `A policy has at most ${fileBytes} bytes and ${rules} rules`;
    const each = `a filter has at most ${filterBytes} bytes and ${filterLevels} levels`;
    assert.ok(document.includes(`${whole}; ${each}.`));
  });

  test("lists the findings as they are", () => {
    assert.deepEqual(
      table("Finding", "Severity", "Meaning"),
      Object.entries(policyChecks).map(([name, row]) => [name, row.severity, row.summary]),
    );
  });
});
