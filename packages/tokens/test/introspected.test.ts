import assert from "node:assert/strict";
import { test } from "node:test";
import { verifyToken } from "../src/index.ts";
import { goodClaims, makeIssuer, now, surroundings } from "./issuers.ts";

const { issuer } = await makeIssuer();

test("an opaque token whose issuer says its id is known, and revoked, by that", async () => {
  const introspected = { issuer: "idp", claims: { ...goodClaims, jti: "t-9", active: true } };
  const verdict = (where = {}) =>
    verifyToken("opaque", surroundings(issuer, { introspected, ...where }));
  const grant = await verdict();
  assert.equal("jti" in grant && grant.jti, "t-9");
  const revocations = [{ issuer: "idp", jti: "t-9", issuedUntil: now, until: now + 1 }];
  const refused = await verdict({ revocations });
  assert.equal("check" in refused && refused.check, "revoked");
});
