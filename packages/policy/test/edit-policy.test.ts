import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { editPolicy, type PolicyEdit, PolicyEditError, parsePolicyFiles } from "../src/index.ts";

const nurse = { role: "nurse", to: "service:board" } as const;
const grant = {
  role: "nurse",
  to: "person:idp_ann",
  where: { ward: "icu-3" },
  until: "2026-12-01T16:00:00Z",
  reason: 'pump "maintenance"',
  approvedBy: "head of biomed",
} as const;
const grantText =
  '{ role: nurse, to: "person:idp_ann", where: { ward: icu-3 }, until: "2026-12-01T16:00:00Z", reason: "pump \\"maintenance\\"", approvedBy: "head of biomed" }';
const head = "# ours\nroles:   # all of them\n  nurse: { subscribe: [ '{org}/deid/#' ] } # reads\n";

function edited(text: string, edit: PolicyEdit): string {
  const { files } = editPolicy([{ name: "policy.yaml", text }], edit);
  return files[0]?.text ?? "";
}

const bind: PolicyEdit = { do: "bind", binding: nurse };
const unbind: PolicyEdit = { do: "unbind", binding: nurse };
const end: PolicyEdit = {
  do: "end-grant",
  binding: { role: "nurse", to: "person:idp_ann", where: { ward: "icu-3" } },
  until: "2026-11-28T02:00:00Z",
};

/** What, the text before, the edit, and the text after. */
const rows: readonly (readonly [string, string, PolicyEdit, string])[] = [
  [
    "adds a list that is missing at the end",
    head,
    bind,
    `${head}bindings:\n  - { role: nurse, to: "service:board" }\n`,
  ],
  [
    "adds a list behind a last line without an end",
    head.trimEnd(),
    bind,
    `${head}bindings:\n  - { role: nurse, to: "service:board" }\n`,
  ],
  [
    "adds to a list of lines, behind its last item and the comment of it",
    `${head}bindings:\n    - { role: nurse, to: "service:a" } # the first\n\n# behind\ngrants: []\n`,
    bind,
    `${head}bindings:\n    - { role: nurse, to: "service:a" } # the first\n    - { role: nurse, to: "service:board" }\n\n# behind\ngrants: []\n`,
  ],
  [
    "adds to a list whose items have lines of their own",
    `bindings:\n- role: nurse\n  to: service:a # here\n${head}`,
    bind,
    `bindings:\n- role: nurse\n  to: service:a # here\n- { role: nurse, to: "service:board" }\n${head}`,
  ],
  [
    "adds to a list in brackets",
    `${head}bindings: [{role: nurse, to: "service:a"}]   # short\n`,
    bind,
    `${head}bindings: [{role: nurse, to: "service:a"}, { role: nurse, to: "service:board" }]   # short\n`,
  ],
  [
    "adds to an empty list",
    `${head}bindings: [] # none yet\n`,
    bind,
    `${head}bindings: [{ role: nurse, to: "service:board" }] # none yet\n`,
  ],
  [
    "adds a grant with everything it says",
    head,
    { do: "grant", grant },
    `${head}grants:\n  - ${grantText}\n`,
  ],
  [
    "puts names in quotes that YAML would take for something else",
    head,
    { do: "bind", binding: { ...nurse, where: { ward: "007", site: "no" } } },
    `${head}bindings:\n  - { role: nurse, to: "service:board", where: { ward: "007", site: "no" } }\n`,
  ],
  [
    "takes an item away with its line, and leaves its neighbours",
    `${head}bindings:\n  # one\n  - { role: nurse, to: "service:a" }\n  # two\n  - { role: nurse, to: "service:board" } # gone\n  - { role: nurse, to: "service:c" }\n`,
    unbind,
    `${head}bindings:\n  # one\n  - { role: nurse, to: "service:a" }\n  # two\n  - { role: nurse, to: "service:c" }\n`,
  ],
  [
    "takes an item of several lines away",
    `${head}bindings:\n  - role: nurse\n    to: service:board\n  - { role: nurse, to: "service:c" }\n`,
    unbind,
    `${head}bindings:\n  - { role: nurse, to: "service:c" }\n`,
  ],
  [
    "takes the last item away",
    `bindings:\n  - { role: nurse, to: "service:board" }\n${head}`,
    unbind,
    `bindings: []\n${head}`,
  ],
  [
    "takes an item out of brackets",
    `${head}bindings: [{ role: nurse, to: "service:a" }, { role: nurse, to: "service:board" }]\n`,
    unbind,
    `${head}bindings: [{ role: nurse, to: "service:a" }]\n`,
  ],
  [
    "takes the first item out of brackets",
    `${head}bindings: [{ role: nurse, to: "service:board" }, { role: nurse, to: "service:a" }]\n`,
    unbind,
    `${head}bindings: [{ role: nurse, to: "service:a" }]\n`,
  ],
  [
    "takes the only item out of brackets",
    `${head}bindings: [{ role: nurse, to: "service:board" }]\n`,
    unbind,
    `${head}bindings: []\n`,
  ],
  [
    "ends a grant by the end it has",
    `${head}grants:\n  - ${grantText} # for a day\n`,
    end,
    `${head}grants:\n  - ${grantText.replace("2026-12-01T16:00:00Z", "2026-11-28T02:00:00Z")} # for a day\n`,
  ],
  [
    "ends a grant whose keys have lines of their own",
    `grants:\n  - role: nurse\n    to: person:idp_ann\n    where: { ward: icu-3 }\n    reason: x\n    approvedBy: y # she\n${head}`,
    end,
    `grants:\n  - role: nurse\n    to: person:idp_ann\n    where: { ward: icu-3 }\n    reason: x\n    approvedBy: y # she\n    until: "2026-11-28T02:00:00Z"\n${head}`,
  ],
];

describe("editing a policy", () => {
  const refused: readonly (readonly [string, string, PolicyEdit, RegExp])[] = [
    [
      "a binding that is there",
      `${head}bindings: [{ role: nurse, to: "service:board" }]\n`,
      bind,
      /bound already/,
    ],
    ["a binding that is not there", head, unbind, /no such binding: nurse to service:board/],
    [
      "a binding of another place",
      `${head}bindings: [{ role: nurse, to: "service:board", where: { ward: icu } }]\n`,
      unbind,
      /no such binding/,
    ],
    [
      "a grant that has ended",
      `${head}grants:\n  - ${grantText.replace("2026-12", "2026-10")}\n`,
      end,
      /no such grant that has not ended/,
    ],
  ];
  for (const [what, text, edit, expected] of refused) {
    test(`refuses ${what}`, () => {
      assert.throws(
        () => edited(text, edit),
        (error) => error instanceof PolicyEditError && expected.test(error.message),
      );
    });
  }

  test("refuses a role that the policy does not have", () => {
    const binding = { role: "nurze", to: "service:board" };
    assert.throws(() => edited(head, { do: "bind", binding }), /did you mean nurse/);
  });

  for (const [what, before, edit, after] of rows) {
    test(what, () => assert.equal(edited(before, edit), after));
  }

  test("ends a grant that has no end", () => {
    const open = grantText.replace(' until: "2026-12-01T16:00:00Z",', "");
    assert.equal(
      edited(`${head}grants: [${open}]\n`, end),
      `${head}grants: [${open.slice(0, -2)}, until: "2026-11-28T02:00:00Z" }]\n`,
    );
  });

  test("writes to the file of a folder that has the list, and tells the lines", () => {
    const files = [
      { name: "policy/a.yaml", text: head },
      { name: "policy/b.yaml", text: 'bindings:\n  - { role: nurse, to: "service:a" }\n' },
    ];
    const { files: next, lines } = editPolicy(files, bind);
    assert.deepEqual(next[0], files[0]);
    assert.deepEqual(lines, {
      file: "policy/b.yaml",
      line: 3,
      removed: [],
      added: ['  - { role: nurse, to: "service:board" }'],
    });
    assert.deepEqual(editPolicy(next, unbind).files, files);
  });

  test("keeps every other line of any policy, whatever its layout", () => {
    const comment = fc.constantFrom("", " # a comment", "  # - { not: this }");
    const gap = fc.constantFrom("", "\n", "\n# between\n\n");
    const layout = fc.constantFrom(
      (n: number) => `  - { role: nurse, to: "service:s${n}" }`,
      (n: number) => `  - role: nurse\n    to: service:s${n}`,
      (n: number) => `  - {role: nurse,\n     to: "service:s${n}"}`,
    );
    const items = fc.array(fc.tuple(layout, comment, gap), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(items, fc.boolean(), fc.nat(), (all, isLast, pick) => {
        const lines = all.map(([item, note, space], n) => `${item(n)}${note}\n${space}`).join("");
        const text = isLast ? `${head}bindings:\n${lines}` : `bindings:\n${lines}${head}`;
        const added = edited(text, bind);
        assert.equal(added.replace('  - { role: nurse, to: "service:board" }\n', ""), text);
        assert.equal(edited(added, unbind), text);
        const gone = pick % all.length;
        const binding = { role: "nurse", to: `service:s${gone}` };
        const left = edited(text, { do: "unbind", binding });
        const bound = parsePolicyFiles([{ name: "p", text: left }]).bindings.map(({ to }) => to);
        assert.deepEqual(
          bound,
          all.flatMap((_, n) => (n === gone ? [] : [`service:s${n}`])),
        );
      }),
    );
  });
});
