import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { eventTypes, printable } from "../src/index.ts";
import { eventsDocument, fields } from "./document.ts";

const repository = join(import.meta.dirname, "../../..");
const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({
    unit: fc.constantFrom("\n", "\r", "\\", '"', "\u202e", "\ud800", "a", "é", "\u{1f600}", "\x1b"),
  }),
);

/** The text that `printable` was given, from what it made of it. */
function original(shown: string): string {
  return shown.replaceAll(/\\u\{([0-9a-f]+)\}/g, (_, code: string) =>
    String.fromCodePoint(Number.parseInt(code, 16)),
  );
}

describe("printable", () => {
  test("lets nothing through that moves the cursor, ends a line or a field, or turns text around", () => {
    const attacks: readonly (readonly [string, string])[] = [
      ["a\nb", "a\\u{a}b"],
      ["a\rb", "a\\u{d}b"],
      ["\x1b[2J", "\\u{1b}[2J"],
      ["\x7f\x9b", "\\u{7f}\\u{9b}"],
      ['","type":"', "\\u{22},\\u{22}type\\u{22}:\\u{22}"],
      ["\\u{a}", "\\u{5c}u{a}"],
      ["\u202egnp.exe", "\\u{202e}gnp.exe"],
      ["\u2028\u2029\ufeff", "\\u{2028}\\u{2029}\\u{feff}"],
      ["w\u0430rd", "w\\u{430}rd"],
      ["\ud800", "\\u{d800}"],
      ["\u{1f600}", "\\u{1f600}"],
    ];
    for (const [text, shown] of attacks) assert.equal(printable(text), shown);
  });

  test("makes printable ASCII without quotes of any text", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        assert.match(printable(text, text.length), /^[\x20\x21\x23-\x7e]*$/);
      }),
    );
  });

  test("shows different texts differently", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        assert.equal(original(printable(text, text.length)), text);
      }),
    );
  });

  test("cuts after the given number of characters and says so", () => {
    assert.equal(printable("abcd", 3), "abc…");
    assert.equal(printable("abc", 3), "abc");
    assert.equal(printable("\u{1f600}\u{1f600}", 1), "\\u{1f600}…");
    assert.equal(printable("x".repeat(201)).length, 201);
    assert.equal(printable("\0".repeat(1_000_000)).length, 200 * "\\u{0}".length + 1);
  });

  test("leaves printable ASCII as it is", () => {
    assert.equal(printable("hospital/north/icu/device/1-2_3"), "hospital/north/icu/device/1-2_3");
    assert.equal(printable(""), "");
  });
});

describe("the catalogue of events", () => {
  test("is what docs/events.md says", () => {
    const text = readFileSync(join(repository, "docs/events.md"), "utf8");
    assert.equal(text, eventsDocument(), "npm run docs");
  });

  test("names each type in lower case with dashes, and says in one sentence what happened", () => {
    for (const [type, { summary }] of Object.entries(eventTypes)) {
      assert.match(type, /^[a-z]+(-[a-z]+)*$/);
      assert.match(summary, /^[a-zA-Z].*[^.\s]$/, type);
      assert.ok(!summary.includes("\n") && !summary.includes("|"), type);
    }
  });

  test("documents every field of an event", () => {
    const source = readFileSync(join(repository, "packages/events/src/catalogue.ts"), "utf8");
    const body = source.slice(source.indexOf("export interface SecurityEvent"));
    const declared = [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, name]) => name);
    assert.deepEqual(declared, ["type", "at", ...fields.map(([name]) => name)]);
  });
});
