import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { BrokerMessage, ShadowCounts } from "@wardmq/feed";
import { compilePolicy, parsePolicy } from "@wardmq/policy";
import { PolicyWatch } from "../src/enforcement/policy-watch.ts";
import { ShadowTrial } from "../src/enforcement/shadow-trial.ts";
import { SubjectState } from "../src/enforcement/subjects.ts";
import { BrokerParts } from "./broker-parts.ts";

const uuid = "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";
const own = `hospital/north/icu/device/${uuid}`;
const policyOf = (publish: string, more = "") => `roles:
  device:
    publish: [${publish}]
    subscribe: ["{org}/{site}/{ward}/device/{id}/command"]
bindings:
  - { role: device, to: "device:*" }
${more}`;
const inForce = policyOf(
  '"{org}/{site}/{ward}/device/{id}/alarm", "{org}/{site}/{ward}/device/{id}/telemetry"',
);
const never = Number.POSITIVE_INFINITY;

function trialOf(text: string, until = never) {
  const policy = compilePolicy(parsePolicy(text));
  return new ShadowTrial({ id: "a", policy, until, shown: (topic) => topic });
}

/** Broker parts under the policy in force, with another one on trial. */
function watched(text: string, until = never) {
  const parts = new BrokerParts({ policy: inForce });
  const { watch } = parts.enforcement;
  const subject = parts.device(uuid);
  watch.use(trialOf(text, until));
  const told: BrokerMessage[] = [];
  const tell = () => watch.tell((message) => told.push(message) > 0);
  const counts = (): Omit<ShadowCounts, "id"> | undefined => {
    tell();
    const last = told.findLast((one) => one.type === "shadow-counts");
    told.length = 0;
    if (last === undefined) return undefined;
    const { type: _, id: __, ...rest } = last;
    return rest;
  };
  return { parts, watch, subject, told, tell, counts };
}

describe("a policy on trial", () => {
  test("changes no decision, and tells each one that it would make otherwise by what is alike", () => {
    const { parts, subject, counts } = watched(
      policyOf(
        '"{org}/{site}/{ward}/device/{id}/telemetry", "{org}/{site}/{ward}/device/{id}/config"',
      ),
    );
    const { enforcement } = parts;
    const effects = ["alarm", "alarm", "config", "telemetry"].map(
      (channel) => enforcement.decidePublish(subject, `${own}/${channel}`).effect,
    );
    assert.deepEqual(effects, ["Permit", "Permit", "Deny", "Permit"]);
    const example = (channel: string) => ({
      subject: `device:${uuid}`,
      topic: `${own}/${channel}`,
    });
    assert.deepEqual(counts(), {
      decisions: 4,
      uncounted: 0,
      differences: [
        {
          act: "publish",
          kind: "device",
          topic: "{org}/{site}/{ward}/device/{id}/alarm",
          inForce: { effect: "Permit", ruleId: "device/publish[0]" },
          onTrial: { effect: "Deny" },
          count: 2,
          example: example("alarm"),
        },
        {
          act: "publish",
          kind: "device",
          topic: "{org}/{site}/{ward}/device/{id}/config",
          inForce: { effect: "Deny" },
          onTrial: { effect: "Permit", ruleId: "device/publish[1]" },
          count: 1,
          example: example("config"),
        },
      ],
    });
    assert.equal(counts(), undefined);
  });

  test("is told of other terms, and says nothing where only ids of rules differ", () => {
    const { parts, subject, counts } = watched(
      policyOf(
        '"{org}/{site}/{ward}/device/{id}/telemetry", { filter: "{org}/{site}/{ward}/device/{id}/alarm", qos: 1 }',
      ),
    );
    parts.enforcement.decidePublish(subject, `${own}/telemetry`);
    parts.enforcement.decidePublish(subject, `${own}/alarm`);
    const { decisions, differences } = counts() ?? assert.fail();
    assert.equal(decisions, 2);
    assert.deepEqual(
      differences.map(({ inForce: former, onTrial }) => [former.terms, onTrial.terms]),
      [["QoS 2", "QoS 1"]],
    );
  });

  test("ends at its time", () => {
    const over = watched(policyOf('"{org}/deid/x"'), 1);
    over.parts.enforcement.decidePublish(over.subject, `${own}/alarm`);
    assert.equal(over.counts(), undefined);
    const runs = watched(policyOf('"{org}/deid/x"'));
    runs.parts.enforcement.decidePublish(runs.subject, `${own}/alarm`);
    assert.equal(runs.counts()?.differences.length, 1);
  });

  test("that fails is dropped, and the decision stays", () => {
    const failed: unknown[] = [];
    const watch = new PolicyWatch((error) => failed.push(error));
    const trial = trialOf(inForce);
    trial.look = () => {
      throw new Error("broken");
    };
    watch.use(trial);
    const parts = new BrokerParts({ policy: inForce });
    const subject = parts.device(uuid);
    const rights = compilePolicy(parsePolicy(inForce)).rightsOf(subject.record);
    const decision = rights.decidePublish(`${own}/alarm`);
    for (let i = 0; i < 2; i += 1) {
      watch.look(subject, rights, "decidePublish", `${own}/alarm`, decision, 0);
    }
    assert.equal(failed.length, 1);
  });

  test("counts at most so many kinds of differences, and how many there was no room for", () => {
    const { parts, subject, counts } = watched(
      `${policyOf('"{org}/deid/x"')}topics: { schema: off }\n`,
    );
    for (let i = 0; i < 600; i += 1) parts.enforcement.decidePublish(subject, `x/${i}`);
    const none = counts() ?? assert.fail();
    assert.equal(none.differences.length, 0, "both deny what neither knows");
    parts.usePolicy(`${policyOf('"x/#"')}topics: { schema: off }\n`);
    for (let i = 0; i < 600; i += 1) parts.enforcement.decidePublish(subject, `x/${i}`);
    const { differences, uncounted } = counts() ?? assert.fail();
    assert.equal(differences.length, 500);
    assert.equal(uncounted, 100);
  });

  test("follows the roles of a token, and the record of a subject that changes", () => {
    const { parts, counts } = watched(policyOf('"{org}/north/{ward}/device/{id}/alarm"'));
    const subject = parts.device(uuid);
    parts.enforcement.decidePublish(subject, `${own}/alarm`);
    assert.equal(counts()?.differences.length, 0);
    subject.record = {
      ...subject.record,
      attributes: { ...subject.record.attributes, site: "south" },
    };
    subject.rights = undefined;
    parts.enforcement.decidePublish(subject, `hospital/south/icu/device/${uuid}/alarm`);
    assert.equal(counts()?.differences.length, 1);
  });

  test("is not asked about a subject in quarantine", () => {
    const { parts, counts } = watched(policyOf('"{org}/deid/x"'));
    const { record } = parts.device(uuid);
    const subject = new SubjectState({ ...record, state: "quarantined" });
    parts.enforcement.decidePublish(subject, `${own}/alarm`);
    assert.equal(counts(), undefined);
  });
});

describe("rules in use", () => {
  test("are told once until they are forgotten, and again where control did not take them", () => {
    const { parts, watch, subject } = watched(inForce);
    const told: string[][] = [];
    const tell = (takes: boolean) => {
      watch.tell((message) => {
        if (message.type === "rules-used") told.push([...message.rules]);
        return takes;
      });
    };
    const { enforcement } = parts;
    enforcement.decidePublish(subject, `${own}/alarm`);
    enforcement.decidePublish(subject, `${own}/config`);
    enforcement.decideReceive(subject, `${own}/command`);
    tell(false);
    tell(true);
    tell(true);
    const both = ["device/publish[0]", "device/subscribe[0]"];
    assert.deepEqual(told, [both, both]);
    enforcement.decidePublish(subject, `${own}/alarm`);
    tell(true);
    assert.equal(told.length, 2);
    watch.rules.forget();
    enforcement.decidePublish(subject, `${own}/alarm`);
    tell(true);
    assert.deepEqual(told.at(-1), ["device/publish[0]"]);
  });

  test("are all that allow something, and the deny rule that denies it", () => {
    const text = `${policyOf('"{org}/{site}/{ward}/device/{id}/+", "{org}/{site}/{ward}/device/{id}/alarm"')}deny:
  - { publish: ["{org}/+/+/device/+/config"], reason: x }
`;
    const parts = new BrokerParts({ policy: text });
    const subject = parts.device(uuid);
    parts.enforcement.decidePublish(subject, `${own}/alarm`);
    parts.enforcement.decidePublish(subject, `${own}/config`);
    const told: string[] = [];
    parts.enforcement.watch.rules.tell((rules) => told.push(...rules) > 0);
    assert.deepEqual(told.sort(), ["deny[0]/publish[0]", "device/publish[0]", "device/publish[1]"]);
  });
});
