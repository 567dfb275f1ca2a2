import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  checkPolicy,
  defaultPolicyText,
  describeFinding,
  type PolicyCheck,
  parsePolicy,
  policyChecks,
  unusedRules,
  wildcardsOf,
} from "../src/index.ts";
import { otherUuid, policyText, type Rules, uuid } from "./world.ts";

/** A role `r` and whom it is bound to; what is found about its first rule. */
interface Row {
  readonly check: PolicyCheck;
  readonly to?: readonly string[];
  /** Filters that are reported; the neighbours are not. */
  readonly found: Rules;
  readonly neighbours: Rules;
}

const bound = (filters: string, more = "") =>
  `roles: { r: { publish: [${filters}] } }\nbindings: [{ role: r, to: "service:a"${more} }]\n`;
const alarm = '"{org}/+/+/device/+/alarm"';
const grantOf = (times: string) =>
  `roles: { r: {} }\ngrants: [{ role: r, to: "service:a", ${times} reason: x, approvedBy: y }]`;
const groupOf = (to: string) =>
  `roles: { r: {} }\ngroups: { icu: { kind: device, ward: [icu] } }\nbindings: [{ role: r, to: "${to}" }]`;
const deny = (filter: string) => `deny: [{ publish: ["${filter}"], reason: x }]\n`;

/** A policy of which the check is found, and one like it of which it is not. */
const wholeRows: readonly (readonly [PolicyCheck, found: string, neighbour: string])[] = [
  ["endless-grant", grantOf(""), grantOf('until: "2026-12-01T00:00:00Z",')],
  ["unused-group", groupOf("device:*"), groupOf("group:icu")],
  [
    "envelope-not-enforced",
    bound(`{ filter: ${alarm}, envelope: required }`),
    bound(`{ filter: ${alarm}, envelope: optional }`),
  ],
  ["allows-no-topic", bound('"{org}/nowhere"'), bound('"{org}/deid/here"')],
  ["allows-no-topic", bound(alarm) + deny("{org}/+/+/#"), bound(alarm) + deny("{org}/main/+/#")],
  [
    "denies-nothing",
    bound(alarm) + deny("{org}/+/+/device/+/command"),
    bound(alarm) + deny("{org}/main/#"),
  ],
  [
    "answers-unwatched",
    `topics: { commands: [] }\nroles: {}`,
    `topics: { commands: [{ topic: "{org}/{site}/{ward}/device/{uuid}/command" }] }\nroles: {}`,
  ],
  ["phi-off", "roles: {}\nphi: { mode: off }", "roles: {}\nphi: { mode: warn }"],
  [
    "phi-off",
    "roles: {}\nphi: { detectors: { phone: off } }",
    "roles: {}\nphi: { detectors: { phone: warn } }",
  ],
  [
    "no-schema",
    "tenants: { a: { topics: { schema: off } } }\nroles: {}",
    "tenants: { a: { topics: { schema: strict } } }\nroles: {}",
  ],
  [
    "already-allowed",
    bound(`{ filter: ${alarm}, qos: 1 }, { filter: ${alarm}, qos: 0 }`),
    bound(`{ filter: ${alarm}, qos: 1 }, { filter: ${alarm}, qos: 0, retain: allowed }`),
  ],
  ["speaks-for-devices", bound(alarm), bound(alarm, ", where: { ward: icu }")],
];

const own = "{org}/{site}/{ward}/device/{id}";
const everyDevice = ["device:*"];

const rows: readonly Row[] = [
  {
    check: "every-topic",
    found: { subscribe: ["#", "+/#", "+/+/#"], publish: ["#"] },
    neighbours: { subscribe: ["{org}/#", "+/a/#", "+/+", "+", "a/#", "$SYS/#"] },
  },
  {
    check: "leaves-organisation",
    found: { subscribe: ["+/a", "+", "+/+", "{id}/a", "{ward}/#", "+/a/#"], publish: ["+/a"] },
    neighbours: { subscribe: ["{org}/a", "deid/+", "$SYS/#", "#"], publish: ["{org}/+"] },
  },
  {
    check: "whole-organisation",
    found: { subscribe: ["{org}/#", "{org}/+/#", "{org}/+/+/+/#", "st-anna/#"] },
    neighbours: { subscribe: ["{org}/a/#", "{org}/+/+", "{org}/+/a/#", "$SYS/#", "#"] },
  },
  {
    check: "speaks-for-others",
    to: everyDevice,
    found: { publish: ["#", "{org}/alarm", "{org}/{site}/{ward}/device/+/alarm", `x/${uuid}`] },
    neighbours: { publish: [`${own}/alarm`, "{org}/by/{id}"], subscribe: ["{org}/notice"] },
  },
  {
    check: "speaks-for-others",
    to: ["service:a"],
    found: {},
    neighbours: { publish: ["{org}/alarm", "#"] },
  },
  {
    check: "reaches-other-devices",
    to: everyDevice,
    found: {
      subscribe: [
        "#",
        "{org}/#",
        "{org}/{site}/{ward}/#",
        "{org}/{site}/{ward}/device/#",
        "{org}/{site}/{ward}/device/+/alarm",
        "{org}/{site}/{ward}/+/+/alarm",
        "{org}/{site}/{ward}/device/{model}/alarm",
        `{org}/{site}/{ward}/device/${uuid}/alarm`,
        "{id}/{id}/{id}/device/+",
      ],
      publish: ["{id}/{site}/{ward}/device/+/alarm"],
    },
    neighbours: {
      subscribe: [
        `${own}/#`,
        `+/+/+/device/{id}/command`,
        "{org}/{site}/{ward}/notice",
        "{org}/{site}/{ward}/gateway/+/alarm",
        "{org}/{site}/{ward}/device",
        "$SYS/+/+/+/device",
      ],
      publish: [`${own}/alarm`],
    },
  },
  {
    check: "reaches-other-devices",
    to: [`device:${uuid}`],
    found: { subscribe: [`{org}/{site}/{ward}/device/${otherUuid}/alarm`] },
    neighbours: { subscribe: [`{org}/{site}/{ward}/device/${uuid}/alarm`] },
  },
  {
    check: "reaches-other-devices",
    to: ["service:a"],
    found: {},
    neighbours: { subscribe: ["{org}/+/+/device/+/alarm"] },
  },
  {
    check: "system-topics",
    to: everyDevice,
    found: { subscribe: ["$SYS/#", "$SYS/broker/uptime"] },
    neighbours: { subscribe: ["{org}/$SYS/x", "#"] },
  },
  {
    check: "system-topics",
    to: ["service:*"],
    found: { subscribe: ["$SYS/#"] },
    neighbours: { subscribe: ["SYS/x"] },
  },
  {
    check: "system-topics",
    to: ["service:operator"],
    found: {},
    neighbours: { subscribe: ["$SYS/#"] },
  },
  {
    check: "never-applies",
    to: ["device:*", "service:a"],
    found: { subscribe: ["{org}/{ward}/a", "{org}/{site}/a", "{model}"] },
    neighbours: { subscribe: ["{org}/{id}/a"] },
  },
  {
    check: "never-applies",
    to: everyDevice,
    found: {},
    neighbours: { subscribe: ["{org}/{site}/{ward}/{id}/{model}"] },
  },
  {
    check: "already-allowed",
    found: { subscribe: ["{org}/a", "{org}/{id}", "{org}/+/b", "x", "y/+"], publish: ["p"] },
    neighbours: { subscribe: ["{org}/#", "x/+/b", "y/#", "+"], publish: ["+", "+/x"] },
  },
  {
    check: "unusual-text",
    found: {
      subscribe: ["/{org}/a", "{org}/a/", "{org}//a", "{org}/a b", "w\u0430rd", "{org}/%u"],
    },
    neighbours: { subscribe: ["{org}/a-b_c.d:e~f@g", "$SYS/x", "{org}/+/#"] },
  },
];

describe("checkPolicy", () => {
  for (const { check, to = ["service:a"], found, neighbours } of rows) {
    test(`finds ${check} for ${to.join(" and ")}, and not in its neighbours`, () => {
      const rules = {
        publish: [...(found.publish ?? []), ...(neighbours.publish ?? [])],
        subscribe: [...(found.subscribe ?? []), ...(neighbours.subscribe ?? [])],
      };
      const bindings = to.map((one) => ["r", one] as const);
      const findings = findingsOf({ r: rules }, bindings).filter((one) => one.check === check);
      const ids = (action: "publish" | "subscribe") =>
        (found[action] ?? []).map((_, index) => `r/${action}[${index}]`);
      assert.deepEqual(
        findings.map(({ ruleId }) => ruleId).toSorted(),
        [...ids("publish"), ...ids("subscribe")].toSorted(),
      );
    });
  }

  test("says who writes and reads the same control topic, within a role and across roles", () => {
    const pairs: readonly [publish: string, subscribe: string, found: boolean][] = [
      [`${own}/command`, `${own}/command`, true],
      [`${own}/#`, `${own}/config`, true],
      [`${own}/firmware/+`, `${own}/firmware/command`, true],
      ["#", "#", true],
      ["{org}/+/+/device/+/command", "{org}/+/+/device/+/#", true],
      [`${own}/command/response`, `${own}/command`, false],
      [`${own}/alarm`, `${own}/alarm`, false],
      [`${own}/command`, `${own}/config`, false],
      ["{org}/a/+/device/+/command", "{org}/b/+/device/+/command", false],
      ["{org}/+/+/device/+/command", "st-anna/+/+/device/+/command", true],
      ["{org}/+/+/device/+/command", "st anna/+/+/device/+/command", false],
      ["{org}/+/+/device/+/command", "{org}/+/+/device/+/telemetry", false],
    ];
    for (const [publish, subscribe, found] of pairs) {
      const together = findingsOf({ r: { publish: [publish], subscribe: [subscribe] } }, [
        ["r", "device:*"],
      ]);
      const roles = { w: { publish: [publish] }, r: { subscribe: [subscribe] } };
      const across = findingsOf(roles, [
        ["w", "service:a"],
        ["r", "service:*"],
      ]);
      const apart = findingsOf(roles, [
        ["w", "service:a"],
        ["r", "service:b"],
      ]);
      const ids = (findings: typeof together) =>
        findings.filter(({ check }) => check === "both-ways-control").map(({ ruleId }) => ruleId);
      assert.deepEqual(ids(together), found ? ["r/publish[0]"] : [], publish);
      assert.deepEqual(ids(across), found ? ["w/publish[0]"] : [], publish);
      assert.deepEqual(ids(apart), [], publish);
    }
  });

  test("finds roles that nobody has and roles that allow nothing", () => {
    const rules = { subscribe: ["{org}/a"] };
    const findings = findingsOf({ used: rules, unused: rules, idle: {} }, [
      ["used", "service:a"],
      ["idle", "service:a"],
    ]);
    assert.deepEqual(
      findings.map(({ check, role }) => [check, role]),
      [
        ["never-bound", "unused"],
        ["allows-nothing", "idle"],
      ],
    );
  });

  test("finds bindings of all services and bindings given twice", () => {
    const bindings = [
      ["r", "service:*"],
      ["r", "service:a"],
      ["q", "service:a"],
      ["q", "service:b"],
      ["q", "service:a"],
      ["q", "device:*"],
      ["q", `device:${uuid}`],
    ] as const;
    const rules = { subscribe: ["{org}/a"] };
    assert.deepEqual(
      findingsOf({ r: rules, q: rules }, bindings).map(({ check, path }) => [check, path]),
      [
        ["every-service", "bindings[0]"],
        ["already-bound", "bindings[1]"],
        ["already-bound", "bindings[4]"],
        ["already-bound", "bindings[6]"],
      ],
    );
  });

  test("says of two rules that allow the same that the later one is superfluous", () => {
    const found = (...subscribe: string[]) =>
      findingsOf({ r: { subscribe } }, [["r", "service:a"]])
        .filter(({ check }) => check === "already-allowed")
        .map(({ ruleId }) => ruleId);
    for (const [one = "", same = ""] of [
      ["{org}/a", "{org}/a"],
      ["#", "+/#"],
      ["/#", "/+/#"],
    ]) {
      assert.deepEqual(found(one, same), ["r/subscribe[1]"]);
      assert.deepEqual(found(same, one), ["r/subscribe[1]"]);
    }
    assert.deepEqual(found("a/#", "a/+/#"), ["r/subscribe[1]"]);
    assert.deepEqual(found("#", "$SYS/x"), []);
    assert.deepEqual(found("{org}/a", "{id}/a", "x/a"), []);
  });

  test("gives the line and column of the rule, in the order of the file", () => {
    const text = [
      "roles:",
      "  wide:",
      "    subscribe:",
      '      - "{org}/x"',
      '      - "#"',
      "  unused: { publish: [a] }",
      "bindings:",
      "  - { role: wide, to: service:* }",
      "topics: { schema: off }",
    ].join("\n");
    assert.deepEqual(
      checkPolicy(parsePolicy(text)).map((finding) => describeFinding(finding, "policy.yaml")),
      [
        "policy.yaml:4:9: notice: roles.wide.subscribe[0]: allows only what wide/subscribe[1] (line 5) allows; remove one of the two",
        "policy.yaml:5:9: warning: roles.wide.subscribe[1]: reaches every topic of every organisation; begin it with {org} and name the channels that are needed",
        "policy.yaml:6:3: notice: roles.unused: is bound to nobody; add a binding or a claim, or remove the role",
        "policy.yaml:8:5: warning: bindings[0]: is bound to all services, also those that are added later; bind it to each service by name",
        "policy.yaml:9:9: warning: topics: lets topics look like anything, and takes the standard assertions away; write templates for the topics that are needed",
      ],
    );
  });

  for (const [check, found, neighbour] of wholeRows) {
    test(`finds ${check}, and not in its neighbour`, () => {
      const checks = (text: string) => checkPolicy(parsePolicy(text)).map((one) => one.check);
      assert.ok(checks(found).includes(check), found);
      assert.ok(!checks(neighbour).includes(check), neighbour);
    });
  }

  test("finds claims of an issuer that nobody follows, and claims that are there twice", () => {
    const claim = "{ issuer: idp, claim: groups, value: nurses, role: r }";
    const policy = (claims: string) =>
      parsePolicy(`roles: { r: { subscribe: [${alarm}] } }\nclaims:\n${claims}`);
    const checks = (claims: string, issuers?: readonly string[]) =>
      checkPolicy(policy(claims), issuers === undefined ? {} : { issuers }).map(
        ({ check, line }) => `${check} ${line}`,
      );
    assert.deepEqual(checks(`- ${claim}\n`, ["ipd"]), ["unknown-issuer 3"]);
    assert.deepEqual(checks(`- ${claim}\n`, ["idp"]), []);
    assert.deepEqual(checks(`- ${claim}\n`), []);
    assert.deepEqual(checks(`- ${claim}\n- ${claim}\n`), ["already-bound 4"]);
    assert.deepEqual(checks(`- ${claim}\n- ${claim.replace("nurses", "ward")}\n`), []);
  });

  test("finds roles and rules that nobody has used for a time, and none that is too new to tell", () => {
    const day = (text: string) => Date.parse(`${text}T00:00:00Z`);
    const policy = parsePolicy(
      `roles:\n  r:\n    subscribe: [${alarm}, "{org}/deid/#"]\n  gone:\n    publish: ["{org}/deid/x"]\n`,
    );
    const rule = (
      role: string,
      action: "publish" | "subscribe",
      filter: string,
      lastUsed?: string,
    ) => ({
      role,
      action,
      filter,
      since: day("2026-10-01"),
      ...(lastUsed === undefined ? {} : { lastUsed: day(lastUsed) }),
    });
    const found = (...uses: Parameters<typeof unusedRules>[1]) =>
      unusedRules(policy, uses, day("2026-11-01")).map((one) =>
        describeFinding(one, "policy.yaml"),
      );
    const used = rule("r", "subscribe", "{org}/+/+/device/+/alarm", "2026-11-20");
    const hint = "take the right away, or keep it for what is rare";
    assert.deepEqual(
      found(
        used,
        rule("r", "subscribe", "{org}/deid/#"),
        rule("gone", "publish", "{org}/deid/x", "2026-10-31"),
      ),
      [
        `policy.yaml:3:45: notice: roles.r.subscribe[1]: was never used since it is in force (2026-10-01); ${hint}`,
        `policy.yaml:4:3: warning: roles.gone: was last used on 2026-10-31; ${hint}`,
      ],
    );
    assert.deepEqual(
      found(used, { ...rule("r", "subscribe", "{org}/deid/#"), since: day("2026-11-02") }),
      [],
    );
    assert.deepEqual(found(rule("gone", "publish", "{org}/deid/x", "2026-11-01")), []);
  });

  test("lists every wildcard with what stands open by it", () => {
    const reach = wildcardsOf(parsePolicy(defaultPolicyText())).map((one) => [
      one.ruleId,
      one.reach,
    ]);
    assert.deepEqual(reach, [
      ["bedside-device/publish[5]", "every correlation"],
      ["bedside-device/subscribe[4]", "every correlation"],
      ["clinical-dashboard/subscribe[0]", "every site, every ward, every device"],
      ["clinical-dashboard/subscribe[1]", "every site, every ward, every device"],
    ]);
  });

  test("finds nothing in the default policy, and in none that allows nothing", () => {
    assert.deepEqual(checkPolicy(parsePolicy(defaultPolicyText())), []);
    assert.deepEqual(checkPolicy(parsePolicy("roles: {}")), []);
  });

  test("has a test for each of its checks", () => {
    const others = [
      "both-ways-control",
      "every-service",
      "never-bound",
      "allows-nothing",
      "already-bound",
      "unknown-issuer",
      "unused-role",
      "unused-rule",
      ...wholeRows.map(([check]) => check),
    ];
    assert.deepEqual(
      new Set([...rows.map(({ check }) => check), ...others]),
      new Set(Object.keys(policyChecks)),
    );
  });
});

function findingsOf(
  roles: Readonly<Record<string, Rules>>,
  bindings: readonly (readonly [role: string, to: string])[],
) {
  const findings = checkPolicy(parsePolicy(policyText(roles, bindings)));
  assert.ok(findings.some(({ check }) => check === "no-schema"));
  return findings.filter(({ check }) => check !== "no-schema");
}
