import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SecurityEvent } from "@wardmq/events";
import type { ShadowCounts, WorldChange } from "@wardmq/feed";
import { type PolicyFile, parsePolicy, parsePolicyFiles } from "@wardmq/policy";
import { digestOf } from "../src/policy/policy-files.ts";
import { PolicyTrial } from "../src/policy/policy-trial.ts";
import { RuleUsage } from "../src/policy/rule-usage.ts";

/** A file in memory. */
function memoryFile(text?: string) {
  const held = { text };
  return {
    held,
    read: () => held.text,
    write: (next: string) => {
      held.text = next;
    },
    remove: () => {
      held.text = undefined;
    },
  };
}

const files: readonly PolicyFile[] = [{ name: "policy.yaml", text: "roles: {}\n" }];
const id = digestOf(files);
const doing = { actor: "operator:ann", at: 1_000 };

const inForce = { text: "roles: {}\n" };

function trialIn(file = memoryFile(), at = 1_000) {
  const clock = { now: at };
  const published: Pick<WorldChange, "shadow">[] = [];
  const events: Omit<SecurityEvent, "at">[] = [];
  const trial = new PolicyTrial({
    file,
    now: () => clock.now,
    load: (all) => parsePolicyFiles(all),
    inForce: () => parsePolicy(inForce.text),
    publish: (change) => published.push(change),
    record: (event) => events.push(event),
  });
  return { trial, clock, published, events, file };
}

const difference = {
  act: "publish",
  kind: "device",
  topic: "{org}/x",
  inForce: { effect: "Permit" },
  onTrial: { effect: "Deny" },
  count: 3,
  example: { subject: "device:a", topic: "o/x" },
} as const;
const counts = (changes: Partial<ShadowCounts> = {}): ShadowCounts => ({
  id,
  decisions: 10,
  uncounted: 1,
  differences: [difference],
  ...changes,
});

describe("the trial of a policy", () => {
  test("adds up what brokers count, and takes nothing that is of another policy", () => {
    const { trial } = trialIn();
    trial.hear(counts());
    assert.deepEqual(trial.status(), { state: "none" });
    trial.start(files, 60, "x", doing);
    trial.hear(counts({ id: "0".repeat(64) }));
    trial.hear(counts());
    trial.hear(
      counts({ differences: [difference, { ...difference, topic: "{org}/y", count: 9 }] }),
    );
    const { trial: kept } = trial.status();
    assert.deepEqual([kept?.decisions, kept?.uncounted], [20, 2]);
    assert.deepEqual(
      kept?.differences.map(({ topic, count }) => [topic, count]),
      [
        ["{org}/y", 9],
        ["{org}/x", 6],
      ],
    );
    trial.close();
  });

  test("outlives control with its counts, and ends in its time", () => {
    const before = trialIn();
    before.trial.start(files, 60, "x", doing);
    before.trial.hear(counts());
    before.trial.close();
    const { trial, clock, published, events } = trialIn(memoryFile(before.file.held.text), 30_000);
    assert.equal(trial.forBrokers()?.id, id);
    assert.equal(trial.status().trial?.decisions, 10);
    clock.now = 61_000;
    assert.equal(trial.forBrokers(), undefined);
    assert.equal(trial.status().state, "ended");
    assert.equal(trial.status().trial?.endedAt, 61_000);
    assert.deepEqual(published, [{ shadow: null }]);
    assert.deepEqual(
      events.map(({ type }) => type),
      ["policy-trial-ended"],
    );
    trial.hear(counts());
    assert.equal(trial.status().trial?.decisions, 10);
    trial.close();
  });

  test("counts anew when another policy comes into force, and is over when it is that itself", () => {
    const { trial, clock } = trialIn();
    trial.start(files, 60, "x", doing);
    trial.hear(counts());
    clock.now = 5_000;
    trial.inForce("1".repeat(64));
    const { state, trial: kept } = trial.status();
    assert.deepEqual([state, kept?.decisions, kept?.countedSince], ["running", 0, 5_000]);
    trial.inForce(id);
    assert.equal(trial.status().state, "ended");
    trial.close();
  });

  test("names what of the change it does not try, against the policy in force at the time", () => {
    const { trial } = trialIn();
    const text = `roles: { pump: { limits: { connections: 1 }, publish: ["{org}/deid/a"] } }
phi: { mode: warn }
claims: [{ issuer: i, claim: groups, value: nurses, role: pump }]
topics: { commands: [] }
`;
    const started = trial.start([{ name: "policy.yaml", text }], 60, "x", doing);
    assert.deepEqual(started.trial?.untried, [
      "topics.commands: now none",
      "claims: now tokens of i with groups = nurses have the role pump",
      "roles.pump.limits.connections: now 1",
      "phi.mode: now warn",
    ]);
    inForce.text = text.replace("connections: 1", "connections: 2");
    trial.inForce("1".repeat(64));
    inForce.text = "roles: {}\n";
    assert.deepEqual(trial.status().trial?.untried, ["roles.pump.limits.connections: 1, was 2"]);
    trial.close();
  });

  test("keeps a bounded number of kinds of differences", () => {
    const { trial } = trialIn();
    trial.start(files, 60, "x", doing);
    for (let i = 0; i < 5; i += 1) {
      const many = Array.from({ length: 500 }, (_, n) => ({ ...difference, topic: `${i}/${n}` }));
      trial.hear(counts({ differences: many, uncounted: 0 }));
    }
    const kept = trial.status().trial;
    assert.deepEqual([kept?.differences.length, kept?.uncounted], [2_000, 1_500]);
    trial.close();
  });
});

describe("the use of rules", () => {
  const day = 86_400_000;
  const policy = parsePolicy(
    'roles:\n  r:\n    publish: ["{org}/deid/a", "{org}/deid/b"]\n    subscribe: ["{org}/deid/c"]\n',
  );

  test("is kept by the day, by what rules say and not by where they stand", () => {
    const clock = { now: 10 * day + 5 };
    const file = memoryFile();
    const usage = new RuleUsage({ file, now: () => clock.now });
    usage.follow(policy);
    clock.now = 12 * day + 7;
    usage.used(["r/publish[1]", "deny[0]/publish[0]", "gone/publish[0]", "topics"]);
    const moved = parsePolicy(
      'roles:\n  r:\n    publish: ["{org}/deid/b", "{org}/deid/new"]\n    subscribe: ["{org}/deid/c"]\n',
    );
    usage.follow(moved);
    usage.used(["r/publish[1]"]);
    usage.close();
    const seen = Object.fromEntries(
      new RuleUsage({ file, now: () => clock.now })
        .list()
        .map(({ filter, since, lastUsed = 0 }) => [filter, [since / day, lastUsed / day]]),
    );
    assert.deepEqual(seen, {
      "{org}/deid/a": [10, 0],
      "{org}/deid/b": [10, 12],
      "{org}/deid/c": [10, 0],
      "{org}/deid/new": [12, 12],
    });
  });

  test("of a rule that no policy has had for long is forgotten, and of others it is not", () => {
    const clock = { now: 10 * day };
    const usage = new RuleUsage({ file: memoryFile(), now: () => clock.now });
    usage.follow(policy);
    clock.now = 300 * day;
    usage.used(["r/publish[1]"]);
    clock.now = 500 * day;
    usage.follow(parsePolicy('roles:\n  r:\n    subscribe: ["{org}/deid/c"]\n'));
    assert.deepEqual(
      usage.list().map(({ filter }) => filter),
      ["{org}/deid/b", "{org}/deid/c"],
    );
    usage.close();
  });
});
