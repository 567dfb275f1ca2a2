import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { FeedError, LineSplitter } from "../src/index.ts";

const utf8 = (text: string) => new Uint8Array(Buffer.from(text, "utf8"));
const refuses = (work: () => unknown, code: string) =>
  assert.throws(work, (error) => error instanceof FeedError && error.code === code);

describe("the line splitter", () => {
  test("refuses a line over its bound, in one piece or in many", () => {
    refuses(() => new LineSplitter(4).push(utf8("12345\n")), "ERR_FEED_LINE_TOO_LONG");
    const lines = new LineSplitter(4);
    for (const piece of ["1", "2", "3", "4"]) assert.deepEqual(lines.push(utf8(piece)), []);
    refuses(() => lines.push(utf8("5")), "ERR_FEED_LINE_TOO_LONG");
  });

  test("refuses bytes that are no UTF-8", () => {
    for (const bytes of [
      [0xff, 0x0a],
      [0xc3, 0x0a],
      [0xed, 0xa0, 0x80, 0x0a],
      [0xc0, 0x80, 0x0a],
    ]) {
      refuses(() => new LineSplitter(10).push(Uint8Array.from(bytes)), "ERR_FEED_LINE");
    }
  });

  test("takes a line of exactly its bound, again and again", () => {
    const lines = new LineSplitter(4);
    assert.deepEqual(lines.push(utf8("1234\n1234\n12")), ["1234", "1234"]);
    assert.deepEqual(lines.push(utf8("34\n")), ["1234"]);
  });

  test("gives the same lines however the bytes are cut", () => {
    const text = fc.array(
      fc
        .string({ unit: "binary", maxLength: 12 })
        .map((line) => line.replaceAll("\n", "").replaceAll("\ufeff", "")),
    );
    fc.assert(
      fc.property(text, fc.array(fc.integer({ min: 1, max: 7 })), (wanted, cuts) => {
        const bytes = utf8(wanted.map((line) => `${line}\n`).join(""));
        const lines = new LineSplitter(1000);
        const got: string[] = [];
        let at = 0;
        for (const cut of cuts) {
          got.push(...lines.push(bytes.subarray(at, at + cut)));
          at += cut;
        }
        got.push(...lines.push(bytes.subarray(at)));
        assert.deepEqual(got, wanted);
      }),
    );
  });
});
