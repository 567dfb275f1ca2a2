import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { test } from "node:test";
import type { CommandName, Commands } from "@wardmq/commands";
import {
  deleteObject,
  labelsIn,
  makeToken,
  softHsmIsMissing,
  withSoftHsm,
} from "../../../packages/keys/test/soft-hsm.ts";
import { newKey, requestFor, runMain, TestFolder } from "./control-under-test.ts";

test("a CA whose keys never leave a token, and files whose keys a token wraps", {
  skip: softHsmIsMissing,
}, async () => {
  using folder = new TestFolder();
  const environment = withSoftHsm(folder.path);
  const uriOf = makeToken(folder.path, "ward", environment);
  const once = async <Name extends CommandName>(
    command: Name,
    values: Commands[Name]["arguments"],
    env = environment,
    directory = folder.deployment,
  ) => {
    const input = `${JSON.stringify({ command, arguments: values })}\n`;
    const { out } = await runMain(["once", directory], input, env);
    return JSON.parse(out) as { ok: boolean; result?: unknown; error?: { code: string } };
  };
  const wanted = { org: "Hospital_1", environment: "prod", hosts: ["localhost"] };
  const keys = uriOf("kek");

  const none = await once("init", { ...wanted, keys: keys.replace("token=ward", "token=none") });
  assert.equal(none.error?.code, "ERR_KEY_PROVIDER");
  assert.deepEqual(
    await once("init", { ...wanted, keys, caToken: uriOf("ca") }).then(({ ok }) => ok),
    true,
  );
  for (const name of ["root-ca.key", "issuing-ca.key"]) {
    const text = readFileSync(folder.in("control", name), "utf8");
    assert.match(text, /"pkcs11": ".*object=ca-(root|issuing)/);
  }
  assert.ok(!readdirSync(folder.in("control")).includes("kek.key"));

  const made = ["ca-issuing", "ca-root", "kek"];
  assert.deepEqual(labelsIn("ward", environment), made);
  using another = new TestFolder();
  const again = { ...wanted, keys: uriOf("kek-2"), caToken: uriOf("ca") };
  const failed = await once("init", again, environment, another.deployment);
  assert.equal(failed.error?.code, "ERR_KEY_PROVIDER"); // after kek-2 was made: the token holds ca-root already
  assert.deepEqual(labelsIn("ward", environment), made);
  const half = { ...wanted, keys, caToken: uriOf("half") };
  await once("init", half, environment, another.deployment);
  deleteObject("ward", "half-root", environment);
  rmSync(another.deployment, { recursive: true });
  const failedLater = await once("init", half, environment, another.deployment);
  assert.equal(failedLater.error?.code, "ERR_KEY_PROVIDER"); // after half-root was made again
  assert.deepEqual(labelsIn("ward", environment), [...made, "half-issuing"].sort());

  await once("service.add", { name: "dashboard" });
  const certificateRequest = await requestFor(newKey());
  const issued = await once("credential", { subject: "service:dashboard", certificateRequest });
  assert.ok(issued.ok, JSON.stringify(issued));
  const { certificateChain } = issued.result as Commands["credential"]["result"];
  const issuing = new X509Certificate(readFileSync(folder.in("control/issuing-ca.pem")));
  assert.ok(new X509Certificate(certificateChain).verify(issuing.publicKey));

  // Another machine, without the token: nothing opens.
  using elsewhere = new TestFolder();
  const refused = await once("list", {}, withSoftHsm(elsewhere.path));
  assert.equal(refused.error?.code, "ERR_KEY_PROVIDER");
});
