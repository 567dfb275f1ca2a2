import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Failure } from "../src/failure.ts";
import { checkPolicyFiles } from "../src/policy-file.ts";

const folder = mkdtempSync(join(tmpdir(), "wardmq-policy-"));
after(() => rmSync(folder, { recursive: true }));
writeFileSync(
  join(folder, "policy.yaml"),
  `roles:\n  nurse: { subscribe: ["{org}/{site}/icu/device/+/alarm"] }\n`,
);
const issuers = (role: string) =>
  writeFileSync(
    join(folder, "issuers.yaml"),
    `issuers:
  idp:
    issuer: https://idp.example
    audience: wardmq
    roles: [{ role: ${role}, claim: groups, value: nurses }]
`,
  );
const said = () => checkPolicyFiles(folder).join("\n");

test("a role that tokens give is bound to somebody, and one that the policy does not have is told", () => {
  assert.match(said(), /roles\.nurse: is bound to nobody/);
  issuers("nurse");
  assert.doesNotMatch(said(), /bound to nobody|issuers\.yaml/);
  issuers("nurze");
  assert.match(said(), /issuers\.yaml: gives the role nurze, which the policy does not have/);
  assert.match(said(), /bound to nobody/);
});

test("an issuers.yaml that is wrong is refused with its place", () => {
  issuers('"*"');
  assert.throws(
    said,
    (error) => error instanceof Failure && /issuers\.yaml:5:/.test(error.message),
  );
});
