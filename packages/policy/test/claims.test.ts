import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  compilePolicy,
  diffPolicies,
  explain,
  PolicyError,
  parsePolicy,
  runPolicyTests,
  type Subject,
  tokenRoles,
  whatCan,
  whoCan,
} from "../src/index.ts";

const roles = `roles:
  nurse: { subscribe: ["{org}/+/{ward}/device/+/alarm"] }
  pump-control:
    requires: { acr: [gold, platinum], amr: [mfa], certificateBound: true }
    publish: ["{org}/+/{ward}/device/+/command"]
`;
const nurses = "  - { issuer: idp, claim: groups, value: nurses, role: nurse }\n";
const pumps =
  "  - { issuer: idp, claim: [realm_access, roles], value: pumps, role: pump-control }\n";
const text = `${roles}claims:\n${nurses}${pumps}`;
const alarms = "st-anna/main/icu-1/device/+/alarm";

/** `line:column path: message` of the first problem. */
function problemOf(wrong: string): string {
  try {
    parsePolicy(wrong);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    const [{ line, column, path, message, hint } = assert.fail()] = error.problems;
    return `${line}:${column} ${path}: ${message}; ${hint}`;
  }
  return "none";
}

const ann = (given: readonly string[]): Subject => ({
  id: "person:idp_ann",
  kind: "person",
  attributes: { org: "st-anna", id: "idp_ann", ward: "icu-1" },
  roles: given,
});

describe("claims of a policy", () => {
  const refused: readonly (readonly [string, string, RegExp])[] = [
    [
      "a role that is not of the policy",
      text.replace("role: nurse }", "role: nurze }"),
      /^7:56 claims\[0\]\.role: expected a role of this file, found "nurze"; did you mean nurse/,
    ],
    [
      "an issuer that can have no such name",
      text.replace("issuer: idp", "issuer: https://idp.example"),
      /^7:15 claims\[0\]\.issuer: expected an issuer, .* write its name in issuers\.yaml/,
    ],
    [
      "no way to a claim",
      text.replace("[realm_access, roles]", "[]"),
      /^8:27 claims\[1\]\.claim: .*found an empty list; write groups/,
    ],
    [
      "a value that is no text",
      text.replace("nurses,", "[nurses, doctors],"),
      /claims\[0\]\.value/,
    ],
    ["no value", text.replace("value: nurses, ", ""), /^7:5 claims\[0\]: expected the key value/],
    [
      "conditions of a single row",
      text.replace("role: nurse }", "role: nurse, amr: [mfa] }"),
      /unknown key "amr"/,
    ],
  ];
  for (const [what, wrong, expected] of refused) {
    test(`are refused with ${what}`, () => assert.match(problemOf(wrong), expected));
  }

  test("alone give a role that requires a login", () => {
    const bound = `${text}bindings:\n  - { role: pump-control, to: "person:idp_ann" }\n`;
    assert.match(
      problemOf(bound),
      /^10:13 bindings\[0\]\.role: expected a role without requires, found "pump-control"; give it by claims/,
    );
    const granted = `${text}grants:\n  - { role: pump-control, to: "service:a", reason: x, approvedBy: y }\n`;
    assert.match(problemOf(granted), /^10:13 grants\[0\]\.role: expected a role without requires/);
    assert.equal(problemOf(bound.replace("role: pump-control, to", "role: nurse, to")), "none");
    const sent = {
      ...parsePolicy(text),
      bindings: [{ role: "pump-control", to: "app:a", line: 1, column: 1 }],
    };
    assert.throws(() => compilePolicy(sent), /expected a role without requires/);
  });

  test("reach whoever judges tokens with what their roles require", () => {
    const expected = [
      { issuer: "idp", claim: ["groups"], value: "nurses", role: "nurse" },
      {
        issuer: "idp",
        claim: ["realm_access", "roles"],
        value: "pumps",
        role: "pump-control",
        acr: ["gold", "platinum"],
        amr: ["mfa"],
        certificateBound: true,
      },
    ];
    const policy = parsePolicy(text);
    assert.deepEqual(tokenRoles(policy), expected);
    assert.deepEqual(compilePolicy(JSON.parse(JSON.stringify(policy))).tokenRoles, expected);
    const empty = { ...policy, claims: [{ ...policy.claims[0], claim: [] }] };
    assert.throws(() => compilePolicy(empty as typeof policy), /an empty list/);
  });

  test("are among those who can do something, and roles that nobody has are not", () => {
    const who = (policy: string) =>
      whoCan(parsePolicy(policy), "subscribe", "st-anna/+/+/device/+/alarm").map((one) => one.who);
    assert.deepEqual(new Set(who(text)), new Set(["tokens of idp with groups = nurses"]));
    assert.deepEqual(who(roles), []);
  });

  test("that are given or taken away are a difference", () => {
    const [without, both] = [parsePolicy(`${roles}claims:\n${nurses}`), parsePolicy(text)];
    const { gained, lost } = diffPolicies(without, both);
    assert.deepEqual(
      gained.map(({ who, action, filter }) => [who, action, filter]),
      [
        [
          "tokens of idp with realm_access.roles = pumps",
          "publish",
          "{org}/+/{ward}/device/+/command",
        ],
      ],
    );
    assert.deepEqual(lost, []);
    assert.equal(diffPolicies(both, without).lost.length, 1);
  });

  test("explain why a person does not have a role, and are never passed by with a binding", () => {
    const policy = parsePolicy(text);
    const asked = { action: "subscribe", topic: alarms, at: 0 } as const;
    assert.equal(explain(policy, { ...asked, subject: ann(["nurse"]) }).decision.effect, "Permit");
    const { decision, close } = explain(policy, { ...asked, subject: ann([]) });
    assert.equal(decision.effect, "Deny");
    assert.equal(
      close[0]?.why,
      "person:idp_ann does not have the role nurse, which tokens of idp with groups = nurses have",
    );
    const command = {
      action: "publish",
      topic: alarms.replace("+/alarm", "x/command"),
      at: 0,
    } as const;
    const { changes } = explain(policy, { ...command, subject: ann(["nurse"]) });
    assert.ok(changes.every(({ text: change }) => !change.includes("role: pump-control")));
  });

  test("count in what a subject can do and in the policy's tests", () => {
    const policy = parsePolicy(`${text}tests:
  - { subject: "person:idp_ann", with: { org: st-anna, ward: icu-1 }, roles: [nurse], subscribe: "${alarms}", expect: Permit }
  - { subject: "person:idp_ann", with: { org: st-anna, ward: icu-1 }, subscribe: "${alarms}", expect: Deny }
`);
    assert.deepEqual(
      runPolicyTests(policy, 0).map(({ passed }) => passed),
      [true, true],
    );
    const rights = whatCan(policy, ann(["nurse"]), 0).allowed.map(({ filter }) => filter);
    assert.deepEqual(rights, ["st-anna/+/icu-1/device/+/alarm"]);
  });
});
