import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseRequest } from "../src/commands/requests.ts";
import { Failure } from "../src/failure.ts";

describe("a request", () => {
  const refused: readonly (readonly [string, string])[] = [
    ["nothing", ""],
    ["what is no JSON", "list"],
    ["a list", "[]"],
    ["null", "null"],
    ["no command", "{}"],
    ["an unknown command", '{"command":"drop","arguments":{}}'],
    ["a name that every object has", '{"command":"constructor","arguments":{}}'],
    ["no arguments", '{"command":"list"}'],
    ["arguments in a list", '{"command":"list","arguments":[]}'],
    ["an argument too many", '{"command":"list","arguments":{"x":1}}'],
    ["a prototype as argument", '{"command":"list","arguments":{"__proto__":{}}}'],
    ["an argument too few", '{"command":"revoke","arguments":{}}'],
    ["an argument of another type", '{"command":"service.add","arguments":{"name":["x"]}}'],
    [
      "null for an argument that may be absent",
      '{"command":"device.add","arguments":{"site":"a","ward":"b","id":null}}',
    ],
    ["a number with a fraction", '{"command":"events","arguments":{"last":1.5}}'],
  ];
  for (const [name, line] of refused) {
    test(`is not ${name}`, () =>
      assert.throws(
        () => parseRequest(line),
        (error) => error instanceof Failure && error.exitCode === 2,
      ));
  }

  test("is a command with exactly its arguments", () => {
    const request = { command: "device.add", arguments: { site: "a", ward: "b" } };
    assert.deepEqual(parseRequest(JSON.stringify(request)), request);
  });

  test("says in a sentence what else was expected of an emergency", () => {
    const hintFor = (given: object) => {
      const line = JSON.stringify({ command: "break-glass.take", arguments: given });
      let hint = "";
      assert.throws(
        () => parseRequest(line),
        (error) => {
          hint = (error as Failure).hint ?? "";
          return error instanceof Failure;
        },
      );
      return hint;
    };
    const minutes = hintFor({ name: "on-call", because: "x", minutes: 0 });
    assert.match(minutes, /^expected a whole number of minutes.*, such as 30$/);
    const because = hintFor({ name: "on-call", because: "" });
    assert.match(because, /^expected why, one line .*nothing about a patient/);
    assert.doesNotMatch(because, /history/);
  });

  test("is a request or a Failure for any JSON, and the Failure is safe to print", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.string(),
          fc.json().map((json) => `{"command":"list","arguments":${json}}`),
        ),
        (line) => {
          try {
            parseRequest(line);
          } catch (error) {
            assert.ok(error instanceof Failure, String(error));
            assert.match(error.message, /^[\x20-\x7e…]*$/);
          }
        },
      ),
    );
  });
});
