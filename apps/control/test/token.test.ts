import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { CommandName, Commands } from "@wardmq/commands";
import { makeToken, softHsmIsMissing, withSoftHsm } from "../../../packages/keys/test/soft-hsm.ts";
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
  ) => {
    const input = `${JSON.stringify({ command, arguments: values })}\n`;
    const { out } = await runMain(["once", folder.deployment], input, env);
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
