import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compilePolicy, parsePolicy, provePolicy, standardAssertions } from "../src/index.ts";

const uuid = "00000000-0000-4000-8000-00000000000\\d";
const own = "{org}/{site}/{ward}/device/{id}";
const any = "{org}/+/+/device/+";

/** A role with one rule, and whom it is bound to. */
interface Given {
  readonly role: string;
  readonly to: string;
  readonly publish?: string | object;
  readonly subscribe?: string;
}

interface Row {
  readonly broken: Given;
  /** What the topic of the counter-example looks like. */
  readonly topic: string;
  /** As little different as can be, and allowed. */
  readonly neighbour: Given;
}

const [analytics, tool, board] = ["analytics", "tool", "board"].map((role) => ({
  role,
  to: `service:${role}`,
})) as [Given, Given, Given];
const devices = { role: "monitor", to: "device:*" };

const rows: Readonly<Record<string, Row>> = {
  "firmware-command": {
    broken: { ...tool, publish: `${any}/firmware/command` },
    topic: `.+/device/${uuid}/firmware/command`,
    neighbour: { role: "updater", to: "service:tool", publish: `${any}/firmware/command` },
  },
  "analytics-control": {
    broken: { ...analytics, publish: `${any}/config` },
    topic: `.+/device/${uuid}/config`,
    neighbour: { ...tool, publish: `${any}/config` },
  },
  "analytics-reads-control": {
    broken: { ...analytics, subscribe: `${any}/+` },
    topic: `.+/device/${uuid}/(command|config)`,
    neighbour: { ...analytics, subscribe: `${any}/telemetry` },
  },
  "separate-places": {
    broken: { ...devices, publish: "{org}/{site}/+/aggregate/load" },
    topic: ".+/aggregate/load",
    neighbour: { ...devices, publish: "{org}/{site}/{ward}/aggregate/load" },
  },
  "own-id": {
    broken: { ...devices, publish: "{org}/{site}/{ward}/device/+/alarm" },
    topic: `.+/device/${uuid}/alarm`,
    neighbour: { ...devices, publish: `${own}/alarm` },
  },
  "system-topics": {
    broken: { ...board, subscribe: "$SYS/#" },
    topic: "\\$SYS(/.*)?",
    neighbour: { role: "operator", to: "service:board", subscribe: "$SYS/#" },
  },
  "telemetry-retained": {
    broken: { ...devices, publish: { filter: `${own}/+`, retain: "allowed" } },
    topic: `.+/device/${uuid}/telemetry`,
    neighbour: { ...devices, publish: { filter: `${own}/config`, retain: "allowed" } },
  },
};

function policyOf({ role, to, publish, subscribe }: Given) {
  const rules = {
    publish: publish === undefined ? [] : [publish],
    subscribe: subscribe === undefined ? [] : [subscribe],
  };
  return parsePolicy(JSON.stringify({ roles: { [role]: rules }, bindings: [{ role, to }] }));
}

describe("a standard assertion", () => {
  for (const { id, summary } of standardAssertions) {
    const row = rows[id];
    test(`${id}, ${summary}, is refuted by a topic that the policy permits`, () => {
      assert.ok(row, `${id} has no row`);
      const policy = policyOf(row.broken);
      const refutedBy = (one: typeof policy) =>
        provePolicy(one).filter(({ assertion }) => assertion === id);
      const found = refutedBy(policy);
      assert.notEqual(found.length, 0);
      const { topic = "", subjects = [] } = found[0]?.witness ?? {};
      assert.match(topic, new RegExp(`^${row.topic}$`));
      assert.notEqual(subjects.length, 0);
      for (const subject of subjects) {
        const rights = compilePolicy(policy).rightsOf(subject);
        const permitted: string[] = [
          rights.decidePublish(topic).effect,
          rights.decideReceive(topic).effect,
        ];
        const [asked]: string[] =
          row.broken.publish === undefined ? permitted.toReversed() : permitted;
        assert.equal(asked, "Permit", `${subject.id} on ${topic}`);
      }
      assert.deepEqual(refutedBy(policyOf(row.neighbour)), []);
    });
  }
});
