import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { IssuersError, parseIssuers } from "../src/index.ts";

const smallest = `issuers:
  hospital:
    issuer: https://idp.hospital.example/realm
    audience: wardmq.hospital
`;

/** The first problem of a file with a line more or another one. */
function problemOf(text: string): string {
  try {
    parseIssuers(text, { roles: ["viewer"], commands: ["revoke"] });
  } catch (error) {
    assert.ok(error instanceof IssuersError);
    return error.message.split("\n")[0] ?? "";
  }
  throw new Error("the file was accepted");
}

const add = (lines: string) => `${smallest}${lines}\n`;

describe("issuers.yaml", () => {
  const rows: readonly (readonly [string, string, RegExp])[] = [
    ["is empty", "", /^issuers\.yaml:1:1: /],
    ["is no YAML", "issuers: [", /not valid YAML/],
    ["has an alias", smallest.replace("wardmq.hospital", "*x"), /alias|Unresolved/i],
    [
      "has an unknown key",
      add("    audiance: x"),
      /:5:\d+: issuers\.hospital\.audiance: is not a known key/,
    ],
    ["has a key twice", add("    audience: y"), /not valid YAML/],
    [
      "has http",
      smallest.replace("https:", "http:"),
      /:3:13: issuers\.hospital\.issuer: expected a URL/,
    ],
    ["has a secret in a URL", smallest.replace("https://", "https://a:b@"), /expected a URL/],
    ["has no audience", smallest.replace(/ {4}audience.*\n/, ""), /issuers\.hospital\.audience: /],
    [
      "says which roles claims give, as once",
      add("    roles: [{ role: nurse, claim: groups, value: nurses }]"),
      /:5:12: issuers\.hospital\.roles: stands in the policy now: write claims: .* in policy\.yaml/,
    ],
    ["takes unsigned tokens", add("    algorithms: [none]"), /issuers\.hospital\.algorithms\.0: /],
    ["takes shared secrets", add("    algorithms: [HS256]"), /issuers\.hospital\.algorithms\.0: /],
    ["lets tokens live for days", add("    maximumLifeSeconds: 90000"), /maximumLifeSeconds: /],
    [
      "has an issuer's name with _",
      smallest.replace("hospital:", "my_idp:"),
      /expected a name of 1 to 16/,
    ],
    ["maps org", add("    attributes: { org: tenant }"), /attributes/],
    [
      "has one iss under two names",
      `${smallest}${smallest.slice("issuers:\n".length).replace("hospital:", "other:")}`,
      /same iss/,
    ],
    [
      "lets the brokers' tokens into the API",
      add("    api: { audience: wardmq.hospital }"),
      /api\.audience: is that of the brokers/,
    ],
    [
      "gives a role the API does not have",
      add("    api: { audience: a, roles: [{ role: root, claim: c, value: v }] }"),
      /api\.roles\.0\.role: expected viewer/,
    ],
    [
      "asks for MFA for a command the API does not have",
      add("    api: { audience: a, stepUp: [{ commands: [revoke, revok], amr: [mfa] }] }"),
      /stepUp\.0\.commands: the API has no command revok/,
    ],
    [
      "lets nothing be taken in an emergency",
      add("    api: { audience: a, breakGlass: [{ name: n, claim: c, value: v }] }"),
      /breakGlass\.0: expected one of apiRole and policyRole/,
    ],
    [
      "lets one thing be taken under two rows",
      add(
        "    api: { audience: a, breakGlass: [{ name: n, policyRole: r, claim: c, value: v }, { name: n, policyRole: s, claim: c, value: v }] }",
      ),
      /breakGlass\.1\.name: is there twice/,
    ],
    [
      "asks two issuers about opaque tokens",
      `${add("    introspection: { clientId: a, clientSecretFile: f }")}${add(
        "    introspection: { clientId: a, clientSecretFile: f }",
      )
        .slice("issuers:\n".length)
        .replace("hospital:", "other:")
        .replace("/realm", "/other")}`,
      /other\.introspection: an opaque token does not say whose it is/,
    ],
  ];
  for (const [what, text, expected] of rows) {
    test(`is refused when it ${what}`, () => assert.match(problemOf(text), expected));
  }

  test("needs little, and is strict about what is left out", () => {
    assert.deepEqual(parseIssuers(smallest), [
      {
        name: "hospital",
        issuer: "https://idp.hospital.example/realm",
        audience: "wardmq.hospital",
        jwksUri: undefined,
        caFile: undefined,
        algorithms: ["ES256", "ES384", "EdDSA", "PS256", "RS256"],
        typ: "at+jwt",
        maximumLifeSeconds: 3_600,
        refreshSeconds: 600,
        keysMaximumAgeSeconds: 28_800,
        requiredClaims: ["client_id", "jti"],
        attributes: {},
        introspection: undefined,
        api: undefined,
        logoutClients: [],
      },
    ]);
  });

  test("may map one attribute of two", () => {
    const [issuer] = parseIssuers(add("    attributes: { ward: department }"));
    assert.deepEqual(issuer?.attributes, { ward: "department" });
  });

  test("may name nobody", () => assert.deepEqual(parseIssuers("issuers: {}"), []));
});
