import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { SecurityEvent } from "@wardmq/events";
import { KeyFile, KeyProviders, keyEnvironment, readKeyFile } from "@wardmq/keys";
import { KeyRing, newDataKey } from "@wardmq/sealing";
import { Failure } from "../src/failure.ts";
import { sealedStateFile } from "../src/files.ts";
import { openPending } from "../src/pending/pending.ts";
import { newDeployment, oneShot, RunningControl, TestFolder } from "./control-under-test.ts";

describe("rekeying the state", () => {
  for (const [how, whileServing] of [
    ["while control serves", true],
    ["while nothing runs", false],
  ] as const) {
    test(`${how} keeps every event, destroys the former key, and records that`, async () => {
      using folder = await newDeployment();
      const former = keysOf(folder)[0]?.id ?? "";
      await oneShot(folder.deployment, "service.add", { name: "dashboard" });
      const rekeyed = async () => {
        if (!whileServing) return await oneShot(folder.deployment, "state.rekey", {});
        await using control = await RunningControl.start(folder.deployment);
        const response = await control.ask("state.rekey", {});
        await control.result("service.add", { name: "later" });
        return response;
      };
      const response = await rekeyed();
      assert.ok(response.ok, JSON.stringify(response));
      const { current, destroyed } = response.result as { current: string; destroyed: string[] };
      assert.deepEqual(destroyed, [former]);
      assert.deepEqual(
        keysOf(folder).map(({ id, state }) => [id, state]),
        [
          [current, "current"],
          [former, "destroyed"],
        ],
      );
      const listed = await oneShot(folder.deployment, "events", { last: 10 });
      assert.ok(listed.ok);
      const { events } = listed.result as { events: SecurityEvent[] };
      const types = events.map(({ type }) => type);
      assert.deepEqual(
        types.filter((type) => type === "subject-added").length,
        whileServing ? 2 : 1,
      );
      const told = events.find(({ type }) => type === "state-key-destroyed");
      assert.equal(told?.details?.["keyId"], former);
    });
  }

  test("keeps the versions of the policy, and codes and approvals that wait", async () => {
    using folder = await newDeployment();
    const providers = new KeyProviders(keyEnvironment({}));
    const keys = KeyFile.open(folder.in("control/keys.json"), "control", providers);
    const pending = openPending(folder.in("control/pending.sealed.db"), keys);
    const wanted = { command: "operator.add", arguments: { name: "bob", role: "viewer" } } as const;
    const { id } = pending.approvals.request(wanted, { actor: "operator:alice", at: Date.now() });
    pending.close();
    await using control = await RunningControl.start(folder.deployment);
    await control.result("state.rekey", {});
    assert.equal((await control.result("approvals.list", {})).approvals[0]?.id, id);
    assert.equal((await control.result("policy.versions", {})).versions.length, 1);
  });

  test("twice at once leaves one key, and everything readable", async () => {
    using folder = await newDeployment();
    await oneShot(folder.deployment, "service.add", { name: "dashboard" });
    await using control = await RunningControl.start(folder.deployment);
    const [one, two] = await Promise.all([
      control.result("state.rekey", {}),
      control.result("state.rekey", {}),
    ]);
    const destroyed = [...one.destroyed, ...two.destroyed];
    assert.equal(new Set(destroyed).size, 2);
    const [current, ...former] = keysOf(folder);
    assert.equal(current?.state, "current");
    assert.ok(former.every(({ state }) => state === "destroyed"));
    const { events } = await control.result("events", { last: 10 });
    assert.ok(JSON.stringify(events).includes("subject-added"));
    assert.equal((await control.result("list", {})).subjects.length, 1);
  });

  const keysOf = (folder: TestFolder) => readKeyFile(folder.in("control/keys.json")).keys;
});

describe("a sealed file of control", () => {
  const key = newDataKey();
  const ring = new KeyRing([key], key.id);
  const place = ring.at({ purpose: "control", store: "1", table: "file" });

  test("is refused in a sentence when a bit of it differs", () => {
    using folder = new TestFolder();
    const path = `${folder.path}/file`;
    const file = sealedStateFile(path, place);
    file.write("text");
    const bytes = readFileSync(path);
    bytes[30] = (bytes[30] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    assert.throws(
      () => file.read(),
      (error) => error instanceof Failure && error.code === "ERR_STATE",
    );
  });

  test("gives what was written, also after it was sealed anew, and nothing before that", async () => {
    using folder = new TestFolder();
    const path = `${folder.path}/file`;
    const file = sealedStateFile(path, place);
    assert.equal(file.read(), undefined);
    await file.reseal();
    file.write("text");
    const before = readFileSync(path);
    await file.reseal();
    assert.notDeepEqual(readFileSync(path), before);
    assert.equal(sealedStateFile(path, place).read(), "text");
  });
});
