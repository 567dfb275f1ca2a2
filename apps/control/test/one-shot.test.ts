import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { SubjectSummary } from "@wardmq/commands";
import {
  newDeployment,
  newKey,
  oneShot,
  refusal,
  requestFor,
  runMain,
  TestFolder,
  uuid,
  wards,
} from "./control-under-test.ts";

const init = { org: "Hospital_1", environment: "prod", hosts: ["localhost"] } as const;

describe("main", () => {
  for (const words of [
    [],
    ["once"],
    ["serve"],
    ["bogus", "x"],
    ["once", "x", "y"],
    ["serve", "x", "--set"],
    ["serve", "x", "--other", "y"],
  ]) {
    test(`refuses "${words.join(" ")}" with 2 and says how it is used`, async () => {
      const { code, said, out } = await runMain(words);
      assert.equal(code, 2);
      assert.equal(out, "");
      assert.match(said, /^usage: .*\n$/);
    });
  }
});

describe("init", () => {
  test("refuses a folder with something in it, and leaves it as it was", async () => {
    using folder = new TestFolder();
    mkdirSync(folder.deployment);
    writeFileSync(folder.in("mine"), "mine");
    const { code, exitCode } = refusal(await oneShot(folder.deployment, "init", init));
    assert.deepEqual([code, exitCode], ["ERR_FOLDER_NOT_EMPTY", 2]);
    assert.deepEqual(readdirSync(folder.path), ["deployment"]);
    assert.deepEqual(readdirSync(folder.deployment), ["mine"]);
  });

  test("refuses a second init", async () => {
    using folder = await newDeployment();
    assert.equal(
      refusal(await oneShot(folder.deployment, "init", init)).code,
      "ERR_FOLDER_NOT_EMPTY",
    );
  });

  const wrong: readonly (readonly [string, object])[] = [
    ["an organisation with a slash", { org: "a/b" }],
    ["an organisation that is a wildcard", { org: "+" }],
    ["no organisation", { org: "" }],
    ["no host", { hosts: [] }],
    ["a host with a space", { hosts: ["a b"] }],
    ["a host that would continue the file", { hosts: ["a\nlimits: {}"] }],
  ];
  for (const [name, change] of wrong) {
    test(`refuses ${name} and makes nothing`, async () => {
      using folder = new TestFolder();
      const { exitCode, message } = refusal(
        await oneShot(folder.deployment, "init", { ...init, ...change }),
      );
      assert.equal(exitCode, 2, message);
      assert.deepEqual(readdirSync(folder.path), []);
    });
  }

  test("refuses a parent it may not write to, and makes nothing", {
    skip: process.getuid?.() === 0 && "root may write anywhere",
  }, async () => {
    using folder = new TestFolder();
    chmodSync(folder.path, 0o500);
    assert.equal(refusal(await oneShot(folder.deployment, "init", init)).exitCode, 2);
    chmodSync(folder.path, 0o700);
  });

  test("says so when the parent is a file", async () => {
    using folder = new TestFolder();
    writeFileSync(folder.deployment, "");
    const { message, exitCode } = refusal(await oneShot(folder.in("below"), "init", init));
    assert.match(message, /ENOTDIR|EEXIST/);
    assert.equal(exitCode, 2);
  });

  for (const isThere of [false, true]) {
    test(`makes one deployment when three begin at once in ${isThere ? "an empty folder" : "none"}`, async () => {
      using folder = new TestFolder();
      if (isThere) mkdirSync(folder.deployment);
      const answers = await Promise.all(
        [1, 2, 3].map(() => oneShot(folder.deployment, "init", init)),
      );
      assert.equal(answers.filter(({ ok }) => ok).length, 1, JSON.stringify(answers));
      for (const answer of answers)
        if (!answer.ok) assert.equal(answer.error.code, "ERR_FOLDER_NOT_EMPTY");
      assert.deepEqual(readdirSync(folder.path), ["deployment"]);
      assert.deepEqual(readdirSync(folder.deployment).sort(), [
        "broker",
        "control",
        "policy.yaml",
        "run",
        "wardmq.yaml",
      ]);
      assert.ok((await oneShot(folder.deployment, "list", {})).ok);
    });
  }

  test("fills an empty folder, which stays the same, for nobody but its owner", async () => {
    using folder = new TestFolder();
    mkdirSync(folder.deployment, { mode: 0o755 });
    const { ino } = statSync(folder.deployment);
    const made = await oneShot(folder.deployment, "init", init);
    assert.ok(made.ok, JSON.stringify(made));
    const { trustDomain, rootFingerprint } = made.result as {
      trustDomain: string;
      rootFingerprint: string;
    };
    assert.equal(trustDomain, "prod.hospital_1");
    assert.match(rootFingerprint, /^[0-9a-f]{64}$/);
    const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
    assert.equal(mode(folder.deployment), "700");
    assert.equal(statSync(folder.deployment).ino, ino);
    for (const name of ["control", "broker", "run"]) {
      assert.equal(mode(folder.in(name)), "700");
      for (const file of readdirSync(folder.in(name)))
        assert.equal(mode(folder.in(name, file)), "600", file);
    }
    assert.deepEqual(readdirSync(folder.in("broker")).sort(), ["feed.pub", "kek.key", "keys.json"]);
    for (const key of ["root-ca.key", "issuing-ca.key", "feed.key"]) {
      assert.match(readFileSync(folder.in("control", key), "utf8"), /"wrapped": "/);
    }
  });
});

describe("a one-shot", () => {
  test("refuses a request that is none with 2", async () => {
    using folder = await newDeployment();
    for (const [name, line] of [
      ["nothing", ""],
      ["half a line", '{"command":"list","arguments":{}}'],
      ["another command", '{"command":"drop","arguments":{}}\n'],
      [
        "a line of 5 MB",
        `{"command":"service.add","arguments":{"name":"${"x".repeat(17_000_000)}"}}\n`,
      ],
    ] as const) {
      const { code, out } = await runMain(["once", folder.deployment], line);
      const { error } = JSON.parse(out) as { error: { code: string; exitCode: number } };
      assert.deepEqual([code, error.code, error.exitCode], [2, "ERR_REQUEST", 2], name);
    }
  });

  test("refuses a folder without a deployment, and makes nothing in it", async () => {
    using folder = new TestFolder();
    for (const directory of [folder.path, folder.deployment]) {
      const { code, exitCode } = refusal(await oneShot(directory, "list", {}));
      assert.deepEqual([code, exitCode], ["ERR_NO_DEPLOYMENT", 2]);
    }
    assert.deepEqual(readdirSync(folder.path), []);
  });

  test("does every command", async () => {
    using folder = await newDeployment();
    const { deployment } = folder;
    const ask = async <T>(...words: Parameters<typeof oneShot>): Promise<T> => {
      const response = await oneShot(...words);
      assert.ok(response.ok, JSON.stringify(response));
      return response.result as T;
    };
    const device = await ask<SubjectSummary>(deployment, "device.add", {
      ...wards,
      model: "B450",
      id: uuid,
    });
    assert.deepEqual(device.attributes, { org: "Hospital_1", ...wards, id: uuid, model: "B450" });
    await ask(deployment, "service.add", { name: "dashboard" });
    const certificateRequest = await requestFor(newKey());
    const issued = await ask<{ certificateChain: string }>(deployment, "credential", {
      subject: "service:dashboard",
      certificateRequest,
    });
    assert.equal(issued.certificateChain.match(/BEGIN CERTIFICATE/g)?.length, 2);
    const revoked = await ask(deployment, "revoke", { subject: "service:dashboard" });
    assert.deepEqual(revoked, {
      subject: "service:dashboard",
      certificatesRevoked: 1,
      brokers: [],
    });
    assert.deepEqual(await ask(deployment, "reload", {}), { changed: [] });
    const { subjects } = await ask<{ subjects: SubjectSummary[] }>(deployment, "list", {});
    assert.deepEqual(
      subjects.map(({ id, state }) => [id, state]),
      [
        [`device:${uuid}`, "registered"],
        ["service:dashboard", "revoked"],
      ],
    );
    const { events } = await ask<{ events: { type: string }[] }>(deployment, "events", {
      last: 100,
    });
    assert.deepEqual(
      events.map(({ type }) => type),
      ["subject-added", "subject-added", "certificate-issued", "subject-revoked-by"],
    );
  });

  test("loses nothing when eight run at once", async () => {
    using folder = await newDeployment();
    const added = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        oneShot(folder.deployment, "service.add", { name: `service-${i}` }),
      ),
    );
    assert.deepEqual(
      added.map(({ ok }) => ok),
      new Array(8).fill(true),
    );
    const listed = await oneShot(folder.deployment, "list", {});
    assert.equal(listed.ok && (listed.result as { subjects: [] }).subjects.length, 8);
  });

  test("says that the registry is damaged", async () => {
    using folder = await newDeployment();
    writeFileSync(folder.in("control/registry.db"), "x".repeat(10_000));
    assert.equal(refusal(await oneShot(folder.deployment, "list", {})).code, "ERR_REGISTRY");
  });

  test("revokes even when the key of the CA and the settings can not be read", async () => {
    using folder = await newDeployment();
    await oneShot(folder.deployment, "service.add", { name: "dashboard" });
    chmodSync(folder.in("control/issuing-ca.key"), 0o644);
    const settings = readFileSync(folder.in("wardmq.yaml"));
    writeFileSync(folder.in("wardmq.yaml"), ":");
    const revoked = await oneShot(folder.deployment, "revoke", { subject: "service:dashboard" });
    assert.ok(revoked.ok);
    const certificateRequest = await requestFor(newKey());
    await oneShot(folder.deployment, "service.add", { name: "other" });
    const wanted = { subject: "service:other", certificateRequest };
    const unread = await oneShot(folder.deployment, "credential", wanted);
    assert.equal(refusal(unread).code, "ERR_CONFIG"); // they say what stands in a certificate
    writeFileSync(folder.in("wardmq.yaml"), settings);
    const unopened = await oneShot(folder.deployment, "credential", wanted);
    assert.equal(refusal(unopened).code, "ERR_KEY_MODE");
  });
});
