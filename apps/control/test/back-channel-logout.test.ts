import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type Claims,
  makeIssuer,
  now,
  seconds,
  sign,
} from "../../../packages/tokens/test/issuers.ts";
import { BackChannelLogout } from "../src/tokens/back-channel-logout.ts";
import type { RevokedTokens } from "../src/tokens/token-revocations.ts";

const { issuer, privateKey } = await makeIssuer();
const events = { "http://schemas.openid.net/event/backchannel-logout": {} };

function logout(claims: Claims): Promise<string> {
  const good = { aud: "wardmq-cli", events, iat: seconds + 4, exp: seconds + 120 };
  return sign(privateKey, { ...good, ...claims }, { typ: "logout+jwt" });
}

function underTest() {
  const state = { isDiskFull: false };
  const revoked: (readonly [RevokedTokens, number])[] = [];
  const checks: unknown[] = [];
  const taking = new BackChannelLogout({
    issuers: () => [{ ...issuer, clients: ["wardmq-cli"] }],
    now: () => now,
    revoke: async (...what) => {
      if (state.isDiskFull) throw new Error("ENOSPC");
      revoked.push(what);
    },
    record: ({ check }) => checks.push(check),
  });
  return { state, revoked, checks, take: (token: string) => taking.take(token, "192.0.2.7") };
}

describe("a back-channel logout", () => {
  test("revokes by what it names, at the time of its issuer's own clock", async () => {
    const { take, revoked } = underTest();
    assert.ok(await take(await logout({ sid: undefined })));
    assert.ok(await take(await logout({ jti: "t-2", sub: undefined, sid: "s-1" })));
    assert.ok(await take(await logout({ jti: "t-3", sid: "s-1" })));
    const then = (seconds + 4) * 1000;
    assert.deepEqual(revoked, [
      [{ subject: "person:idp_ann" }, then],
      [{ issuer: "idp", sid: "s-1" }, then],
      [{ issuer: "idp", sid: "s-1", subject: "person:idp_ann" }, then],
    ]);
  });

  test("counts once, and when it comes again after control could not do it", async () => {
    const { take, state, revoked, checks } = underTest();
    const token = await logout({ sid: "s-1" });
    state.isDiskFull = true;
    await assert.rejects(take(token), /ENOSPC/);
    state.isDiskFull = false;
    assert.equal(await take(token), true);
    assert.equal(await take(token), false);
    assert.equal(revoked.length, 1);
    assert.deepEqual(checks, [undefined, "logout-jti"]);
  });
});
