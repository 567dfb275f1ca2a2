import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isRevoked, type TokenRevocation } from "../src/index.ts";

const at = 1_700_000_000_000;
const token = {
  issuer: "idp",
  subject: "person:idp_ann",
  jti: "t-1",
  sid: undefined as string | undefined,
  issuedAt: at,
};

function reaches(by: Partial<TokenRevocation>, changes: Partial<typeof token> = {}): boolean {
  return isRevoked({ ...token, ...changes }, [{ issuedUntil: at, until: at + 1, ...by }]);
}

describe("a revocation of a session at the issuer", () => {
  const ofAnn = { subject: "person:idp_ann", sid: "s-1" };

  test("reaches the tokens of the session, and none that says no session", () => {
    const revoked = { issuer: "idp", sid: "s-1" };
    assert.equal(reaches(revoked, { sid: "s-1" }), true);
    assert.equal(reaches(revoked, { sid: "s-2" }), false);
    assert.equal(reaches(revoked), false);
  });

  test("of a subject reaches its tokens that say no session too, and no others", () => {
    assert.equal(reaches(ofAnn, { sid: "s-1" }), true);
    assert.equal(reaches(ofAnn), true);
    assert.equal(reaches(ofAnn, { sid: "s-2" }), false);
    assert.equal(reaches(ofAnn, { sid: "s-1", subject: "person:idp_bob" }), false);
    assert.equal(reaches(ofAnn, { subject: "person:idp_bob" }), false);
  });
});

test("a revocation reaches what was issued in its last millisecond, and nothing later", () => {
  const subject = "person:idp_ann";
  assert.equal(reaches({ subject }, { issuedAt: at }), true);
  assert.equal(reaches({ subject }, { issuedAt: at + 1 }), false);
});
