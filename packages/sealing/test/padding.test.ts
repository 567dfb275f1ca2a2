import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { paddedLength, padding, unpad } from "../src/index.ts";

const pad = (bytes: Uint8Array) => Buffer.concat([bytes, padding(bytes.length)]);

describe("padding", () => {
  test("is refused when the marker is missing or stands elsewhere than padding puts it", () => {
    assert.equal(unpad(Buffer.alloc(64)), undefined);
    assert.equal(unpad(Buffer.alloc(64, 0x7f)), undefined);
    assert.equal(unpad(Buffer.alloc(0)), undefined);
    const tooLong = Buffer.concat([pad(Buffer.from("a")), Buffer.alloc(64)]);
    assert.equal(unpad(tooLong), undefined);
  });

  for (const [length, padded] of [
    [0, 64],
    [63, 64],
    [64, 128],
    [900, 960],
    [2047, 2048],
    [2048, 2176],
    [180_000, 180_224],
  ] as const) {
    test(`brings ${length} octets to ${padded}`, () => assert.equal(paddedLength(length), padded));
  }

  test("costs less than an eighth, or 64 octets, and never gets smaller", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (length) => {
        const padded = paddedLength(length);
        assert.ok(padded > length && padded - length <= Math.max(64, (length + 1) / 8));
        assert.ok(paddedLength(length + 1) >= padded);
      }),
    );
  });

  test("comes off again as it was put on", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => {
        assert.deepEqual(unpad(pad(bytes)), Buffer.from(bytes));
      }),
    );
  });
});
