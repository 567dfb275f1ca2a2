import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { BreakGlassUse, Role } from "@wardmq/commands";
import { type Claims, makeIssuer, now, sign } from "../../../packages/tokens/test/issuers.ts";
import { OperatorTokens } from "../src/api/operator-token.ts";
import type { Registry } from "../src/registry/registry.ts";

const { issuer, privateKey } = await makeIssuer();
const groups = { issuer: "idp", claim: ["groups"] } as const;
const mapping = [
  { ...groups, role: "viewer", value: "nurses" },
  { ...groups, role: "security-officer", value: "security" },
  { ...groups, role: "break-glass:on-call", value: "nurses", amr: ["mfa"] },
];
const nurse = { groups: ["nurses"] };
const officer = { groups: ["security"] };

interface World {
  /** The role of the operator that Ann is; nobody has said that she is one where it is left out. */
  readonly record?: Role;
  readonly taken?: readonly Pick<BreakGlassUse, "name" | "apiRole">[];
}

/** Who Ann is to the API with a token of these claims. */
async function identified(claims: Claims, { record, taken = [] }: World = {}) {
  const attributes = { role: record, person: "idp_ann" };
  const operators = [{ id: "operator:ann", kind: "operator", state: "active", attributes }];
  const tokens = new OperatorTokens({
    registry: {
      identity: { org: "hospital" },
      operators: () => (record === undefined ? [] : operators),
    } as unknown as Registry,
    judges: () => ({ issuers: [issuer], mapping }),
    revocations: () => [],
    taken: (person) => (person === "person:idp_ann" ? taken : []),
    introspect: async () => undefined,
    now: () => now,
    record: () => {},
    delay: async () => {},
  });
  const token = await sign(privateKey, claims);
  const caller = await tokens.identify({ token, address: "192.0.2.1", certificate: undefined });
  return "check" in caller ? caller.check : [caller.actor, caller.role];
}

describe("a person who is an operator", () => {
  test("has what both the token and the operator's record give, and no more", async () => {
    assert.deepEqual(await identified(officer), ["person:idp_ann", "security-officer"]);
    for (const [claims, record, role] of [
      [officer, "viewer", "viewer"],
      [officer, "operator", "operator"],
      [officer, "security-officer", "security-officer"],
      [nurse, "security-officer", "viewer"],
    ] as const) {
      assert.deepEqual(await identified(claims, { record }), ["operator:ann", role]);
    }
  });
});

describe("a role of the API that was taken in an emergency", () => {
  const taken = [{ name: "on-call", apiRole: "security-officer" }] as const;
  const strong = { ...nurse, amr: ["pwd", "mfa"] };

  test("counts for a login that may take it, and for no other", async () => {
    assert.deepEqual(await identified(strong), ["person:idp_ann", "viewer"]);
    assert.deepEqual(await identified(strong, { taken }), ["person:idp_ann", "security-officer"]);
    assert.deepEqual(await identified(nurse, { taken }), ["person:idp_ann", "viewer"]);
  });

  test("counts beyond what the operator's record gives", async () => {
    const world = { record: "viewer", taken } as const;
    assert.deepEqual(await identified(strong, world), ["operator:ann", "security-officer"]);
  });
});
