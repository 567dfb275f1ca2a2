import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { exportJWK, generateKeyPair } from "jose";
import { type Algorithm, type Issuer, verifyLogoutToken, verifyToken } from "../src/index.ts";
import {
  assemble,
  goodClaims,
  goodHeader,
  keysIn,
  makeIssuer,
  now,
  sign,
  surroundings,
} from "./issuers.ts";

const { issuer, privateKey, jwk } = await makeIssuer();
const rsa = await generateKeyPair("RS256");
const keyOf = (members: object) => keysIn([members]);
const rsaKey = { ...(await exportJWK(rsa.publicKey)), kid: "k1" };

async function outcomeOf(token: string, changes: Partial<Issuer>): Promise<string> {
  const verified = await verifyToken(token, surroundings({ ...issuer, ...changes }));
  return "check" in verified ? verified.check : "granted";
}

describe("a token that is signed well is refused", () => {
  test("when its issuer is not said to sign with that algorithm", async () => {
    const token = await sign(privateKey);
    const only = (algorithm: Algorithm) => outcomeOf(token, { algorithms: [algorithm] });
    assert.equal(await only("ES256"), "granted");
    assert.equal(await only("RS256"), "alg");
  });

  test("when the issuer uses that key with another algorithm", async () => {
    const algorithms = ["RS256", "PS256"] as const;
    const token = await sign(rsa.privateKey, {}, { alg: "RS256" });
    for (const [alg, outcome] of [
      [undefined, "granted"],
      ["RS256", "granted"],
      ["PS256", "kid"],
    ] as const) {
      const keys = keyOf({ ...rsaKey, alg });
      assert.equal(await outcomeOf(token, { algorithms, keys }), outcome);
    }
  });
});

test("an algorithm is not tried with a key of another curve", async () => {
  const algorithms = ["ES256", "ES384"] as const;
  const token = assemble({ ...goodHeader, alg: "ES384" }, goodClaims);
  assert.equal(await outcomeOf(token, { algorithms, keys: keyOf(jwk) }), "kid");
});

test("a header with a parameter that changes what is signed is refused", async () => {
  for (const name of ["b64", "zip", "enc"]) {
    const token = assemble({ ...goodHeader, [name]: "x" }, goodClaims);
    assert.equal(await outcomeOf(token, {}), "header", name);
  }
});

describe("a logout token that is signed well", () => {
  const outcome = async (algorithms: readonly Algorithm[]) => {
    const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
    const claims = { aud: "wardmq-cli", sid: "s-1", events, exp: now / 1000 + 120 };
    const token = await sign(privateKey, claims, { typ: "logout+jwt" });
    const issuers = [{ ...issuer, algorithms, clients: ["wardmq-cli"] }];
    const verified = await verifyLogoutToken(token, issuers, now);
    return "check" in verified ? verified.check : "taken";
  };

  test("is taken, and refused when its issuer is not said to sign with that algorithm", async () => {
    assert.equal(await outcome(["ES256"]), "taken");
    assert.equal(await outcome(["RS256"]), "logout-key");
  });
});
