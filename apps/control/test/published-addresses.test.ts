import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { appendFileSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { decodeCertificate, decodePem } from "@wardmq/x509";
import { caIdOf } from "../src/ca/certificate-authority.ts";
import { newDeployment, newKey, RunningControl, requestFor } from "./control-under-test.ts";

const isMissing =
  spawnSync("openssl", ["version"]).status === 0 ? false : "openssl is not installed";

/** What OpenSSL reads in a certificate. */
function textOf(pem: string): string {
  const { stdout } = spawnSync("openssl", ["x509", "-noout", "-text"], { input: pem });
  return stdout.toString();
}

test("a certificate says where to ask about it when wardmq.yaml says so, and nothing before", {
  skip: isMissing,
}, async () => {
  using folder = await newDeployment();
  await using control = await RunningControl.start(folder.deployment);
  const { id: subject } = await control.result("service.add", { name: "dashboard" });
  const issue = async () => {
    const certificateRequest = await requestFor(newKey());
    const issued = await control.result("credential", { subject, certificateRequest });
    return textOf(issued.certificateChain);
  };
  const before = await issue();
  assert.match(before, /Client Authentication/);
  assert.doesNotMatch(before, /CRL Distribution Points|Authority Information Access/);

  appendFileSync(
    folder.in("wardmq.yaml"),
    [
      "certificates:",
      "  crl: ['http://pki.example/crl/{ca}.crl', 'http://other.example/{ca}.crl']",
      "  ocsp: ['http://pki.example/ocsp']",
      "  caIssuers: ['http://pki.example/ca/{ca}.cer']\n",
    ].join("\n"),
  );
  assert.deepEqual((await control.result("reload", {})).changed, ["wardmq.yaml"]);
  const pem = readFileSync(folder.in("control/issuing-ca.pem"), "utf8");
  const ca = caIdOf(decodeCertificate(decodePem("CERTIFICATE", pem)));
  const after = await issue();
  for (const line of [
    `URI:http://pki.example/crl/${ca}.crl`,
    `URI:http://other.example/${ca}.crl`,
    "OCSP - URI:http://pki.example/ocsp",
    `CA Issuers - URI:http://pki.example/ca/${ca}.cer`,
  ]) {
    assert.ok(after.includes(line), `${line} is not in ${after}`);
  }
});
