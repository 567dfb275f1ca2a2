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
  parsePolicyFiles,
  policyChecks,
  policyJsonSchema,
  policyReference,
  provePolicy,
  readyMadePolicyText,
  readyMadeRoles,
  runPolicyTests,
  standardAssertions,
} from "../src/index.ts";
import { device, otherUuid, service, uuid } from "./world.ts";

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
    assert.equal(examples.length, 8);
    for (const example of examples) {
      const policy = parsePolicy(example);
      assert.deepEqual(checkPolicy(policy), [], example);
      assert.deepEqual(provePolicy(policy), [], example);
      for (const { passed } of runPolicyTests(policy, 0)) assert.ok(passed, example);
    }
  });

  test("has steps that are the files of one policy, without findings", () => {
    const names = [...document.matchAll(/`DIR\/(policy\/[0-9]-\w+\.yaml)`/g)].map(
      ([, name = ""]) => name,
    );
    assert.equal(names.length, 6);
    const files = names.map((name, i) => ({ name, text: examples[i] ?? "" }));
    const policy = parsePolicyFiles(files);
    assert.deepEqual(checkPolicy(policy), []);
    assert.deepEqual(provePolicy(policy), []);
    assert.deepEqual(
      runPolicyTests(policy, 0).map(({ passed }) => passed),
      [true],
    );
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
      table("Attribute", "Device", "Service", "Person or app", "Value"),
      Object.entries(attributes).map(([name, row]) => [
        `\`{${name}}\``,
        row.device,
        row.service,
        row.token,
        row.summary,
      ]),
    );
  });

  test("lists the findings as they are", () => {
    assert.deepEqual(
      table("Finding", "Severity", "Meaning"),
      Object.entries(policyChecks).map(([name, row]) => [name, row.severity, row.summary]),
    );
  });
});

test("docs/policy-reference.md and docs/policy.schema.json are what npm run docs writes", () => {
  const page = (name: string) =>
    readFileSync(join(import.meta.dirname, "../../../docs", name), "utf8");
  assert.equal(page("policy-reference.md"), policyReference(standardAssertions));
  assert.deepEqual(JSON.parse(page("policy.schema.json")), policyJsonSchema());
});

describe("the ready-made roles", () => {
  const policy = parsePolicy(readyMadePolicyText());

  test("are a policy of which every standard assertion holds", () => {
    assert.deepEqual(provePolicy(policy), []);
    assert.deepEqual(
      policy.roles.map(({ name }) => name),
      readyMadeRoles.map(({ name }) => name),
    );
  });

  test("do each what its name says, and not its neighbour", () => {
    const compiled = compilePolicy(policy);
    const at = (ward: string) => `st-anna/main/${ward}/device/${uuid}`;
    const rows: readonly (readonly [
      name: string,
      act: "publish" | "subscribe",
      may: string,
      mayNot: string,
    ])[] = [
      ["gateway-icu-3", "publish", `${at("icu-3")}/telemetry`, `${at("icu-3")}/command`],
      ["gateway-icu-3", "subscribe", `${at("icu-3")}/command`, `${at("icu-4")}/command`],
      ["pump-control", "publish", `${at("icu-3")}/command`, `${at("icu-4")}/command`],
      ["pump-control", "subscribe", `${at("icu-3")}/command/response`, `${at("icu-3")}/telemetry`],
      ["dashboard", "subscribe", "st-anna/main/icu-3/aggregate/#", `${at("icu-3")}/telemetry`],
      ["analytics", "subscribe", "st-anna/deid/#", "st-anna/main/icu-3/aggregate/#"],
      ["updater", "publish", `${at("icu-3")}/firmware/command`, `${at("icu-3")}/command`],
      ["updater", "subscribe", `${at("icu-3")}/firmware/status`, `${at("icu-3")}/alarm`],
      ["operations", "subscribe", "$SYS/#", `${at("icu-3")}/alarm`],
    ];
    for (const [name, act, may, mayNot] of rows) {
      const rights = compiled.rightsOf(service(name));
      const effect = (topic: string) =>
        (act === "publish" ? rights.decidePublish(topic) : rights.decideSubscribe(topic)).effect;
      assert.deepEqual([effect(may), effect(mayNot)], ["Permit", "Deny"], `${name} ${act} ${may}`);
    }
    const rights = compiled.rightsOf(device());
    for (const channel of [
      "telemetry",
      "alarm",
      "command/response",
      "lifecycle",
      "firmware/status",
    ]) {
      const effect = (id: string) =>
        rights.decidePublish(`st-anna/main/icu-1/device/${id}/${channel}`).effect;
      assert.deepEqual([effect(uuid), effect(otherUuid)], ["Permit", "Deny"], channel);
    }
  });

  test("keep analytics from single devices and the gateway in its ward", () => {
    const compiled = compilePolicy(policy);
    const analytics = compiled.rightsOf(service("analytics"));
    assert.equal(analytics.decideSubscribe("st-anna/deid/#").effect, "Permit");
    assert.equal(analytics.decideSubscribe("st-anna/+/+/device/+/telemetry").effect, "Deny");
    const gateway = compiled.rightsOf(service("gateway-icu-3"));
    const topic = (ward: string) => `st-anna/main/${ward}/device/${uuid}/telemetry`;
    assert.equal(gateway.decidePublish(topic("icu-3")).effect, "Permit");
    assert.equal(gateway.decidePublish(topic("icu-4")).effect, "Deny");
  });

  test("give field service its rights for its time only", () => {
    const compiled = compilePolicy(policy);
    const filter = "st-anna/main/icu-3/device/+/lifecycle";
    const at = (time: string) =>
      compiled.rightsOf(service("acme"), Date.parse(time)).decideSubscribe(filter).effect;
    assert.equal(at("2026-12-01T07:59:59Z"), "Deny");
    assert.equal(at("2026-12-01T08:00:00Z"), "Permit");
    assert.equal(at("2026-12-01T15:59:59Z"), "Permit");
    assert.equal(at("2026-12-01T16:00:00Z"), "Deny");
    assert.equal(compiled.nextChange(0), Date.parse("2026-12-01T08:00:00Z"));
    assert.equal(compiled.rightsOf(service("acme")).decideSubscribe(filter).effect, "Deny");
  });
});
