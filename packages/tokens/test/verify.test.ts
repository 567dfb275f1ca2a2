import assert from "node:assert/strict";
import { createHash, createHmac, createPublicKey, generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { exportJWK, generateKeyPair } from "jose";
import {
  explainToken,
  type Grant,
  isOpaque,
  maximumTokenBytes,
  parseJwkSet,
  type RoleMapping,
  type TokenCheck,
  type TokenRefusal,
  type TokenRevocation,
  type TokenSurroundings,
  tokenChecks,
  verifyToken,
} from "../src/index.ts";
import {
  assemble,
  type Claims,
  fingerprint,
  goodClaims,
  goodHeader,
  keysIn,
  makeIssuer,
  mapping,
  now,
  seconds,
  sign,
  surroundings,
} from "./issuers.ts";

const { issuer, privateKey, jwk } = await makeIssuer();
const other = await makeIssuer();
const thumbprint = Buffer.from(fingerprint, "hex").toString("base64url");

type Where = Partial<TokenSurroundings>;

async function refusedBy(token: string, where: Where = {}): Promise<TokenCheck> {
  const verified = await verifyToken(token, surroundings(issuer, where));
  assert.ok("check" in verified, "the token was accepted");
  return verified.check;
}

async function granted(token: string, where: Where = {}, of = issuer): Promise<Grant> {
  const verified = await verifyToken(token, surroundings(of, where));
  if ("check" in verified) throw new Error(verified.why);
  return verified;
}

/** Each row is a good token with one thing wrong, and the check that has to see it. */
const refused: readonly (readonly [string, TokenCheck, Claims, Claims?, Where?])[] = [
  ["of another issuer", "iss", { iss: "https://idp.evil.example" }],
  ["whose issuer differs by a slash", "iss", { iss: `${goodClaims.iss}/` }],
  ["without an issuer", "iss", { iss: undefined }],
  ["whose issuer is a list", "iss", { iss: [goodClaims.iss] }],
  ["that is an ID token", "typ", {}, { typ: "JWT" }],
  ["without a type", "typ", {}, { typ: undefined }],
  ["of an unknown key", "kid", {}, { kid: "k2" }],
  ["whose key id is a path", "kid", {}, { kid: "../../../../dev/null" }],
  ["whose key id is a query", "kid", {}, { kid: "x' UNION SELECT 'key" }],
  ["without a key id", "kid", {}, { kid: undefined }],
  ["for another audience", "aud", { aud: "wardmq.other" }],
  ["for two audiences", "aud", { aud: ["wardmq.hospital", "mail.hospital"] }],
  ["without an audience", "aud", { aud: undefined }],
  ["whose audience only begins alike", "aud", { aud: "wardmq.hospital.evil" }],
  ["that has just expired", "exp", { exp: seconds }],
  ["without an end", "exp", { exp: undefined }],
  ["whose end is a text", "exp", { exp: String(seconds + 600) }],
  ["that begins in 6 seconds", "nbf", { nbf: seconds + 6 }],
  ["whose beginning is a text", "nbf", { nbf: "0" }],
  ["that was issued in 6 seconds", "iat", { iat: seconds + 6 }],
  ["without a time of issue", "iat", { iat: undefined }],
  ["that lives a second too long", "life", { iat: seconds - 1, exp: seconds + 3_600 }],
  ["without a subject", "sub", { sub: undefined }],
  ["whose subject is empty", "sub", { sub: "" }],
  ["whose subject is a number", "sub", { sub: 7 }],
  ["without a client", "claims", { client_id: undefined }],
  ["without an id", "claims", { jti: undefined }],
  ["whose id is a list", "claims", { jti: ["t-1"] }],
  ["with somebody else's user name", "username", {}, {}, { username: "bob" }],
  ["bound to a certificate where none is", "cnf", { cnf: { "x5t#S256": thumbprint } }],
  ["bound to another certificate", "cnf", { cnf: { "x5t#S256": "AAAA" } }, {}, { fingerprint }],
  ["bound to a key of its client", "cnf", { cnf: { jkt: thumbprint } }, {}, { fingerprint }],
  ["bound in two ways", "cnf", { cnf: { "x5t#S256": thumbprint, jkt: "x" } }, {}, { fingerprint }],
  ["with a scope of ours that is unknown", "scope", { scope: "wardmq:subscrib" }],
  [
    "with an unknown one beside one that is there twice",
    "scope",
    { scope: "wardmq:role:nurse wardmq:role:nurse wardmq:zzz" },
  ],
  ["without a role", "roles", { groups: ["nurses2"] }],
  ["whose group is only part of a text", "roles", { groups: "nurses staff" }],
  ["whose scope wants another role", "roles", { scope: "wardmq:role:doctor" }],
  ["whose attribute is a wildcard", "attributes", { ward: "+" }],
  ["whose attribute is a list", "attributes", { ward: ["icu-1"] }],
  ["that is revoked by subject", "revoked", {}, {}, revoked({ subject: "person:idp_ann" })],
  ["that is revoked by its id", "revoked", {}, {}, revoked({ jti: "t-1" })],
  [
    "whose session has ended",
    "revoked",
    { sid: "s-1" },
    {},
    revoked({ issuer: "idp", sid: "s-1" }),
  ],
];

function revoked(by: Partial<TokenRevocation>): Where {
  return { revocations: [{ issuedUntil: now, until: now + 1, ...by }] };
}

describe("a token is refused", () => {
  for (const [what, check, claims, header = {}, where = {}] of refused) {
    test(what, async () => {
      assert.equal(await refusedBy(await sign(privateKey, claims, header), where), check);
    });
  }

  test("without a signature", async () => {
    assert.equal(await refusedBy(`${assemble(goodHeader, goodClaims, "")}`), "structure");
    const none = assemble({ ...goodHeader, alg: "none" }, goodClaims);
    assert.equal(await refusedBy(none), "alg");
  });

  test("that is signed with the public key as a shared secret", async () => {
    const pem = createPublicKey({ key: jwk as never, format: "jwk" });
    for (const secret of [
      pem.export({ type: "spki", format: "pem" }),
      pem.export({ type: "spki", format: "der" }),
      Buffer.from(JSON.stringify(jwk)),
    ]) {
      const unsigned = assemble({ ...goodHeader, alg: "HS256" }, goodClaims).replace(/\.c2ln$/, "");
      const mac = createHmac("sha256", secret).update(unsigned).digest("base64url");
      assert.equal(await refusedBy(`${unsigned}.${mac}`), "alg");
    }
  });

  test("whose algorithm is for another kind of key", async () => {
    const { privateKey: rsa } = await generateKeyPair("RS256");
    assert.equal(await refusedBy(await sign(rsa, {}, { alg: "RS256" })), "kid");
  });

  test("that brings its own key", async () => {
    const mine = { ...(await exportJWK(other.publicKey)), kid: "k1" };
    for (const name of ["jwk", "jku", "x5u", "x5c", "crit"]) {
      const value = name === "jwk" ? mine : "https://evil.example";
      const token = assemble({ ...goodHeader, [name]: value }, goodClaims);
      assert.equal(await refusedBy(token), "header", name);
    }
  });

  test("that another key has signed", async () => {
    assert.equal(await refusedBy(await sign(other.privateKey)), "signature");
  });

  test("of which one character was changed", async () => {
    const [header, , signature] = (await sign(privateKey)).split(".");
    const claims = Buffer.from(JSON.stringify({ ...goodClaims, sub: "bob" })).toString("base64url");
    assert.equal(await refusedBy(`${header}.${claims}.${signature}`), "signature");
  });

  test("whose signature is of another length", async () => {
    const token = await sign(privateKey);
    const end = token.lastIndexOf(".") + 1;
    const signature = Buffer.from(token.slice(end), "base64url");
    for (const wrong of [signature.subarray(0, 32), Buffer.concat([signature, signature])]) {
      const cut = token.slice(0, end) + wrong.toString("base64url");
      assert.equal(await refusedBy(cut), "signature");
    }
  });

  test("that is too long, before anything in it is read", async () => {
    const token = await sign(privateKey, { padding: "x".repeat(maximumTokenBytes) });
    assert.equal(await refusedBy(token), "size");
  });

  test("in more than one spelling of the same bytes", async () => {
    const token = await sign(privateKey);
    assert.equal(await refusedBy(`${token}=`), "structure");
    assert.equal(await refusedBy(` ${token}`), "structure");
    assert.equal(await refusedBy(token.replace(".", "..")), "structure");
  });

  test("of a key that is none", async () => {
    const token = await sign(privateKey, {}, { alg: "ES256" });
    const [, claims, signature] = token.split(".");
    const header = Buffer.from(JSON.stringify({ ...goodHeader, alg: "RS256" }));
    const short = Buffer.alloc(128, 0xff).toString("base64url");
    const keys = [{ kid: "k1", jwk: { kty: "RSA", n: short, e: "AQAB" } as const }];
    const text = `${header.toString("base64url")}.${claims}.${signature}`;
    assert.equal(await refusedBy(text, { issuers: [{ ...issuer, keys }] }), "signature");
    const offCurve = { ...jwk, y: jwk.x } as { kty: "EC"; crv: string; x: string; y: string };
    const issuers = [{ ...issuer, keys: [{ kid: "k1", jwk: offCurve }] }];
    assert.equal(await refusedBy(token, { issuers }), "signature");
  });

  test("when the keys are too old", async () => {
    const token = await sign(privateKey);
    const late = { ...issuer, keysUntil: now };
    assert.equal(await refusedBy(token, { issuers: [late] }), "key-age");
    assert.equal(await refusedBy(token, { issuers: [] }), "iss");
  });

  test("and says whose it is by itself, whatever was wrong with it", async () => {
    const of = async (claims: Claims, header: Claims = {}, where: Where = {}) => {
      const token = assemble({ ...goodHeader, ...header }, { ...goodClaims, ...claims });
      const { issuer: name, claimed } = (await verifyToken(
        token,
        surroundings(issuer, where),
      )) as TokenRefusal;
      return [name, claimed];
    };
    const ann = ["idp", "person:idp_ann"];
    assert.deepEqual(await of({}), ann); // by its signature
    assert.deepEqual(await of({}, { alg: "none" }), ann);
    assert.deepEqual(await of({}, { jwk: {} }), ann);
    assert.deepEqual(await of({ exp: 0, client_id: "ann" }), ["idp", "app:idp_ann"]);
    for (const sub of [undefined, "", 7, "x".repeat(256)])
      assert.deepEqual(await of({ exp: 0, sub }), ["idp", undefined]);
    assert.deepEqual(await of({ iss: "https://other.example" }), [undefined, undefined]);
  });

  test("by a sentence that names no person", async () => {
    const token = await sign(privateKey, { sub: "ann.smith@hospital.example" });
    const verified = await verifyToken(token, surroundings(issuer, { username: "mrs.jones" }));
    const { claimed = "", ...said } = verified as TokenRefusal;
    assert.deepEqual(said, {
      check: "username",
      why: "expected username to be no user name, or the subject's",
      issuer: "idp",
    });
    assert.match(claimed, /^person:idp__[A-Za-z0-9_-]{32}$/);
  });
});

describe("a good token", () => {
  test("gives its subject, roles, attributes and end", async () => {
    assert.deepEqual(await granted(await sign(privateKey, { sid: "s-1" })), {
      subject: "person:idp_ann",
      kind: "person",
      attributes: { org: "hospital", id: "idp_ann", ward: "icu-1" },
      roles: ["nurse"],
      actions: ["publish", "subscribe"],
      issuer: "idp",
      jti: "t-1",
      sid: "s-1",
      issuedAt: (seconds - 10) * 1000,
      expiresAt: (seconds + 600) * 1000,
    });
  });

  test("may begin up to five seconds from now, be a list of one audience, and be application/at+jwt", async () => {
    await granted(await sign(privateKey, { nbf: seconds + 5, iat: seconds + 5 }));
    await granted(await sign(privateKey, { aud: ["wardmq.hospital"] }));
    await granted(await sign(privateKey, {}, { typ: "application/AT+JWT" }));
  });

  test("may come with its subject as the user name", async () => {
    const token = await sign(privateKey);
    for (const username of ["", "ann", "idp_ann", "person:idp_ann"])
      await granted(token, { username });
  });

  test("is not touched by a revocation of others, or of what was issued before it", async () => {
    const token = await sign(privateKey, { sid: "s-1" });
    await granted(token, revoked({ subject: "person:idp_bob" }));
    await granted(token, revoked({ issuer: "other", sid: "s-1" }));
    await granted(token, revoked({ subject: "person:idp_ann", issuedUntil: now - 10_001 }));
  });

  test("makes an app of a client that acts for itself", async () => {
    const { subject } = await granted(
      await sign(privateKey, { sub: "reports", client_id: "reports" }),
    );
    assert.equal(subject, "app:idp_reports");
  });

  test("is bound to the certificate of the connection", async () => {
    const cnf = { "x5t#S256": thumbprint };
    await granted(await sign(privateKey, { cnf }), { fingerprint });
  });

  test("is narrowed by its scopes", async () => {
    const narrowed = async (scope: string) => {
      const { actions, roles } = await granted(await sign(privateKey, { scope }));
      return [actions, roles];
    };
    assert.deepEqual(await narrowed("openid wardmq:subscribe"), [["subscribe"], ["nurse"]]);
    assert.deepEqual(await narrowed("wardmq:role:nurse wardmq:role:chief"), [
      ["publish", "subscribe"],
      ["nurse"],
    ]);
    assert.deepEqual(await narrowed("wardmq:publish wardmq:role:nurse wardmq:role:nurse"), [
      ["publish"],
      ["nurse"],
    ]);
    assert.deepEqual(await narrowed("openid"), [["publish", "subscribe"], ["nurse"]]);
  });
});

describe("an opaque token", () => {
  const opaque = "mF_9.B5f-4.1JqM";
  const { jti: _, ...spoken } = goodClaims;
  const verdict = (claims: Claims, changes = {}) =>
    verifyToken(
      opaque,
      surroundings(issuer, {
        introspected: { issuer: "idp", claims: asJson({ active: true, ...spoken, ...claims }) },
        ...changes,
      }),
    );
  const asJson = (claims: Claims) => JSON.parse(JSON.stringify(claims)) as Claims;
  const refusals: readonly (readonly [string, Claims, string])[] = [
    ["that is not active", { active: false }, "introspection"],
    ["that is nearly active", { active: "true" }, "introspection"],
    ["of another issuer", { iss: "https://other.example" }, "iss"],
    ["for another place", { aud: "wardmq.other" }, "aud"],
    ["for two places", { aud: ["wardmq.hospital", "wardmq.other"] }, "aud"],
    ["that has ended", { exp: seconds }, "exp"],
    ["without an end", { exp: undefined }, "exp"],
    ["of unknown age", { iat: undefined }, "iat"],
    ["that lives too long", { exp: seconds + 7_200 }, "life"],
    ["of a person without a subject", { sub: undefined, username: "ann" }, "sub"],
    ["that is bound to another certificate", { cnf: { "x5t#S256": "AAAA" } }, "cnf"],
    ["without a role", { groups: [] }, "roles"],
  ];
  for (const [what, claims, check] of refusals) {
    test(`${what} is refused`, async () => {
      const refused = await verdict(claims);
      assert.equal("check" in refused && refused.check, check);
    });
  }

  test("is judged by what its issuer said, as a JWT would be", async () => {
    const grant = await verdict({});
    assert.ok("subject" in grant, JSON.stringify(grant));
    assert.deepEqual([grant.subject, grant.roles], ["person:idp_ann", ["nurse"]]);
    assert.equal(grant.expiresAt, (seconds + 600) * 1000);
  });

  test("without an id of its own is known, and revoked, by its hash", async () => {
    const grant = await verdict({});
    const jti = createHash("sha256").update(opaque).digest("base64url");
    assert.equal("jti" in grant && grant.jti, jti);
    const revocations = [{ issuer: "idp", jti, issuedUntil: now, until: now + 1 }];
    const refused = await verdict({}, { revocations });
    assert.equal("check" in refused && refused.check, "revoked");
  });

  test("of nobody is its client's", async () => {
    const grant = await verdict({ sub: undefined, client_id: "reports" });
    assert.equal("subject" in grant && grant.subject, "app:idp_reports");
  });

  test("is told from a JWT by how it begins, whatever follows", async () => {
    const jwt = await sign(privateKey);
    for (const text of ["", jwt, jwt.slice(0, -8), jwt.split(".")[0] ?? "", "x".repeat(9_000)]) {
      assert.equal(isOpaque(text), false, text.slice(0, 40));
    }
    for (const text of [opaque, "secret", "a.b", "..."]) assert.equal(isOpaque(text), true, text);
  });

  test("nobody was asked about is no token", async () => {
    const refused = await verifyToken(opaque, surroundings(issuer));
    assert.equal("check" in refused && refused.check, "structure");
  });
});

describe("the mapping of claims to roles", () => {
  const row = (role: string, claim: readonly string[], value: string): RoleMapping => ({
    issuer: "idp",
    role,
    claim,
    value,
  });
  const rows: readonly RoleMapping[] = [
    { ...row("stranger", ["groups"], "nurses"), issuer: "other" },
    row("nurse", ["groups"], "nurses"),
    { ...row("chief", ["realm_access", "roles"], "chief"), amr: ["mfa"] },
    { ...row("auditor", ["groups"], "audit"), acr: ["gold", "platinum"] },
    { ...row("bridge", ["client_id"], "dashboard"), certificateBound: true },
  ];
  const rolesOf = async (claims: Claims, where: Where = {}) =>
    (await granted(await sign(privateKey, claims), { mapping: rows, ...where })).roles;

  test("takes exact values only, of a claim of the token itself", async () => {
    assert.deepEqual(await rolesOf({ groups: ["nurses", "Audit", "audit "] }), ["nurse"]);
    assert.deepEqual(await rolesOf({ groups: "nurses" }), ["nurse"]);
    const inherited = [row("x", ["constructor", "name"], "Object")];
    assert.equal(await refusedBy(await sign(privateKey), { mapping: inherited }), "roles");
  });

  test("gives a role that needs MFA only to who has proven it", async () => {
    const claims = { realm_access: { roles: ["chief"] } };
    assert.deepEqual(await rolesOf({ ...claims, amr: ["pwd"] }), ["nurse"]);
    assert.deepEqual(await rolesOf({ ...claims, amr: ["pwd", "mfa"] }), ["nurse", "chief"]);
    assert.deepEqual(await rolesOf({ groups: ["nurses", "audit"], acr: "silver" }), ["nurse"]);
    assert.deepEqual(await rolesOf({ groups: ["audit"], acr: "gold" }), ["auditor"]);
  });

  test("gives a role of bound tokens only to these", async () => {
    const cnf = { "x5t#S256": thumbprint };
    assert.deepEqual(await rolesOf({}, { fingerprint }), ["nurse"]);
    assert.deepEqual(await rolesOf({ cnf }, { fingerprint }), ["nurse", "bridge"]);
  });
});

describe("the id of a subject", () => {
  const idOf = async (sub: string, name = "idp") => {
    const of = { ...issuer, name };
    const where = { mapping: mapping.map((row) => ({ ...row, issuer: name })) };
    return (await granted(await sign(privateKey, { sub }), where, of)).attributes["id"] ?? "";
  };

  test("is in the closed alphabet, whatever the issuer says, and differs where subjects differ", async () => {
    const subs = [
      "ann",
      "Ann",
      "a_b",
      "_ann",
      "ann/+/#",
      "anné",
      "ann\u0000",
      "x".repeat(200),
      "ann ",
    ];
    const ids = await Promise.all(subs.map((sub) => idOf(sub)));
    for (const id of ids) assert.match(id, /^[A-Za-z0-9_-]{1,64}$/);
    assert.equal(new Set(ids).size, subs.length);
  });

  test("never meets one of another issuer", async () => {
    assert.notEqual(await idOf("ann"), await idOf("ann", "lab"));
    const hashed = await idOf("a_b");
    assert.notEqual(await idOf(hashed.slice("idp_".length)), hashed);
  });
});

describe("explaining a token", () => {
  test("says of each check whether it passed, what was found and what was expected", async () => {
    const token = await sign(privateKey, { aud: "wardmq.other", exp: seconds - 1 });
    const results = await explainToken(token, surroundings(issuer));
    assert.deepEqual(
      results.map(({ check }) => check),
      Object.keys(tokenChecks).filter((check) => check !== "introspection"),
    );
    const failed = results.filter(({ outcome }) => outcome !== "passed");
    assert.deepEqual(failed, [
      { check: "aud", outcome: "failed", found: "wardmq.other", expected: "wardmq.hospital" },
      {
        check: "exp",
        outcome: "failed",
        found: "2026-11-27T11:59:59.000Z",
        expected: "after 2026-11-27T12:00:00.000Z",
      },
    ]);
  });

  test("says where an earlier failure left nothing to look at", async () => {
    const results = await explainToken("opaque", surroundings(issuer));
    const of = (check: TokenCheck) => results.find((one) => one.check === check)?.outcome;
    assert.equal(of("structure"), "failed");
    assert.equal(of("signature"), "unknown");
  });

  test("says that a binding is not known without the certificate, nor what depends on it", async () => {
    const cnf = { "x5t#S256": thumbprint };
    const rows: readonly RoleMapping[] = [
      { role: "nurse", issuer: "idp", claim: ["groups"], value: "nurses" },
      { role: "bridge", issuer: "idp", claim: ["client_id"], value: "dashboard" },
    ];
    const outcomes = async (claims: Claims, bound: readonly string[], where: Where = {}) => {
      const mapped = rows.map((row) => ({ ...row, certificateBound: bound.includes(row.role) }));
      const results = await explainToken(
        await sign(privateKey, claims),
        surroundings(issuer, { mapping: mapped, ...where }),
      );
      return ["cnf", "roles"].map((check) => results.find((one) => one.check === check)?.outcome);
    };
    const all = ["nurse", "bridge"];
    assert.deepEqual(await outcomes({ cnf }, []), ["unknown", "passed"]);
    assert.deepEqual(await outcomes({ cnf }, ["bridge"]), ["unknown", "passed"]);
    assert.deepEqual(await outcomes({ cnf }, all), ["unknown", "unknown"]);
    assert.deepEqual(await outcomes({ cnf, groups: [], client_id: "x" }, all), [
      "unknown",
      "failed",
    ]);
    assert.deepEqual(await outcomes({}, all), ["passed", "failed"]);
    assert.deepEqual(await outcomes({ cnf: { jkt: thumbprint } }, all), ["failed", "failed"]);
    assert.deepEqual(await outcomes({ cnf }, all, { fingerprint }), ["passed", "passed"]);
    const other = "0".repeat(64);
    assert.deepEqual(await outcomes({ cnf }, [], { fingerprint: other }), ["failed", "passed"]);
    const [token, where] = [await sign(privateKey, { cnf }), surroundings(issuer)];
    const result = (await explainToken(token, where)).find(({ check }) => check === "cnf");
    assert.equal(result?.found, `x5t#S256 ${thumbprint}`);
    assert.match(result.expected, /--certificate/);
    assert.equal(await refusedBy(token), "cnf");
  });

  test("says what a text is that is no signed token, and repeats nothing of it", async () => {
    const good = await sign(privateKey);
    const [header = "", claims = "", signature = ""] = good.split(".");
    const none = Buffer.from(JSON.stringify({ ...goodHeader, alg: "none" })).toString("base64url");
    for (const [text, found] of [
      [`${none}.${claims}.`, "no signature, and the algorithm none"],
      [`${header}.${claims}.`, "no signature, and the algorithm ES256"],
      ["opaque", "one part"],
      [`${header}.${claims}`, "two parts"],
      [`${good}.x.y`, "5 parts"],
      [`x.${claims}.${signature}`, "a first part that is none"],
      [`${header}.x.${signature}`, "a second part that is none"],
      [`${good}=`, "a signature that is not base64url"],
    ] as const) {
      const results = await explainToken(text, surroundings(issuer));
      const structure = results.find(({ check }) => check === "structure");
      assert.deepEqual([structure?.outcome, structure?.found], ["failed", found]);
    }
  });

  test("never repeats the token or its signature", async () => {
    const token = await sign(privateKey);
    const said = JSON.stringify(await explainToken(token, surroundings(issuer)));
    for (const part of token.split(".")) assert.ok(!said.includes(part));
  });
});

describe("any text", () => {
  test("is a grant or a refusal, and never an error", async () => {
    const json = fc.json({ maxDepth: 3 });
    const part = fc.oneof(
      json.map((text) => Buffer.from(text).toString("base64url")),
      fc.string(),
      fc.constantFrom(...(await sign(privateKey)).split(".")),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 5 }), async (parts) => {
        const verified = await verifyToken(parts.join("."), surroundings(issuer));
        assert.ok("check" in verified || verified.subject === "person:idp_ann");
      }),
      { numRuns: 500 },
    );
  });

  test("in a claim or the header is refused or changes nothing that matters", async () => {
    const name = fc.constantFrom(
      ...Object.keys(goodClaims),
      "nbf",
      "cnf",
      "scope",
      "acr",
      "__proto__",
    );
    await fc.assert(
      fc.asyncProperty(name, fc.jsonValue({ maxDepth: 2 }), async (claim, value) => {
        const token = assemble(goodHeader, { ...goodClaims, [claim]: value });
        assert.ok("check" in (await verifyToken(token, surroundings(issuer))));
        await explainToken(token, surroundings(issuer));
      }),
      { numRuns: 500 },
    );
  });
});

describe("a JWK Set", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey.export({
    format: "jwk",
  });
  const ed = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" });
  const kidsOf = (...keys: readonly unknown[]) => keysIn(keys).map(({ kid }) => kid);

  test("that is none is refused whole", () => {
    for (const text of ["", "[]", "{}", '{"keys":{}}', "null", '{"keys":"x"}', "<html>"]) {
      assert.equal(parseJwkSet(text), "what it sent is no JWK Set", text);
    }
    const many = JSON.stringify({ keys: Array.from({ length: 65 }, () => jwk) });
    assert.equal(parseJwkSet(many), "its JWK Set has 65 keys, more than 64");
  });

  test("gives no key that is short, cut, secret, doubtful or for something else", () => {
    const short = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
    const bad = [
      { ...short.export({ format: "jwk" }), kid: "short" },
      { ...rsa, kid: "exponent", e: "Aw" },
      { ...ed, kid: "cut", x: ed.x?.slice(0, -8) },
      { ...ed, kid: "padded", x: `${ed.x}=` },
      { ...jwk, kid: "cut", y: "AAAA" },
      { ...jwk, kid: "curve", crv: "P-384" },
      { kty: "oct", kid: "secret", k: "AAAA", alg: "HS256" },
      { ...jwk, kid: "encryption", use: "enc" },
      { ...jwk, kid: "signing", key_ops: ["sign"] },
      { ...jwk, kid: "hmac", alg: "HS256" },
      { ...jwk, kid: undefined },
      { ...jwk, kid: "twice" },
      { ...ed, kid: "twice" },
      null,
      "key",
    ];
    assert.deepEqual(kidsOf(...bad), []);
  });

  test("measures a modulus by what it is without leading zeros, and keeps that", () => {
    const of = (...bytes: readonly number[]) =>
      keysIn([{ kty: "RSA", kid: "r", e: "AQAB", n: Buffer.from(bytes).toString("base64url") }]);
    const rest = Array.from({ length: 255 }, () => 0xff);
    const zeros = Array.from({ length: 128 }, () => 0);
    assert.deepEqual(of(...zeros, ...rest.slice(0, 128)), []);
    assert.deepEqual(of(0x7f, ...rest), []);
    assert.deepEqual(of(...zeros, ...zeros), []);
    const kept = of(0x80, ...rest);
    assert.equal(kept.length, 1);
    assert.deepEqual(of(0, 0x80, ...rest), kept);
  });

  test("gives the others, with public members only", () => {
    const keys = keysIn([
      { ...jwk, d: "AAAA" },
      { ...rsa, kid: "r", alg: "PS256" },
      { ...ed, kid: "e" },
    ]);
    assert.deepEqual(
      keys.map(({ kid, jwk: { kty } }) => [kid, kty]),
      [
        ["k1", "EC"],
        ["r", "RSA"],
        ["e", "OKP"],
      ],
    );
    assert.ok(!JSON.stringify(keys).includes('"d"'));
  });
});
