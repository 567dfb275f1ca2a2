import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultPolicyText, PolicyError, parsePolicy, policyLimits } from "../src/index.ts";

/** The policy that says nothing but that. */
const nothing = {
  tenants: [],
  groups: [],
  roles: [],
  bindings: [],
  grants: [],
  claims: [],
  deny: [],
  assert: [],
  tests: [],
};

/** What, the text, and for each problem `line:column path`, with a part of its message and of its hint. */
type Refusal = readonly [
  what: string,
  text: string,
  ...problems: readonly [string, RegExp, RegExp][],
];

const uuid = "5f0e3b1c-8d2a-4f6e-9b7c-000000000001";
const role = (body: string) => `roles:\n  r:\n    ${body}\n`;
const publish = (filter: string) => role(`publish: [${filter}]`);
const subscribe = (filter: string) => role(`subscribe: [${filter}]`);
const binding = (body: string) => `roles: { r: {} }\nbindings:\n  - ${body}\n`;

const wholeFile: readonly Refusal[] = [
  ["an empty file", "", ["1:1", /expected roles and bindings, found nothing/, /"roles: \{\}"/]],
  ["only comments", "# nothing\n\n", ["1:1", /found nothing/, /roles: \{\}/]],
  ["an empty document", "---\n", ["1:1", /found nothing/, /roles: \{\}/]],
  ["a null", "~\n", ["1:1", /found nothing/, /roles: \{\}/]],
  ["no roles", "bindings: []\n", ["1:1 roles", /expected roles, found none/, /roles: \{\}/]],
  ["a list", "- a\n", ["1:1", /expected a map, found a list/, /roles:/]],
  ["a text", "roles\n", ["1:1", /found the text "roles"/, /roles:/]],
  [
    "an unknown key",
    "roles: {}\nrolls: {}\n",
    ["2:1 rolls", /expected a known key, found the unknown key "rolls"/, /did you mean roles/],
  ],
  [
    "an unknown key like no other",
    'roles: {}\n"a\\u0007b": 1\n',
    [
      "2:1 a\\u{7}b",
      /unknown key "a\\u\{7\}b"/,
      /remove it: known are environment, tenants, topics, groups, roles/,
    ],
  ],
  ["a duplicate key", "roles: {}\n\nroles: {}\n", ["3:1 roles", /each key once/, /line 1/]],
  ["a merge key", "roles: {}\n<<: {}\n", ["2:1 <<", /unknown key "<<"/, /remove it/]],
  ["__proto__", "roles: {}\n__proto__: {}\n", ["2:1 __proto__", /unknown key/, /remove it/]],
  [
    "a key that is a number",
    "roles: {}\n1: 2\n",
    ["2:1", /key that is a text, found the number 1/, /quotes/],
  ],
  ["a key that is a list", "roles: {}\n? [a]\n: 1\n", ["2:3", /text, found a list/, /quotes/]],
  [
    "a second document",
    "roles: {}\n---\nroles: {}\n",
    ["2:1", /expected one document, found a second/, /remove it/],
  ],
  ["a directive", "%YAML 1.1\n---\nroles: {}\n", ["1:1", /no directive/, /remove the line/]],
  ["an anchor", "roles: &a {}\n", ["1:8", /no anchor/, /write the value itself/]],
  ["an anchor on a key", "&a roles: {}\n", ["1:1", /no anchor/, /write the value/]],
  ["an alias", "roles: {}\nbindings: *a\n", ["2:11", /no alias/, /quotes: "\*"/]],
  ["a tag", "roles: !!map {}\n", ["1:8", /no tag/, /write the value/]],
  ["a tag of its own", "roles: !secret {}\n", ["1:8", /no tag/, /write the value/]],
  ["a lone !", "roles: ! {}\n", ["1:8", /no tag/, /write the value/]],
  [
    "every refused feature at once",
    "roles: &a\n  r: *a\n  q: !x {}\n",
    ["1:8", /no anchor/, /./],
    ["2:6", /no alias/, /./],
    ["3:6", /no tag/, /./],
  ],
  ["a tab as indentation", "roles:\n\tr: {}\n", ["2:1", /expected spaces, found a tab/, /spaces/]],
  [
    "a quote left open",
    'roles: { "r: {} }\n',
    ["2:1", /expected YAML.*quote/, /correct the quotes/],
  ],
  ["a bracket left open", "roles: {r: {publish: [a}}\n", ["1:24", /expected YAML/, /brackets/]],
  ["a reserved character", "roles: %x\n", ["1:8", /expected YAML/, /correct the quotes/]],
  ["a map after a byte order mark", "\uFEFFroles: 1\n", ["1:8 roles", /found the number 1/, /./]],
  ["a NUL", "roles: {}\n# \0\n", ["2:3", /U\+0000/, /save the file as UTF-8/]],
  ["a control character", "roles: {}\n\u001f\n", ["2:1", /U\+001F/, /UTF-8/]],
  ["a lone surrogate", "roles: {}\n# \ud800\n", ["2:3", /U\+D800/, /UTF-8/]],
  ["too many brackets", `roles: ${"[".repeat(500_000)}`, ["1:28", /at most 20 brackets/, /close/]],
];

const roles: readonly Refusal[] = [
  [
    "roles without a value",
    "roles:\n",
    ["1:7 roles", /a map of roles, found nothing/, /roles: \{\}/],
  ],
  ["a list of roles", "roles:\n  - r\n", ["2:3 roles", /a map of roles, found a list/, /name/]],
  [
    "a role without a value",
    "roles:\n  r:\n",
    ["2:5 roles.r", /publish, subscribe, limits, requires, found nothing/, /publish:/],
  ],
  ["a role that is a text", "roles:\n  r: x\n", ["2:6 roles.r", /found the text "x"/, /publish:/]],
  [
    "a role's name with a /",
    "roles:\n  a/b: {}\n",
    ["2:3 roles.a/b", /role name, found "a\/b"/, /letters/],
  ],
  ["an empty role's name", 'roles:\n  "": {}\n', ["2:3 roles.", /role name, found ""/, /letters/]],
  [
    "a role's name too long",
    `roles:\n  ${"a".repeat(65)}: {}\n`,
    [`2:3 roles.${"a".repeat(64)}…`, /role name/, /64/],
  ],
  [
    "a homoglyph",
    "roles:\n  w\u0430rd: {}\n",
    ["2:3 roles.w\\u{430}rd", /w\\u\{430\}rd/, /letters/],
  ],
  [
    "a role twice",
    "roles:\n  r: {}\n  r: {}\n",
    ["3:3 roles.r", /each key once, found "r"/, /line 2/],
  ],
  [
    "a misspelled action",
    role("pubish: []"),
    ["3:5 roles.r.pubish", /expected publish or subscribe or limits/, /did you mean publish/],
  ],
  [
    "an action twice",
    "roles: { r: { publish: [], publish: [] } }",
    ["1:28 roles.r.publish", /each key once/, /line 1/],
  ],
  [
    "one filter without a list",
    role('publish: "a/b"'),
    ["3:14 roles.r.publish", /a list of topic filters, found the text "a\/b"/, /write \["\{org\}/],
  ],
  [
    "no list",
    role("publish:"),
    ["3:13 roles.r.publish", /a list of topic filters, found nothing/, /\[/],
  ],
  ["a map for a list", role("publish: { a: b }"), ["3:14 roles.r.publish", /found a map/, /\[/]],
  [
    "several problems, in the order of the file",
    'bindings: [{ role: q, to: x }]\nroles: { r: { publish: ["a#"] } }\n',
    ["1:20 bindings[0].role", /./, /./],
    ["1:27 bindings[0].to", /./, /./],
    ["2:27 roles.r.publish[0]", /./, /./],
  ],
];

const inside = (index: number) => `3:${17 + index} roles.r.publish[0]`;
const filters: readonly Refusal[] = [
  [
    "a number",
    publish("5"),
    ["3:15 roles.r.publish[0]", /a topic filter, found the number 5/, /quotes/],
  ],
  ["a truth", publish("true"), ["3:15 roles.r.publish[0]", /found the boolean true/, /quotes/]],
  [
    "a # outside of quotes",
    role("publish:\n      - #"),
    ["4:9 roles.r.publish[0]", /found nothing/, /comment/],
  ],
  ["a list in the list", publish("[a]"), ["3:15 roles.r.publish[0]", /found a list/, /quotes/]],
  [
    "a brace outside of quotes",
    publish("{org}"),
    ["3:15 roles.r.publish[0]", /found a map/, /"\{org\}\//],
  ],
  [
    "braces outside of quotes",
    publish("{org}/x"),
    ["3:20", /expected YAML/, /filters in double quotes/],
  ],
  ["an empty filter", publish('""'), ["3:16 roles.r.publish[0]", /found an empty text/, /remove/]],
  [
    "a # inside a level",
    publish('"a#"'),
    [inside(0), /"#" to be a whole level/, /alone as the last/],
  ],
  ["a # before the end", publish('"a/#/b"'), [inside(1), /"#" to be a whole level/, /last level/]],
  ["a + inside a level", publish('"a/b+/c"'), [inside(2), /"\+" to be a whole level/, /alone/]],
  ["a + after another", publish('"++"'), ["3:16 roles.r.publish[0]", /"\+"/, /alone/]],
  [
    "an unknown attribute",
    publish('"{org}/{wrad}"'),
    [inside(5), /org, site, ward, id, model in braces, found "wrad"/, /did you mean ward/],
  ],
  [
    "__proto__ in braces",
    publish('"{__proto__}"'),
    ["3:16 roles.r.publish[0]", /found "__proto__"/, /known are/],
  ],
  [
    "constructor in braces",
    publish('"{constructor}"'),
    ["3:16 roles.r.publish[0]", /found "constructor"/, /known are/],
  ],
  [
    "spaces in braces",
    publish('"{ org }"'),
    ["3:16 roles.r.publish[0]", /found " org "/, /did you mean org|known are/],
  ],
  [
    "upper case in braces",
    publish('"{ORG}"'),
    ["3:16 roles.r.publish[0]", /found "ORG"/, /did you mean org/],
  ],
  ["empty braces", publish('"{}"'), ["3:16 roles.r.publish[0]", /found ""/, /known are/]],
  [
    "braces in part of a level",
    publish('"a/x-{id}"'),
    [inside(3), /braces to be a whole level/, /\{id\}/],
  ],
  ["two braces in a level", publish('"{id}{id}"'), ["3:16 roles.r.publish[0]", /whole level/, /./]],
  ["a nested brace", publish('"{{id}}"'), ["3:16 roles.r.publish[0]", /whole level/, /./]],
  ["a brace left open", publish('"a/{id/b"'), [inside(1), /whole level/, /pairs/]],
  ["a brace closed only", publish('"a/id}"'), [inside(3), /whole level/, /pairs/]],
  ["another broker's brace", publish('"x/$' + '{clientid}"'), [inside(2), /whole level/, /\{id\}/]],
  [
    "$SYS to publish to",
    publish('"$SYS/x"'),
    ["3:16 roles.r.publish[0]", /not begin with "\$"/, /no client/],
  ],
  [
    "$share",
    subscribe('"$share/g/a"'),
    ["3:18 roles.r.subscribe[0]", /without a share name/, /leave out/],
  ],
  [
    "another $ to read",
    subscribe('"$CONTROL/#"'),
    ["3:18 roles.r.subscribe[0]", /found "\$CONTROL"/, /only \$SYS/],
  ],
  [
    "a line break",
    publish('"a\\nb"'),
    ["3:15 roles.r.publish[0]", /visible text, found the character "\\u\{a\}"/, /remove/],
  ],
  ["a NUL escaped", publish('"a\\0b"'), ["3:15 roles.r.publish[0]", /\\u\{0\}/, /remove/]],
  ["a bidirectional mark", publish('"a/\u202eb"'), [inside(1), /\\u\{202e\}/, /remove/]],
  [
    "a filter too long",
    publish(`"${"a".repeat(1025)}"`),
    ["3:16 roles.r.publish[0]", /at most 1024 bytes, found 1025/, /shorter/],
  ],
  [
    "a filter too deep",
    publish(`"${"/".repeat(64)}"`),
    ["3:16 roles.r.publish[0]", /at most 64 levels, found 65/, /fewer/],
  ],
];

const bindings: readonly Refusal[] = [
  [
    "bindings without a value",
    "roles: {}\nbindings:\n",
    ["2:10 bindings", /a list of bindings, found nothing/, /- \{ role:/],
  ],
  [
    "a map of bindings",
    "roles: {}\nbindings: { r: x }\n",
    ["2:11 bindings", /found a map/, /- \{ role:/],
  ],
  [
    "a text for a binding",
    binding("r"),
    ["3:5 bindings[0]", /a map of role, to, where, found the text "r"/, /\{ role:/],
  ],
  [
    "no role",
    binding('{ to: "device:*" }'),
    ["3:5 bindings[0]", /the key role, found none/, /\{ role:/],
  ],
  ["no to", binding("{ role: r }"), ["3:5 bindings[0]", /the key to, found none/, /\{ role:/]],
  [
    "an unknown key",
    binding('{ role: r, too: "device:*" }'),
    ["3:5 bindings[0]", /the key to, found none/, /./],
    [
      "3:16 bindings[0].too",
      /expected role or to or where, found the unknown key "too"/,
      /known are role, to, where/,
    ],
  ],
  [
    "a role that is a number",
    binding('{ role: 1, to: "device:*" }'),
    ["3:13 bindings[0].role", /a role's name, found the number 1/, /quotes/],
  ],
  [
    "a list of roles",
    binding('{ role: [r], to: "device:*" }'),
    ["3:13 bindings[0].role", /found a list/, /quotes/],
  ],
  [
    "an unknown role",
    'roles: { nurse: {} }\nbindings:\n  - { role: nurze, to: "device:*" }\n',
    ["3:13 bindings[0].role", /a role of this file, found "nurze"/, /did you mean nurse/],
  ],
  [
    "a role of Object.prototype",
    binding('{ role: constructor, to: "device:*" }'),
    ["3:13 bindings[0].role", /found "constructor"/, /known are r/],
  ],
  [
    "no role at all",
    'roles: {}\nbindings: [{ role: r, to: "device:*" }]',
    ["2:20 bindings[0].role", /found "r"/, /there is none yet/],
  ],
  ["an alias for *", binding("{ role: r, to: * }"), ["3:20", /no alias/, /in quotes/]],
  [
    "everybody",
    binding('{ role: r, to: "*" }'),
    ["3:21 bindings[0].to", /found "\*"/, /"device:\*", "device:<uuid>"/],
  ],
  [
    "another kind",
    binding('{ role: r, to: "user:a" }'),
    ["3:21 bindings[0].to", /a device or service, found "user:a"/, /write/],
  ],
  [
    "a prototype's key",
    binding("{ role: r, to: __proto__ }"),
    ["3:20 bindings[0].to", /found "__proto__"/, /write/],
  ],
  [
    "a device that is no uuid",
    binding('{ role: r, to: "device:pump-1" }'),
    ["3:21 bindings[0].to", /found "device:pump-1"/, /uuid in lower case/],
  ],
  [
    "an upper-case uuid",
    binding(`{ role: r, to: "device:${uuid.toUpperCase()}" }`),
    ["3:21 bindings[0].to", /./, /lower case/],
  ],
  [
    "a part of the devices",
    binding('{ role: r, to: "device:5f*" }'),
    ["3:21 bindings[0].to", /./, /uuid/],
  ],
  [
    "a service without a name",
    binding('{ role: r, to: "service:" }'),
    ["3:21 bindings[0].to", /./, /1 to 64 letters/],
  ],
  [
    "a service with a /",
    binding('{ role: r, to: "service:a/b" }'),
    ["3:21 bindings[0].to", /./, /1 to 64 letters/],
  ],
  [
    "a service with a line break",
    binding('{ role: r, to: "service:a\\n" }'),
    ["3:20 bindings[0].to", /a\\u\{a\}/, /1 to 64/],
  ],
  [
    "a space in front",
    binding('{ role: r, to: " device:*" }'),
    ["3:21 bindings[0].to", /./, /write/],
  ],
];

for (const [group, refusals] of Object.entries({ wholeFile, roles, filters, bindings })) {
  describe(`parsePolicy refuses in ${group}`, () => {
    for (const [what, text, ...expected] of refusals) {
      test(`refuses ${what}`, () => {
        const problems = problemsOf(text);
        const found = problems.map(({ line, column, path }) => `${line}:${column} ${path}`.trim());
        assert.deepEqual(
          found,
          expected.map(([where]) => where),
        );
        for (const [index, [, message, hint]] of expected.entries()) {
          assert.match(problems[index]?.message ?? "", message);
          assert.match(problems[index]?.hint ?? "", hint);
        }
      });
    }
  });
}

describe("every problem", () => {
  test("is one printable line that says what was expected", () => {
    for (const [, text] of [...wholeFile, ...roles, ...filters, ...bindings]) {
      for (const { message, hint, path } of problemsOf(text)) {
        assert.match(message, /^expected /);
        assert.match(`${path}${message}${hint}`, /^[\x20-\x7e…]+$/);
        assert.doesNotMatch(hint, /\.$/);
      }
    }
  });
});

describe("the size of a policy", () => {
  const room = (bytes: number) => `roles: {}\n#${"x".repeat(bytes - 11)}`;
  test("is refused above 4 MiB, counted in bytes", () => {
    assert.match(problemsOf(room(policyLimits.fileBytes + 1))[0]?.message ?? "", /4194305/);
    const wide = `roles: {}\n#${"é".repeat(policyLimits.fileBytes / 2)}`;
    assert.match(problemsOf(wide)[0]?.message ?? "", /at most 4194304 bytes/);
  });
  test("is accepted at 4 MiB", () => {
    assert.deepEqual(parsePolicy(room(policyLimits.fileBytes)), nothing);
  });
  test("is refused above the number of rules, and accepted at it", () => {
    const rules = (count: number) => `roles: {r: {publish: [${'"a",'.repeat(count)}]}}`;
    const [problem] = problemsOf(rules(policyLimits.rules + 1));
    assert.match(problem?.message ?? "", /at most 20000 rules, found 20001/);
    assert.equal(
      parsePolicy(rules(policyLimits.rules)).roles[0]?.publish.length,
      policyLimits.rules,
    );
  });
  test("does not make the list of problems grow without bound", () => {
    assert.equal(problemsOf(`roles: {}\n${"x: 1\n".repeat(10_000)}`).length, 100);
  });
});

describe("parsePolicy accepts", () => {
  const empty = { publish: [], subscribe: [] };
  test("a policy that says that it allows nothing", () => {
    assert.deepEqual(parsePolicy("roles: {}"), nothing);
    assert.deepEqual(parsePolicy("roles: {}\nbindings: []\n"), nothing);
  });
  test("every kind of binding, and keeps the places", () => {
    const text = [
      "roles: { r: {} }",
      "bindings:",
      '  - { role: r, to: "device:*" }',
      `  - { role: r, to: device:${uuid} }`,
      "  - role: r",
      "    to: service:*",
      "  - { to: service:dash-board_1, role: r }",
    ];
    assert.deepEqual(parsePolicy(text.join("\n")), {
      ...nothing,
      roles: [{ name: "r", line: 1, column: 10, ...empty }],
      bindings: [
        { role: "r", to: "device:*", line: 3, column: 5 },
        { role: "r", to: `device:${uuid}`, line: 4, column: 5 },
        { role: "r", to: "service:*", line: 5, column: 5 },
        { role: "r", to: "service:dash-board_1", line: 7, column: 5 },
      ],
    });
  });
  test("wildcards to publish to, and the broker's own topics to read", () => {
    const text = 'roles:\n  r:\n    publish: ["#", +/a]\n    subscribe:\n      - "$SYS/#"\n';
    assert.deepEqual(parsePolicy(text).roles, [
      {
        name: "r",
        line: 2,
        column: 3,
        publish: [
          { filter: "#", line: 3, column: 15 },
          { filter: "+/a", line: 3, column: 20 },
        ],
        subscribe: [{ filter: "$SYS/#", line: 5, column: 9 }],
      },
    ]);
  });
  test("names of Object.prototype as role names, without touching any prototype", () => {
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
    const policy = parsePolicy(`roles:\n${names.map((name) => `  ${name}: {}\n`).join("")}`);
    assert.deepEqual(
      policy.roles.map(({ name }) => name),
      names,
    );
    assert.equal(Object.hasOwn(Object.prototype, "publish"), false);
  });
  test("JSON, a byte order mark and lines that end in CR LF", () => {
    const text = '\uFEFF{"roles": {"r":\r\n{"publish": ["a"]}}}\r\n';
    assert.deepEqual(parsePolicy(text).roles[0]?.publish, [{ filter: "a", line: 2, column: 14 }]);
  });
  test("quoted text that looks like an anchor, alias or tag", () => {
    const policy = parsePolicy(role('publish: ["&a", "*b", \'!c\', "%d"]'));
    assert.deepEqual(
      policy.roles[0]?.publish.map(({ filter }) => filter),
      ["&a", "*b", "!c", "%d"],
    );
  });
  test("the default policy, and it stays itself as JSON", () => {
    const policy = parsePolicy(defaultPolicyText());
    assert.deepEqual(JSON.parse(JSON.stringify(policy)), policy);
    assert.deepEqual(
      policy.roles.map(({ name, publish, subscribe }) => [name, publish.length, subscribe.length]),
      [
        ["bedside-device", 6, 5],
        ["clinical-dashboard", 0, 2],
      ],
    );
  });
});

test("the error names the file and tells every problem in a line of its own", () => {
  const error = errorOf("roles: 1\nx: 2\n", "a\u001bb.yaml");
  assert.equal(error.code, "ERR_POLICY");
  assert.deepEqual(error.message.split("\n"), [
    'a\\u{1b}b.yaml:1:8: roles: expected a map of roles, found the number 1; write a name for each role, or "roles: {}" to allow nothing',
    'a\\u{1b}b.yaml:2:1: x: expected a known key, found the unknown key "x"; remove it: known are environment, tenants, topics, groups, roles, bindings, grants, claims, deny, phi and 2 more',
  ]);
});

function problemsOf(text: string): PolicyError["problems"] {
  return errorOf(text).problems;
}

function errorOf(text: string, file?: string): PolicyError {
  try {
    parsePolicy(text, file);
  } catch (error) {
    if (error instanceof PolicyError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: "the text was accepted" });
}
