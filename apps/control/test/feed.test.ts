import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { FeedBody, SubjectRecord } from "@wardmq/feed";
import { defaultPolicyText } from "@wardmq/policy";
import { newDevice } from "../src/commands/subject-acts.ts";
import {
  eventually,
  FakeBroker,
  inForce,
  newDeployment,
  newKey,
  oneShot,
  openRegistry,
  RunningControl,
  requestFor,
  type TestFolder,
  wards,
} from "./control-under-test.ts";

const applied = (version: number) =>
  ({
    type: "applied",
    version,
    connectionsClosed: 1,
    sessionsEnded: 1,
    messagesWithheld: 0,
    milliseconds: 2.5,
  }) as const;

/** Confirms whatever comes. */
const confirm = (body: FeedBody, broker: FakeBroker) => {
  if (body.type !== "alive") broker.say(applied(body.version));
};

const subjectsOf = (body: FeedBody | undefined): readonly SubjectRecord[] =>
  body !== undefined && "subjects" in body ? body.subjects : [];

/** Puts many devices into the registry of a deployment. */
function fill(folder: TestFolder, count: number): void {
  const registry = openRegistry(folder);
  const devices = Array.from({ length: count }, (_, i) =>
    newDevice(registry, { ...wards, id: `00000000-0000-4000-8000-${`${i}`.padStart(12, "0")}` }),
  );
  registry.addSubjects(devices, { actor: "test", at: 0 });
  registry.close();
}

describe("the feed", () => {
  test("is signed: with another key nothing of it is taken", async () => {
    using folder = await newDeployment();
    await using control = await RunningControl.start(folder.deployment);
    using broker = new FakeBroker(
      control.directory,
      () => {},
      generateKeyPairSync("ed25519").publicKey,
    );
    broker.say({ type: "hello" });
    await eventually(() => broker.refusal !== undefined);
    assert.match(String(broker.refusal), /signature/);
    assert.deepEqual(broker.heard, []);
  });

  test("says nothing to a broker that does not begin with hello", async () => {
    using folder = await newDeployment();
    await using control = await RunningControl.start(folder.deployment);
    for (const line of [
      '{"type":"applied","version":1,"connectionsClosed":0,"milliseconds":0}\n',
      "nonsense\n",
      "{}\n",
    ]) {
      using broker = new FakeBroker(control.directory);
      broker.socket.write(line);
      await eventually(() => broker.socket.destroyed);
      assert.deepEqual(broker.heard, []);
    }
    assert.match(control.said, /rules of the feed/);
  });

  test("begins with the whole world", async () => {
    using folder = await newDeployment(["localhost", "mqtt.hospital.example"]);
    await using control = await RunningControl.start(
      folder.deployment,
      "--set",
      "limits.connections=123",
    );
    const { id } = await control.result("device.add", wards);
    using broker = new FakeBroker(control.directory);
    broker.say({ type: "hello" });
    await eventually(() => broker.heard.length > 0);
    const [first] = broker.heard;
    assert.ok(first?.type === "snapshot");
    const { settings, trustAnchors, policy } = first.world;
    assert.deepEqual(settings.hosts, ["localhost", "mqtt.hospital.example"]);
    assert.equal(settings.limits.connections, 123);
    assert.deepEqual(trustAnchors, [readFileSync(folder.in("control/issuing-ca.pem"), "utf8")]);
    assert.deepEqual(policy, inForce(defaultPolicyText()));
    assert.deepEqual(
      first.subjects.map((subject) => subject.id),
      [id],
    );
  });

  test("tells of a revocation after it is recorded, and the operator hears what brokers did", async () => {
    using folder = await newDeployment();
    await using control = await RunningControl.start(folder.deployment);
    await control.result("service.add", { name: "dashboard" });
    const certificateRequest = await requestFor(newKey());
    await control.result("credential", { subject: "service:dashboard", certificateRequest });
    let stateWhenTold: string | undefined;
    using broker = new FakeBroker(control.directory, (body) => {
      if (body.type === "alive") return;
      const isRevoked = subjectsOf(body)[0]?.state === "revoked";
      if (!isRevoked) return broker.say(applied(body.version));
      void control.result("list", {}).then(({ subjects }) => {
        stateWhenTold = subjects[0]?.state;
        broker.say(applied(body.version));
      });
    });
    broker.say({ type: "hello" });
    await eventually(() => broker.heard.length > 0);
    const { brokers, certificatesRevoked, unconfirmed } = await control.result("revoke", {
      subject: "service:dashboard",
    });
    assert.equal(stateWhenTold, "revoked");
    assert.deepEqual(
      brokers.map(({ connectionsClosed, milliseconds }) => [connectionsClosed, milliseconds]),
      [[1, 2.5]],
    );
    assert.equal(certificatesRevoked, 1);
    assert.equal(unconfirmed, undefined);
    const [told] = subjectsOf(broker.news.at(-1));
    assert.deepEqual(
      told?.certificates.map(({ state }) => state),
      ["revoked"],
    );
  });

  test("says how many brokers did not confirm a revocation: silent, refusing, or gone", async () => {
    using folder = await newDeployment();
    await using control = await RunningControl.start(folder.deployment);
    await control.result("service.add", { name: "dashboard" });
    using silent = new FakeBroker(control.directory);
    using refusing = new FakeBroker(control.directory, ({ type, version }, broker) => {
      if (type === "change") broker.say({ type: "refused", version, why: "no" });
    });
    using leaving = new FakeBroker(control.directory, ({ type }, broker) => {
      if (type === "change") broker.socket.destroy();
    });
    using good = new FakeBroker(control.directory, confirm);
    const all = [silent, refusing, leaving, good];
    for (const broker of all) broker.say({ type: "hello" });
    await eventually(() => all.every(({ heard }) => heard.length > 0));
    const { brokers, unconfirmed } = await control.result("revoke", {
      subject: "service:dashboard",
    });
    assert.equal(brokers.length, 1);
    assert.equal(unconfirmed, 3);
  });

  test("answers a credential after brokers know the certificate", async () => {
    using folder = await newDeployment();
    await using control = await RunningControl.start(folder.deployment);
    await control.result("service.add", { name: "dashboard" });
    using broker = new FakeBroker(control.directory, confirm);
    broker.say({ type: "hello" });
    await eventually(() => broker.heard.length > 0);
    const certificateRequest = await requestFor(newKey());
    const { certificate } = await control.result("credential", {
      subject: "service:dashboard",
      certificateRequest,
    });
    const { serialNumber: _, ...told } = certificate;
    assert.deepEqual(subjectsOf(broker.news.at(-1))[0]?.certificates, [told]);
  });

  test("goes on where a broker left it", async () => {
    using folder = await newDeployment();
    await using control = await RunningControl.start(folder.deployment);
    const add = (name: string) => control.result("service.add", { name });
    using first = new FakeBroker(control.directory);
    first.say({ type: "hello" });
    await eventually(() => first.heard.length > 0);
    await add("a");
    await eventually(() => first.news.length === 2);
    first.socket.destroy();
    const { lineage = "", version = 0 } = first.news[1] ?? {};
    await add("b");
    await add("c");
    using second = new FakeBroker(control.directory);
    second.say({ type: "hello", lineage, version });
    await eventually(() => second.heard.some(({ type }) => type === "alive"));
    assert.deepEqual(
      second.news.map((body) => [body.type, body.version, subjectsOf(body)[0]?.id]),
      [
        ["change", version + 1, "service:b"],
        ["change", version + 2, "service:c"],
      ],
    );
    await add("d");
    await eventually(() => second.news.length === 3);
    assert.equal(second.news[2]?.version, version + 3);
  });

  for (const [name, stand] of [
    ["comes from another lineage", { lineage: "ab", version: 1 }],
    ["is ahead of control", { version: 99 }],
  ] as const) {
    test(`gives a snapshot to a broker that ${name}`, async () => {
      using folder = await newDeployment();
      await using control = await RunningControl.start(folder.deployment);
      using asking = new FakeBroker(control.directory);
      asking.say({ type: "hello" });
      await eventually(() => asking.heard.length > 0);
      using broker = new FakeBroker(control.directory);
      broker.say({ type: "hello", lineage: asking.heard[0]?.lineage ?? "", ...stand });
      await eventually(() => broker.heard.length > 0);
      assert.equal(broker.heard[0]?.type, "snapshot");
    });
  }

  test("is another lineage after control was started again", async () => {
    using folder = await newDeployment();
    const lineages: string[] = [];
    for (const _ of [1, 2]) {
      await using control = await RunningControl.start(folder.deployment);
      using broker = new FakeBroker(control.directory);
      broker.say({ type: "hello" });
      await eventually(() => broker.heard.length > 0);
      lineages.push(broker.heard[0]?.lineage ?? "");
    }
    assert.notEqual(lineages[0], lineages[1]);
  });

  test("records a broker's events, made safe, and none that only control may say", async () => {
    using folder = await newDeployment();
    await using control = await RunningControl.start(folder.deployment);
    using broker = new FakeBroker(control.directory);
    broker.say({ type: "hello" });
    await eventually(() => broker.heard.length > 0);
    const events = [
      { type: "subject-revoked-by", at: 1, subject: "service:forged" },
      { type: "certificate-issued", at: 1 },
      { type: "bogus", at: 1 },
      { type: "constructor", at: 1 },
      null,
      7,
      { type: "connected" },
      { type: "internal-error", at: Number.MAX_SAFE_INTEGER }, // no date: printing it would throw
      {
        type: "publish-denied",
        at: 5,
        topic: "a\u001b[31m\u202eb",
        payload: "patient",
        count: "x",
        listener: "tcp",
      },
      {
        type: "connected",
        at: 6,
        subject: "device:x",
        details: { version: 5, nested: {}, "a b": 1 },
      },
    ];
    broker.say({ type: "events", events });
    const recorded = async () => (await control.result("events", { last: 100 })).events;
    for (let tries = 0; (await recorded()).length < 2 && tries < 1000; tries += 1);
    assert.deepEqual(await recorded(), [
      { type: "publish-denied", at: 5, topic: "a\\u{1b}[31m\\u{202e}b" },
      { type: "connected", at: 6, subject: "device:x", details: { version: 5 } },
    ]);
    await eventually(() => control.said.includes("publish-denied"));
    assert.match(control.said, /warning publish-denied: .* topic=a\\u\{1b\}/);
    assert.doesNotMatch(control.said, /connected/);
    const written = readFileSync(folder.in("control/events.sealed"), "utf8");
    assert.doesNotMatch(written, /patient|forged|publish|device/);
  });

  test("carries ten thousand subjects in one snapshot", async () => {
    using folder = await newDeployment();
    const count = 10_000;
    fill(folder, count);
    await using control = await RunningControl.start(folder.deployment);
    using broker = new FakeBroker(control.directory);
    broker.say({ type: "hello" });
    await eventually(() => broker.heard.some(({ type }) => type === "snapshot"));
    assert.equal(broker.heard.flatMap(subjectsOf).length, count);
  });

  test("knows what was done on the files while control was away", async () => {
    using folder = await newDeployment();
    await oneShot(folder.deployment, "service.add", { name: "dashboard" });
    await oneShot(folder.deployment, "revoke", { subject: "service:dashboard" });
    await using control = await RunningControl.start(folder.deployment);
    using broker = new FakeBroker(control.directory);
    broker.say({ type: "hello" });
    await eventually(() => broker.heard.length > 0);
    assert.deepEqual(
      subjectsOf(broker.heard[0]).map(({ state }) => state),
      ["revoked"],
    );
  });
});
