import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  checkPolicy,
  compilePolicy,
  decodePolicy,
  defaultPolicyText,
  type Policy,
  PolicyError,
  parsePolicy,
} from "../src/index.ts";
import { anyText, device } from "./world.ts";

/** A policy that parsed is one that all other parts take; everything else is a PolicyError, and nothing else. */
function check(text: string): Policy | undefined {
  let policy: Policy;
  try {
    policy = parsePolicy(text);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    const lines = text.split("\n").length;
    assert.ok(error.problems.length > 0);
    for (const { line, column, message, hint, path } of error.problems) {
      assert.ok(line >= 1 && line <= lines && column >= 1, `${line}:${column}`);
      assert.match(`${path} ${message} ${hint}`, /^[\x20-\x7e…]+$/);
    }
    return undefined;
  }
  assert.deepEqual(decodePolicy(JSON.parse(JSON.stringify(policy))), policy);
  compilePolicy(policy).rightsOf(device()).decideSubscribe("#");
  for (const { message, hint } of checkPolicy(policy))
    assert.match(message + hint, /^[\x20-\x7e…]+$/);
  return policy;
}

describe("any text gives a policy or a PolicyError", () => {
  const pieces = [
    "roles:",
    "bindings:",
    "  r:",
    " ",
    "\n",
    "\t",
    "- ",
    "publish: ",
    "subscribe: ",
    "role: r",
    "to: ",
    '"device:*"',
    "service:a",
    "[",
    "]",
    "{",
    "}",
    ",",
    '"',
    "'",
    "{org}",
    '"{org}/+/#"',
    "#",
    "+",
    "/",
    "&a",
    "*a",
    "!!str",
    "? ",
    ": ",
    "|",
    ">",
    "%",
    "---",
    "...",
    "\u0000",
    "\ud800",
    "é",
    "__proto__",
    "<<: ",
  ];

  test("of pieces of policies", () => {
    const text = fc.array(fc.constantFrom(...pieces), { maxLength: 40 }).map((all) => all.join(""));
    fc.assert(
      fc.property(text, (one) => void check(one)),
      { numRuns: 500 },
    );
  });
  test("of anything", () => {
    fc.assert(
      fc.property(anyText, (one) => void check(one)),
      { numRuns: 500 },
    );
  });
  test("of the default policy with a part replaced", () => {
    const whole = defaultPolicyText();
    const change = fc.tuple(fc.nat(whole.length), fc.nat(6), fc.constantFrom("", ...pieces));
    fc.assert(
      fc.property(change, ([at, length, piece]) => {
        check(whole.slice(0, at) + piece + whole.slice(at + length));
      }),
      { numRuns: 200 },
    );
  });
  test("of the default policy cut short: never one that allows more", () => {
    const whole = defaultPolicyText();
    const all = filtersOf(parsePolicy(whole));
    for (let end = 0; end < whole.length; end += 13) {
      const policy = check(whole.slice(0, end));
      for (const filter of policy ? filtersOf(policy) : []) assert.ok(all.has(filter), filter);
    }
  });
  test("of YAML that nests without end", () => {
    for (const opening of ["- ", "? ", "[", "{a: ", "- [", '"', "'", "a: - "]) {
      assert.equal(check(opening.repeat(3000)), undefined, opening);
      assert.equal(check(`roles:\n  ${opening.repeat(3000)}`), undefined, opening);
    }
    const stairs = Array.from({ length: 400 }, (_, i) => `${" ".repeat(i)}a:`).join("\n");
    assert.equal(check(stairs), undefined);
  });
});

function filtersOf({ roles }: Policy): ReadonlySet<string> {
  return new Set(
    roles.flatMap((role) => [...role.publish, ...role.subscribe].map(({ filter }) => filter)),
  );
}
