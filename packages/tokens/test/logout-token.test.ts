import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { verifyLogoutToken } from "../src/index.ts";
import { assemble, type Claims, makeIssuer, now, seconds, sign } from "./issuers.ts";

const { issuer, privateKey } = await makeIssuer();
const other = await makeIssuer();
const issuers = [{ ...issuer, clients: ["wardmq-cli", "dashboard"] }];
const event = { "http://schemas.openid.net/event/backchannel-logout": {} };

/** A good logout token with one thing changed. */
function logout(claims: Claims = {}, header: Claims = {}, key = privateKey): Promise<string> {
  const good = { aud: "wardmq-cli", sid: "s-1", events: event, exp: seconds + 120 };
  return sign(key, { ...good, ...claims }, { typ: "logout+jwt", ...header });
}

const verdict = (token: string, of = issuers, at = now) => verifyLogoutToken(token, of, at);

describe("a logout token is refused", () => {
  const rows: readonly (readonly [string, () => Promise<string> | string, string])[] = [
    ["that is none", () => "x", "logout-structure"],
    ["of another issuer", () => logout({ iss: "https://other.example" }), "logout-iss"],
    ["that is an access token", () => logout({}, { typ: "at+jwt" }), "logout-typ"],
    ["that is an ID token", () => logout({}, { typ: "JWT" }), "logout-typ"],
    ["without a type", () => logout({}, { typ: undefined }), "logout-typ"],
    [
      "without a signature",
      () => assemble({ alg: "none", typ: "logout+jwt" }, { iss: issuer.issuer }),
      "logout-key",
    ],
    ["of an unknown key", () => logout({}, { kid: "k2" }), "logout-key"],
    ["for another client", () => logout({ aud: "other" }), "logout-aud"],
    [
      "for a client of ours and another",
      () => logout({ aud: ["wardmq-cli", "other"] }),
      "logout-aud",
    ],
    ["for nobody", () => logout({ aud: [] }), "logout-aud"],
    ["from the future", () => logout({ iat: seconds + 60 }), "logout-iat"],
    ["that has ended", () => logout({ exp: seconds }), "logout-exp"],
    ["without an end", () => logout({ exp: undefined }), "logout-exp"],
    ["that lives for an hour", () => logout({ exp: seconds + 3_600 }), "logout-exp"],
    ["without an id", () => logout({ jti: undefined }), "logout-jti"],
    ["without the event", () => logout({ events: {} }), "logout-events"],
    [
      "with another event",
      () => logout({ events: { "http://schemas.openid.net/event/other": {} } }),
      "logout-events",
    ],
    [
      "whose event is no object",
      () => logout({ events: Object.fromEntries([[Object.keys(event)[0] ?? "", 1]]) }),
      "logout-events",
    ],
    ["with a nonce", () => logout({ nonce: "n" }), "logout-nonce"],
    ["of nobody", () => logout({ sub: undefined, sid: undefined }), "logout-sub"],
    ["of a sid that is no text", () => logout({ sid: 7 }), "logout-sub"],
    ["that another key has signed", () => logout({}, {}, other.privateKey), "logout-signature"],
  ];
  for (const [what, make, check] of rows) {
    test(what, async () => {
      const refused = await verdict(await make());
      assert.equal("check" in refused && refused.check, check, JSON.stringify(refused));
    });
  }

  test("when no client of the issuer logs out here, or its keys are too old", async () => {
    const token = await logout();
    const closed = await verdict(token, [{ ...issuer, clients: [] }]);
    assert.equal("check" in closed && closed.check, "logout-iss");
    const old = await verdict(token, issuers, issuer.keysUntil);
    assert.equal("check" in old && old.check, "logout-key");
  });

  test("whatever the text, and never with an error", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string(),
        fc.dictionary(fc.string(), fc.jsonValue()),
        async (text, claims) => {
          assert.ok("check" in (await verdict(text)));
          const made = assemble(
            { alg: "ES256", typ: "logout+jwt", kid: "k1" },
            { ...claims, iss: issuer.issuer },
          );
          assert.ok("check" in (await verdict(made)));
        },
      ),
      { numRuns: 200 },
    );
  });
});

test("a good logout token says whose session, or which, has ended", async () => {
  assert.deepEqual(await verdict(await logout()), {
    issuer: "idp",
    subject: "person:idp_ann",
    sid: "s-1",
    jti: "t-1",
    issuedAt: (seconds - 10) * 1000,
    expiresAt: (seconds + 125) * 1000,
  });
  const ofSession = await verdict(await logout({ sub: undefined }));
  assert.equal("subject" in ofSession && ofSession.subject, undefined);
  const ofPerson = await verdict(await logout({ sid: undefined, aud: ["dashboard"] }));
  assert.equal("sid" in ofPerson && ofPerson.sid, undefined);
});
