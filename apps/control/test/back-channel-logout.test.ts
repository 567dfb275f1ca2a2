import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isRevoked } from "@wardmq/tokens";
import {
  type Claims,
  makeIssuer,
  now,
  seconds,
  sign,
} from "../../../packages/tokens/test/issuers.ts";
import { BackChannelLogout } from "../src/tokens/back-channel-logout.ts";
import { TokenRevocations } from "../src/tokens/token-revocations.ts";

const { issuer, privateKey } = await makeIssuer();
const event = { "http://schemas.openid.net/event/backchannel-logout": {} };

function logout(claims: Claims): Promise<string> {
  const good = { aud: "wardmq-cli", events: event, exp: seconds + 120, ...claims };
  return sign(privateKey, good, { typ: "logout+jwt" });
}

/** Logouts, and the revocations that come of them. */
function underTest() {
  const said: string[] = [];
  const disk = { isFull: false };
  const revocations = new TokenRevocations({
    now: () => now,
    file: {
      read: () => undefined,
      write: () => {
        if (disk.isFull) throw new Error("ENOSPC");
      },
    },
  });
  const logouts = new BackChannelLogout({
    issuers: () => [{ ...issuer, clients: ["wardmq-cli"] }],
    now: () => now,
    revoke: async (revoked, issuedUntil) => revocations.add(revoked, issuedUntil),
    record: ({ type, check }) => said.push(`${type} ${check ?? ""}`.trim()),
  });
  const take = async (claims: Claims) => logouts.take(await logout(claims), "192.0.2.1");
  const token = { issuer: "idp", subject: "person:idp_ann", jti: "x", sid: undefined };
  /** Whether a token counts no more that is of Ann unless something else is said. */
  const isOut = (changes: { subject?: string; sid?: string; issuedAt: number }) =>
    isRevoked({ ...token, ...changes }, revocations.list());
  return { take, isOut, said, disk };
}

/** The logout token is a few seconds older than the moment in which it comes. */
const iat = seconds - 4;
const [before, later] = [iat * 1000, now];

describe("a logout at the issuer", () => {
  test("of a session reaches all its tokens, and of those without one only that person's", async () => {
    const { take, isOut } = underTest();
    assert.equal(await take({ iat, sid: "s-1" }), true);
    for (const issuedAt of [before, later]) {
      assert.equal(isOut({ sid: "s-1", issuedAt }), true);
      assert.equal(isOut({ sid: "s-2", issuedAt }), false);
    }
    assert.equal(isOut({ issuedAt: before }), true);
    assert.equal(isOut({ subject: "person:idp_bob", issuedAt: before }), false);
  });

  test("of a session that names nobody reaches all its tokens", async () => {
    const { take, isOut } = underTest();
    assert.equal(await take({ iat, sub: undefined, sid: "s-1" }), true);
    for (const issuedAt of [before, later]) {
      assert.equal(isOut({ sid: "s-1", issuedAt }), true);
      assert.equal(isOut({ issuedAt }), false);
    }
  });

  test("of a person reaches the tokens that are older, of every session", async () => {
    const { take, isOut } = underTest();
    assert.equal(await take({ iat }), true);
    for (const session of [{}, { sid: "s-1" }]) {
      assert.equal(isOut({ ...session, issuedAt: before }), true);
      assert.equal(isOut({ ...session, issuedAt: before + 1 }), false);
    }
    assert.equal(isOut({ subject: "person:idp_bob", issuedAt: before }), false);
  });

  test("counts once, and another one counts again", async () => {
    const { take, said } = underTest();
    const claims = { iat, sid: "s-1" };
    assert.equal(await take(claims), true);
    assert.equal(await take(claims), false);
    assert.equal(await take({ ...claims, jti: "t-2" }), true);
    assert.deepEqual(said, ["logged-out", "request-refused logout-jti", "logged-out"]);
  });

  test("counts when it comes again after control could not do it", async () => {
    const { take, isOut, disk } = underTest();
    const claims = { iat, sid: "s-1" };
    disk.isFull = true;
    await assert.rejects(take(claims), /ENOSPC/);
    disk.isFull = false;
    assert.equal(await take(claims), true);
    assert.equal(isOut({ sid: "s-1", issuedAt: later }), true);
  });
});
