import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  asciiString,
  bitStringOctets,
  DerReader,
  decodeTime,
  element,
  encodeTime,
  namedBits,
  objectIdentifier,
  objectIdentifierText,
  tags,
  unsignedInteger,
  unsignedOctets,
  X509Error,
} from "../src/index.ts";
import { bytes, hex } from "./keys.ts";

const refuses = (work: () => unknown, because: RegExp) =>
  assert.throws(work, (error) => error instanceof X509Error && because.test(error.message));

const first = (text: string) => new DerReader(bytes(text)).read();

describe("the reader of DER", () => {
  const refused: readonly (readonly [string, string, RegExp])[] = [
    ["nothing", "", /cut short/],
    ["a tag alone", "30", /cut short/],
    ["a length that is cut short", "30 82 01", /cut short/],
    ["a value that is cut short", "04 03 01 02", /cut short/],
    ["an indefinite length", "30 80 00 00", /length/],
    ["a reserved length", "04 ff", /length/],
    ["a length of four octets", "04 84 00 00 00 01 aa", /length/],
    ["127 in two octets", `04 81 7f ${"00".repeat(127)}`, /minimal/],
    ["128 in three octets", `04 82 00 80 ${"00".repeat(128)}`, /minimal/],
    ["256 in four octets", `04 83 00 01 00 ${"00".repeat(256)}`, /minimal/],
    ["a tag of several octets", "1f 81 01 00", /tag/],
  ];
  for (const [name, text, because] of refused) {
    test(`refuses ${name}`, () => refuses(() => first(text), because));
  }

  test("refuses another tag than the one expected", () =>
    refuses(() => new DerReader(bytes("0400")).read(tags.sequence), /tag/));

  test("refuses what trails", () => {
    const reader = new DerReader(bytes("0400 00"));
    reader.read();
    refuses(() => reader.end(), /follows/);
  });

  test("reads 127, 128 and 256 octets in their one form each", () => {
    for (const length of [0, 1, 127, 128, 255, 256, 65_535, 65_536]) {
      const value = new Uint8Array(length).fill(7);
      assert.deepEqual(new DerReader(element(tags.octetString, value)).read().content, value);
    }
  });

  test("gives an element or an X509Error for any bytes, and what it gives is written back bit for bit", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (input) => {
        try {
          const { tag, content, bytes: whole } = new DerReader(input).read();
          assert.deepEqual(element(tag, content), whole);
          assert.deepEqual(whole, input.subarray(0, whole.length));
        } catch (error) {
          assert.ok(error instanceof X509Error, String(error));
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("integers", () => {
  for (const [name, text] of [
    ["an empty one", "02 00"],
    ["a negative one", "02 01 80"],
    ["a padded one", "02 02 00 7f"],
    ["a padded zero", "02 02 00 00"],
    ["another type", "04 01 01"],
  ] as const) {
    test(`refuses ${name}`, () => refuses(() => unsignedOctets(first(text)), /integer/));
  }

  test("reads what it wrote, without leading zeros", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 24 }), (octets) => {
        const read = unsignedOctets(new DerReader(unsignedInteger(octets)).read());
        assert.equal(BigInt(`0x${hex(read)}`), BigInt(`0x${hex(octets)}`));
        assert.deepEqual(unsignedInteger(read), unsignedInteger(octets));
      }),
    );
  });
});

describe("object identifiers", () => {
  for (const [name, text] of [
    ["an empty one", "06 00"],
    ["a padded arc", "06 03 2a 80 01"],
    ["an unfinished arc", "06 02 2a 86"],
    ["an arc beyond 31 bits", "06 06 2a 88 80 80 80 00"],
  ] as const) {
    test(`refuses ${name}`, () =>
      refuses(() => objectIdentifierText(first(text)), /object identifier/));
  }

  test("reads what it wrote", () => {
    const arcs = fc.array(fc.integer({ min: 0, max: 0x7fffffff }), { maxLength: 6 });
    const top = fc.oneof(
      fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: 0, max: 39 })),
      fc.tuple(fc.constant(2), fc.integer({ min: 0, max: 999 })),
    );
    fc.assert(
      fc.property(top, arcs, (two, rest) => {
        const dotted = [...two, ...rest].join(".");
        assert.equal(objectIdentifierText(new DerReader(objectIdentifier(dotted)).read()), dotted);
      }),
    );
  });
});

describe("bit strings", () => {
  test("refuses unused bits where whole octets are meant", () =>
    refuses(() => bitStringOctets(first("03 02 01 fe")), /bit string/));
  test("refuses a bit string without its first octet", () =>
    refuses(() => bitStringOctets(first("03 00")), /bit string/));
  test("leaves out zeros at the end of named bits", () => {
    assert.equal(hex(namedBits([0])), "03020780");
    assert.equal(hex(namedBits([5, 6])), "03020106");
    assert.equal(hex(namedBits([8])), "0303070080");
    assert.equal(hex(namedBits([])), "030100");
  });
});

describe("strings", () => {
  for (const text of ["a\0b", "a\nb", "ä", "\u{202e}"]) {
    test(`refuses ${JSON.stringify(text)}`, () =>
      refuses(() => asciiString(tags.ia5String, text), /ASCII/));
  }
  test("writes printable ASCII", () =>
    assert.equal(hex(asciiString(tags.ia5String, "a~")), "1602617e"));
});

describe("times", () => {
  const time = (tag: number, text: string) => new DerReader(asciiString(tag, text)).read();
  const refused: readonly (readonly [string, number, string])[] = [
    ["fractions of a second", tags.generalizedTime, "20500101000000.5Z"],
    ["another zone", tags.utcTime, "260101000000+0100"],
    ["no seconds", tags.utcTime, "2601010000Z"],
    ["30 February", tags.utcTime, "260230000000Z"],
    ["midnight as 24:00", tags.utcTime, "260101240000Z"],
    ["a leap second", tags.utcTime, "261231235960Z"],
    ["a GeneralizedTime before 2050", tags.generalizedTime, "20260101000000Z"],
    ["a time in another string", tags.ia5String, "260101000000Z"],
  ];
  for (const [name, tag, text] of refused) {
    test(`refuses ${name}`, () => refuses(() => decodeTime(time(tag, text)), /time/));
  }
  for (const year of [1949, 10_000, Number.NaN]) {
    test(`refuses to write the year ${year}`, () =>
      refuses(() => encodeTime(Date.UTC(year, 0)), /time/));
  }

  test("changes from UTCTime to GeneralizedTime with the year 2050", () => {
    assert.equal(
      hex(encodeTime(Date.UTC(2049, 11, 31, 23, 59, 59))),
      hex(asciiString(tags.utcTime, "491231235959Z")),
    );
    assert.equal(
      hex(encodeTime(Date.UTC(2050, 0, 1))),
      hex(asciiString(tags.generalizedTime, "20500101000000Z")),
    );
  });

  test("reads what it wrote, cut to the second", () => {
    fc.assert(
      fc.property(fc.integer({ min: Date.UTC(1950, 0, 1), max: Date.UTC(9999, 11, 31) }), (at) => {
        assert.equal(
          decodeTime(new DerReader(encodeTime(at)).read()),
          Math.floor(at / 1000) * 1000,
        );
      }),
    );
  });
});
