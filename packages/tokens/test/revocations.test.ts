import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Revocations } from "../src/index.ts";

const hourMs = 60 * 60 * 1000;
const token = {
  issuer: "idp",
  subject: "person:idp_ann",
  jti: "t-1",
  sid: "s-1",
  issuedAt: 1_000,
};

describe("revoked tokens", () => {
  test("are meant by the furthest of the entries that name the same, whichever came last", () => {
    const revocations = new Revocations();
    revocations.add([{ subject: token.subject, issuedUntil: 1_000, until: hourMs }], 0);
    revocations.add([{ subject: token.subject, issuedUntil: 999, until: 2 * hourMs }], 0);
    assert.equal(revocations.has(token), true);
    assert.equal(revocations.has({ ...token, issuedAt: 1_001 }), false);
    assert.equal(revocations.has({ ...token, subject: "person:idp_bob" }), false);
  });

  test("are forgotten when they have ended by themselves", () => {
    const revocations = new Revocations();
    const of = (jti: string, until: number) => ({ issuer: "idp", jti, issuedUntil: until, until });
    revocations.add([of("t-1", 1.5 * hourMs), of("t-2", 3 * hourMs)], 0);
    revocations.add([], 2 * hourMs);
    assert.deepEqual(
      revocations.entries().map(({ jti }) => jti),
      ["t-2"],
    );
  });

  test("are all told by their entries", () => {
    const entries = [
      { subject: token.subject, sid: "s-2", issuedUntil: 1, until: hourMs },
      { issuer: "idp", sid: "s-1", issuedUntil: 1_000, until: hourMs },
    ];
    const again = new Revocations(new Revocations(entries).entries());
    assert.equal(again.has(token), true);
    assert.equal(again.has({ ...token, sid: undefined, issuedAt: 1 }), true);
    assert.equal(again.has({ ...token, sid: "s-3", issuedAt: 1 }), false);
  });
});
