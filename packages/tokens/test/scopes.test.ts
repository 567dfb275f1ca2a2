import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { verifyToken } from "../src/index.ts";
import { type Claims, makeIssuer, mapping, sign, surroundings } from "./issuers.ts";

const { issuer, privateKey } = await makeIssuer();

/** The actions and roles that the token leaves, or the check that refuses it. */
async function left(claims: Claims, where = {}): Promise<string> {
  const token = await sign(privateKey, claims);
  const verified = await verifyToken(token, surroundings(issuer, where));
  if ("check" in verified) return verified.check;
  return [...verified.actions, ...verified.roles].join(" ");
}

describe("scopes narrow a token", () => {
  const rows: readonly (readonly [string, Claims, string])[] = [
    ["as a text", { scope: "openid wardmq:subscribe" }, "subscribe nurse"],
    ["as a list", { scope: ["openid", "wardmq:subscribe"] }, "subscribe nurse"],
    ["as scp", { scp: "wardmq:publish" }, "publish nurse"],
    ["as a list scp", { scp: ["wardmq:publish"] }, "publish nurse"],
    ["in both claims", { scope: "wardmq:publish", scp: "wardmq:role:chief" }, "roles"],
    [
      "and one that is unknown refuses it, whatever stands beside it",
      { scope: "wardmq:publish wardmq:zzz" },
      "scope",
    ],
    [
      "and one that is unknown refuses it beside a role",
      { scp: ["wardmq:role:nurse", "wardmq:zzz"] },
      "scope",
    ],
  ];
  for (const [what, claims, expected] of rows) {
    test(what, async () => assert.equal(await left(claims), expected));
  }
});

test("a role that asks for two ways of logging in is given to who has shown both", async () => {
  const strong = mapping.map((row) => ({ ...row, amr: ["pwd", "mfa"] }));
  const where = { mapping: strong };
  assert.equal(await left({ amr: ["pwd"] }, where), "roles");
  assert.equal(await left({ amr: ["mfa"] }, where), "roles");
  assert.equal(await left({ amr: ["mfa", "pwd"] }, where), "publish subscribe nurse");
});
