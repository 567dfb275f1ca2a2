import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { RecordReader } from "../src/store/record-reader.ts";
import { RecordWriter, type Slab } from "../src/store/record-writer.ts";

describe("RecordWriter", () => {
  const record = fc.record({
    number: fc.maxSafeNat(),
    text: fc.string({ unit: "binary" }),
    length: fc.oneof(fc.nat(1_000), fc.nat(700_000), fc.constant(1_500_000)),
  });
  const segments = fc.array(fc.array(record, { maxLength: 4 }), { minLength: 1, maxLength: 20 });

  test("leaves what was written as it is while it is used, whatever is written next", () => {
    fc.assert(
      fc.property(segments, fc.nat(5), (all, usedAtOnce) => {
        const writer = new RecordWriter();
        const used: { slab: Slab; bytes: Buffer; segment: (typeof all)[number] }[] = [];
        const end = () => {
          const { slab, bytes, segment } = used.shift() as (typeof used)[number];
          const reader = new RecordReader(bytes);
          for (const { number, text, length } of segment) {
            assert.equal(reader.byte(), number % 256);
            assert.equal(reader.number(), number);
            assert.equal(reader.text(), text);
            assert.ok(reader.bytes().equals(Buffer.alloc(length, number % 251)));
          }
          assert.ok(reader.isAtEnd);
          writer.leave(slab);
        };
        for (const segment of all) {
          for (const { number, text, length } of segment) {
            writer.byte(number % 256);
            writer.number(number);
            writer.text(text);
            writer.bytes(Buffer.alloc(length, number % 251));
          }
          const { slab } = writer;
          slab.users += 1;
          used.push({ slab, bytes: writer.take(), segment });
          if (used.length > usedAtOnce) end();
        }
        while (used.length > 0) end();
      }),
      { numRuns: 50 },
    );
  });

  test("uses memory again once nobody does", () => {
    const writer = new RecordWriter();
    const seen = new Set<Slab>();
    for (let i = 0; i < 100; i += 1) {
      writer.bytes(Buffer.alloc(100_000));
      writer.take();
      seen.add(writer.slab);
    }
    assert.equal(seen.size, 2);
  });
});
