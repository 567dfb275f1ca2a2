import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { describeFinding } from "@wardmq/policy";
import { Failure } from "../src/failure.ts";
import { checkPolicyFiles } from "../src/policy-file.ts";

const folder = mkdtempSync(join(tmpdir(), "wardmq-policy-"));
after(() => rmSync(folder, { recursive: true }));
const policy = (claims: string) =>
  writeFileSync(
    join(folder, "policy.yaml"),
    `roles:\n  nurse: { subscribe: ["{org}/{site}/icu/device/+/alarm"] }\n${claims}`,
  );
const issuers = (audience: string, more = "") =>
  writeFileSync(
    join(folder, "issuers.yaml"),
    `issuers:
  idp:
    issuer: https://idp.example
    audience: ${audience}
${more}`,
  );
const said = () => {
  const { findings, file } = checkPolicyFiles(folder);
  return findings.map((one) => describeFinding(one, file)).join("\n");
};

test("a role that claims give is bound to somebody, and an issuer that nobody follows is told", () => {
  policy("");
  assert.match(said(), /roles\.nurse: is bound to nobody/);
  policy("claims: [{ issuer: idp, claim: groups, value: nurses, role: nurse }]\n");
  assert.match(
    said(),
    /policy\.yaml:3:10: warning: claims\[0\]: gives a role to tokens of idp, which issuers\.yaml does not name/,
  );
  issuers("wardmq");
  assert.doesNotMatch(said(), /bound to nobody|issuers\.yaml/);
});

test("a role that an emergency gives is bound to somebody", () => {
  policy("");
  issuers("wardmq");
  assert.match(said(), /roles\.nurse: is bound to nobody/);
  const row = "{ name: icu, policyRole: nurse, claim: groups, value: nurses }";
  issuers("wardmq", `    api: { audience: wardmq-api, breakGlass: [${row}] }\n`);
  assert.doesNotMatch(said(), /bound to nobody/);
});

test("an issuers.yaml that is wrong is refused with its place", () => {
  issuers("[]");
  assert.throws(
    said,
    (error) => error instanceof Failure && /issuers\.yaml:4:/.test(error.message),
  );
});
