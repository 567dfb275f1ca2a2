import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createPublicKey, X509Certificate } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { CommandName, Commands } from "@wardmq/commands";
import { KeyProviders, keyEnvironment, openPrivateKeyFile } from "@wardmq/keys";
import {
  eventually,
  newDeployment,
  newKey,
  RunningControl,
  refusal,
  requestFor,
  type TestFolder,
} from "./control-under-test.ts";

let folder: TestFolder;
let control: RunningControl;
before(async () => {
  folder = await newDeployment();
  control = await RunningControl.start(folder.deployment);
});
after(async () => {
  await control.end();
  folder[Symbol.dispose]();
});

const done: RunningControl["result"] = (name, values) => control.result(name, values);

async function refused<Name extends CommandName>(name: Name, values: Commands[Name]["arguments"]) {
  return refusal(await control.ask(name, values));
}

const file = (name: string) => readFileSync(folder.in(name), "utf8");
const split = (pem: string) => pem.split(/(?<=-----END CERTIFICATE-----\n)/);
const certificates = (name: string) => split(file(name));

async function credential(name: string) {
  await done("service.add", { name });
  const certificateRequest = await requestFor(newKey());
  return done("credential", { subject: `service:${name}`, certificateRequest });
}

/** Whether openssl comes from a certificate with its path to one of these roots. */
function verifies(roots: string, chain: string): boolean {
  writeFileSync(folder.in("roots.pem"), roots);
  writeFileSync(folder.in("chain.pem"), chain);
  const words = ["verify", "-CAfile", folder.in("roots.pem"), "-untrusted", folder.in("chain.pem")];
  return spawnSync("openssl", [...words, folder.in("chain.pem")]).status === 0;
}

describe("the rotation of the issuing CA", () => {
  test("can not be undone before it has begun", async () => {
    const { code } = await refused("rotation.undo", { what: "issuing-ca" });
    assert.equal(code, "ERR_ROTATION");
  });

  test("without the key of the root stages nothing", async () => {
    const to = folder.in("../root.key");
    const nowhere = await refused("root-key.remove", { to: folder.in("../nowhere/root.key") });
    assert.match(`${nowhere.message}; ${nowhere.hint}`, /ENOENT; name a new file in a folder/);
    await done("root-key.remove", { to });
    assert.equal(existsSync(folder.in("control/root-ca.key")), false);
    assert.equal((await refused("rotation.step", { what: "issuing-ca" })).code, "ERR_ROOT_KEY");
    assert.equal((await done("rotation.status", { what: "issuing-ca" })).step, "idle");
    const wrong = folder.in("control/issuing-ca.key");
    assert.equal((await refused("root-key.restore", { from: wrong })).code, "ERR_ROOT_KEY");
    await done("root-key.restore", { from: to });
  });

  test("goes from staged to used and back, and nothing is left of what was undone", async () => {
    const before = file("control/issuing-ca.pem");
    assert.equal((await done("rotation.step", { what: "issuing-ca" })).step, "staged");
    const [former, next] = certificates("control/issuing-ca.pem");
    assert.equal(former, before);
    assert.ok(next);
    assert.equal((await done("rotation.step", { what: "issuing-ca" })).step, "used");
    assert.deepEqual(certificates("control/issuing-ca.pem"), [next, former]);
    assert.equal((await done("rotation.undo", { what: "issuing-ca" })).step, "staged");
    assert.equal((await done("rotation.undo", { what: "issuing-ca" })).step, "idle");
    assert.equal(file("control/issuing-ca.pem"), before);
    const id = new X509Certificate(next).subject;
    assert.match(id, /CN=WardMQ issuing CA [0-9a-f]{8}/);
    assert.equal(existsSync(folder.in("control/rotations.sealed")), false);
  });

  test("takes a step that is named once, however often it is asked for, and no other one", async () => {
    const what = "issuing-ca";
    for (const to of ["used", "retired"] as const)
      assert.match((await refused("rotation.step", { what, to })).message, /next step is staged/);
    const stepsTo = async (to: "staged" | "used") =>
      (await done("rotation.step", { what, to })).step;
    assert.deepEqual([await stepsTo("staged"), await stepsTo("staged")], ["staged", "staged"]);
    assert.equal(certificates("control/issuing-ca.pem").length, 2);
    assert.match((await refused("rotation.step", { what, to: "retired" })).message, /is used/);
    assert.deepEqual([await stepsTo("used"), await stepsTo("used")], ["used", "used"]);
    assert.equal(await stepsTo("staged"), "used");
    await done("rotation.undo", { what });
    assert.equal((await done("rotation.undo", { what })).step, "idle");
  });

  test("lets the former one go when nothing it signed is active, and not before", async () => {
    const old = await credential("old");
    await done("rotation.step", { what: "issuing-ca" });
    await done("rotation.step", { what: "issuing-ca" });
    const fresh = await credential("fresh");
    const issuerOf = (chain: string) => new X509Certificate(chain).issuer;
    assert.notEqual(issuerOf(fresh.certificateChain), issuerOf(old.certificateChain));
    assert.ok(verifies(fresh.trustAnchors, fresh.certificateChain));
    const early = await refused("rotation.step", { what: "issuing-ca" });
    assert.equal(early.code, "ERR_ROTATION");
    assert.match(early.message, /1 active certificates/);
    assert.match(early.hint ?? "", /wardmq rotate issuing-ca DIR --undo$/);
    const { waitsFor } = await done("rotation.status", { what: "issuing-ca" });
    assert.match(waitsFor ?? "", /1 active/);
    await done("revoke", { subject: "service:old" });
    assert.equal((await done("rotation.step", { what: "issuing-ca" })).step, "idle");
    assert.equal(certificates("control/issuing-ca.pem").length, 1);
    assert.equal(existsSync(folder.in("control/issuing-ca.key")), false);
    await credential("later");
  });
});

describe("the rotation of the root", () => {
  test("brings who has only the former root to the new one by a cross-certificate", async () => {
    const formerRoot = file("control/root-ca.pem");
    await done("rotation.step", { what: "root" });
    assert.equal((await refused("rotation.step", { what: "issuing-ca" })).code, "ERR_ROTATION");
    const [, nextRoot = ""] = certificates("control/root-ca.pem");
    const staged = await credential("staged");
    assert.equal(staged.trustAnchors, formerRoot + nextRoot);
    assert.ok(verifies(formerRoot, staged.certificateChain));
    await done("rotation.step", { what: "root" });
    const used = await credential("used");
    assert.ok(verifies(nextRoot, used.certificateChain));
    assert.ok(!verifies(formerRoot, used.certificateChain));
    assert.ok(verifies(formerRoot, used.certificateChain + file("control/root-ca-cross.pem")));
    // Certificates from before lead to the new root too: the issuing CA is the same, its certificate another.
    const [leaf = ""] = split(staged.certificateChain);
    assert.ok(verifies(nextRoot, leaf + certificates("control/issuing-ca.pem")[0]));
    assert.match((await refused("rotation.step", { what: "root" })).message, /before the new root/);
    await done("rotation.undo", { what: "root" });
    assert.ok(verifies(formerRoot, (await credential("undone")).certificateChain));
  });
});

describe("the rotation of the key of the feed", () => {
  test("waits for the broker to know the new key", async () => {
    await done("rotation.step", { what: "feed-key" });
    assert.match((await refused("rotation.step", { what: "feed-key" })).message, /broker has not/);
    assert.equal((await done("rotation.undo", { what: "feed-key" })).step, "idle");
    assert.equal(existsSync(folder.in("control/feed.next.key")), false);
  });

  test("goes through once the broker has written the new key down", async () => {
    const former = file("broker/feed.pub");
    await done("rotation.step", { what: "feed-key" });
    const providers = new KeyProviders(keyEnvironment({}));
    const key = createPublicKey(openPrivateKeyFile(folder.in("control/feed.next.key"), providers));
    const next = key.export({ type: "spki", format: "pem" });
    writeFileSync(folder.in("broker/feed.pub"), former + next); // as the broker does
    assert.equal((await done("rotation.step", { what: "feed-key" })).step, "used");
    assert.equal((await done("rotation.undo", { what: "feed-key" })).step, "staged");
    await done("rotation.step", { what: "feed-key" });
    assert.equal((await done("rotation.step", { what: "feed-key" })).step, "idle");
    assert.equal(existsSync(folder.in("control/feed.next.key")), false);
    assert.equal((await control.result("reload", {})).changed.length, 0);
  });
});

describe("the rotation of the fleet", () => {
  test("is refused with a deadline in the past, and changes nothing", async () => {
    const before = file("control/issuing-ca.pem");
    const { code } = await refused("fleet.rotate", { because: "a test", deadline: 1 });
    assert.equal(code, "ERR_ROTATION");
    assert.equal(file("control/issuing-ca.pem"), before);
  });

  test("counts who has renewed, waits for who has not, and lets the former CA go at the end", async () => {
    if ((await done("rotation.status", { what: "root" })).step !== "idle") {
      await done("rotation.undo", { what: "root" });
    }
    const enrol = async (subject: string) => {
      const certificateRequest = await requestFor(newKey());
      return done("credential", { subject, certificateRequest });
    };
    for (const { id } of (await done("list", {})).subjects)
      await control.ask("revoke", { subject: id });
    await done("service.add", { name: "by-hand" });
    await enrol("service:by-hand");
    const devices = await Promise.all(
      [1, 2].map(async () => (await done("device.add", { site: "main", ward: "icu" })).id),
    );
    for (const device of devices) await enrol(device);
    const started = await done("fleet.rotate", { because: "a test" });
    assert.deepEqual([started.renewed, started.told, started.waiting], [0, 2, 0]);
    assert.equal((await refused("fleet.rotate", { because: "again" })).code, "ERR_ROTATION");
    const [first = "", second = ""] = devices;
    await enrol(first);
    const half = await done("fleet.status", {});
    assert.deepEqual([half.renewed, half.told, half.waiting], [1, 1, 0]);
    await enrol(second);
    assert.equal((await done("fleet.status", {})).others, 1);
    await enrol("service:by-hand");
    // The next look of control, some seconds later, ends it.
    await eventually(() => !existsSync(folder.in("control/fleet.sealed")));
    assert.equal(certificates("control/issuing-ca.pem").length, 1);
    const { subjects } = await done("list", {});
    const states = subjects.find(({ id }) => id === first)?.certificates.map(({ state }) => state);
    assert.deepEqual(states?.toSorted(), ["active", "revoked"]);
  });
});
