import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { KeyFile, KeyProviders, keyEnvironment, openPrivateKeyFile } from "@wardmq/keys";
import {
  newDeployment,
  oneShot,
  RunningControl,
  runMain,
  type TestFolder,
  uuid,
} from "./control-under-test.ts";
import { plainPendingTables } from "./plain-pending.ts";
import { writePlainRegistry } from "./plain-registry.ts";

const privateKeys = ["control/root-ca.key", "control/issuing-ca.key", "control/feed.key"] as const;
const event = { at: 1, type: "subject-added", subject: "service:ä", details: { actor: "uid:1" } };

/** A deployment as it was when keys, events and registry lay in the clear. */
async function plainDeployment(): Promise<TestFolder> {
  const folder = await newDeployment();
  for (const path of privateKeys) writePlainKey(folder, path);
  for (const part of ["control", "broker"])
    for (const name of ["kek.key", "keys.json"]) rmSync(folder.in(part, name));
  const mode = { mode: 0o600 };
  const older = { ...event, subject: "service:older" };
  writeFileSync(folder.in("control/events.ndjson.1"), `${JSON.stringify(older)}\n`, mode);
  writeFileSync(
    folder.in("control/events.ndjson"),
    `${JSON.stringify(event)}\n{"at":2,"ty\n`,
    mode,
  );
  rmSync(folder.in("control/registry.db"));
  const pem = readFileSync(folder.in("control/issuing-ca.pem"), "utf8");
  const [, base64 = ""] = /-----BEGIN CERTIFICATE-----([^-]*)-----END/.exec(pem) ?? [];
  writePlainRegistry(folder.in("control/registry.db"), 2, Buffer.from(base64, "base64"));
  return folder;
}

function writePlainKey(folder: TestFolder, path: string): void {
  const key = openPrivateKeyFile(folder.in(path), new KeyProviders(keyEnvironment({})));
  writeFileSync(folder.in(path), key.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
}

/** What lies in the clear in folder control. */
const contents = (folder: TestFolder) =>
  readdirSync(folder.in("control"), { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => readFileSync(folder.in("control", name), "latin1"))
    .join("");

describe("a deployment of the time when keys and events lay in the clear", () => {
  test("is served with all that it had, and nothing of it stays in the clear", async () => {
    using folder = await plainDeployment();
    assert.match(contents(folder), /BEGIN PRIVATE KEY/);
    {
      await using control = await RunningControl.start(folder.deployment);
      assert.match(control.said, /lay in the clear: they are wrapped and sealed now/);
      const { subjects } = await control.result("list", {});
      assert.ok(subjects.some(({ id }) => id === `device:${uuid}`));
      const { events } = await control.result("events", { last: 10 });
      assert.deepEqual(events.slice(0, 2), [{ ...event, subject: "service:older" }, event]);
      await control.result("service.add", { name: "later" });
    }
    assert.doesNotMatch(contents(folder), /BEGIN PRIVATE KEY|Hospital_1|uid:1/);
    assert.ok(!existsSync(folder.in("control/events.ndjson")));
    assert.ok(existsSync(folder.in("broker/keys.json")));
    await using again = await RunningControl.start(folder.deployment);
    assert.doesNotMatch(again.said, /in the clear/);
    assert.equal((await again.result("events", { last: 10 })).events.length, 3);
  });

  test("is brought up the rest of the way when that was interrupted before its last step", async () => {
    using folder = await plainDeployment();
    assert.ok((await oneShot(folder.deployment, "list", {})).ok);
    const sealed = readFileSync(folder.in("control/keys.json"), "utf8");
    writePlainKey(folder, "control/feed.key");
    writePlainKey(folder, "control/root-ca.key");
    const listed = await oneShot(folder.deployment, "events", { last: 10 });
    assert.ok(listed.ok, JSON.stringify(listed));
    assert.doesNotMatch(contents(folder), /BEGIN PRIVATE KEY/);
    assert.equal(readFileSync(folder.in("control/keys.json"), "utf8"), sealed);
  });

  test("is not what one of today is taken for that has lost its data keys: it is refused", async () => {
    using folder = await newDeployment();
    rmSync(folder.in("control/keys.json"));
    const response = await oneShot(folder.deployment, "list", {});
    assert.ok(!response.ok);
    assert.equal(response.error.code, "ERR_KEY_FILE");
    assert.match(response.error.hint ?? "", /restore it from a backup/);
    assert.ok(!existsSync(folder.in("control/keys.json")));
  });

  test("has its versions of the policy, what waits and the rotations sealed as well, once", async () => {
    using folder = await newDeployment();
    {
      await using control = await RunningControl.start(folder.deployment);
      await control.result("device.add", { site: "canary-site", ward: "canary-ward" });
    }
    const { policies, ...plain } = layOpen(folder);
    const asked = (["policy.versions", "approvals.list", "fleet.status"] as const)
      .map((command) => `${JSON.stringify({ command, arguments: {} })}\n`)
      .join("")
      .concat(
        `${JSON.stringify({ command: "rotation.status", arguments: { what: "feed-key" } })}\n`,
      );
    const { out, said } = await runMain(["once", folder.deployment], asked);
    assert.match(said, /state of this deployment lay in the clear: it is sealed now/);
    assert.match(
      out,
      /"version":1,.*\n.*"id":"0123456789abcdef".*\n.*"because":"canary-because".*\n.*"step":"staged",.*"actor":"operator:canary"/,
    );
    for (const path of [...policies, ...Object.values(plain)]) assert.ok(!existsSync(path), path);
    assert.doesNotMatch(contents(folder), /canary/);
    const again = await runMain(["once", folder.deployment], asked);
    assert.deepEqual([again.out, again.said], [out, ""]);
  });
});

/** Puts back into the clear what the former version kept so; gives the paths. */
function layOpen(folder: TestFolder) {
  const keys = KeyFile.open(
    folder.in("control/keys.json"),
    "control",
    new KeyProviders(keyEnvironment({})),
  );
  const place = keys.ring.at({ purpose: "control", store: keys.store, table: "policies" });
  const policies = readdirSync(folder.in("control/policies")).map((name) => {
    const sealed = folder.in("control/policies", name);
    const number = Number.parseInt(name, 10);
    const path = sealed.replace(".sealed", ".json");
    writeFileSync(path, place.open(String(number), readFileSync(sealed)));
    rmSync(sealed);
    return path;
  });
  const pending = folder.in("control/pending.db");
  const database = new DatabaseSync(pending);
  database.exec(plainPendingTables);
  database.exec(
    `INSERT INTO approvals VALUES ('0123456789abcdef', 'operator.add', '{"name":"canary"}', 'operator:alice', 1, ${Date.now() + 60_000}, 'waiting', NULL, NULL)`,
  );
  database.close();
  rmSync(folder.in("control/pending.sealed.db"));
  const fleet = folder.in("control/fleet.json");
  const state = {
    because: "canary-because",
    actor: "operator:alice",
    startedAt: 1,
    former: [],
    toldUpTo: "",
    wave: 25,
  };
  writeFileSync(fleet, JSON.stringify(state));
  const rotations = folder.in("control/rotations.json");
  const feedKey = readFileSync(folder.in("broker/feed.pub"), "utf8");
  const detail = { former: feedKey, next: feedKey };
  const entry = { step: "staged", startedAt: 1, actor: "operator:canary", detail };
  writeFileSync(rotations, JSON.stringify({ "feed-key": entry }));
  return { policies, pending, fleet, rotations };
}
