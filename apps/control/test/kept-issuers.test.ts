import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { parseIssuers } from "@wardmq/tokens";
import { keptIssuers } from "../src/tokens/issuers.ts";

const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const { kty, crv, x, y } = publicKey.export({ format: "jwk" });
const keys = [{ kid: "k1", jwk: { kty, crv, x, y } }];
const issuer = "https://idp.example/realm";
const settings = parseIssuers(`issuers:
  idp:
    issuer: ${issuer}
    audience: wardmq
    api: { audience: wardmq-api }
`);

test("kept keys are those of the issuer they were fetched from, and of no other under its name", () => {
  for (const [from, expected] of [
    [issuer, ["k1"]],
    ["https://idp.example/another", []],
  ] as const) {
    const cache = JSON.stringify({ idp: { issuer: from, fetchedAt: 1_000, keys } });
    const { ofBrokers, ofApi } = keptIssuers(settings, cache, 2_000);
    for (const [known] of [ofBrokers, ofApi.issuers]) {
      const kids = known?.keys.map(({ kid }) => kid);
      assert.deepEqual(kids, expected, from);
    }
  }
});
