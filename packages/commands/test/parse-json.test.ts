import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseJson, RepeatedKeyError } from "@wardmq/commands";
import fc from "fast-check";

describe("JSON from outside", () => {
  test("is refused where a key stands twice, however deep and however it is written", () => {
    for (const [text, key] of [
      ['{"a":1,"a":2}', "a"],
      ['{"a":1,"\\u0061":1}', "a"],
      ['{"":0,"":0}', ""],
      ['{"__proto__":1,"__proto__":2}', "__proto__"],
      ['[{},{"b":{"c":[],"d":":","c":{}}}]', "c"],
      ['{"a\\"":1,"x":"\\\\","a\\"":2}', 'a"'],
    ] as const) {
      assert.throws(
        () => parseJson(text),
        (error) => error instanceof RepeatedKeyError && error.key === key,
        text,
      );
    }
  });

  test("is taken where a key stands once in each of several objects, or is only text", () => {
    for (const text of [
      '[{"a":1},{"a":2}]',
      '{"a":{"a":{"a":"a"}},"b":["a","a"]}',
      '{"a":"\\"a\\":"}',
    ])
      assert.deepEqual(parseJson(text), JSON.parse(text));
  });

  test("is a SyntaxError where it is none", () => {
    for (const text of ["", "{", '{"a"}', '{"a":1,}', '"', "{'a':1}", '{"\\x":1}'])
      assert.throws(() => parseJson(text), SyntaxError);
  });

  test("has the value that JSON.parse gives, whatever it is", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), (text) => {
        assert.deepEqual(parseJson(text), JSON.parse(text));
      }),
    );
  });
});
