import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseCsv, writeCsv } from "../src/csv.ts";
import { rowsOfCsv, rowsOfJson } from "../src/device-file.ts";
import { Failure } from "../src/failure.ts";

const refused = (work: () => unknown, says: RegExp) =>
  assert.throws(work, (error) => error instanceof Failure && says.test(error.message));

describe("a CSV file", () => {
  for (const [text, says] of [
    ['a,"b', /line 1: a quote is not closed/],
    ['a\n"b""', /line 2: a quote is not closed/],
    ['a\n"b"c', /line 2: text stands behind a closing quote/],
    ['a,b"c', /line 1: a quote stands inside/],
    ["a\rb", /line 1: text stands behind/],
  ] as const) {
    test(`is refused: ${JSON.stringify(text)}`, () => refused(() => parseCsv(text), says));
  }

  for (const [text, fields] of [
    ["", []],
    [
      "a,b\r\nc,d\r\n",
      [
        ["a", "b"],
        ["c", "d"],
      ],
    ],
    ["\ufeffa\nb", [["a"], ["b"]]],
    [
      "a,,\n,",
      [
        ["a", "", ""],
        ["", ""],
      ],
    ],
    ['"a,""b""\r\nc",d\n', [['a,"b"\r\nc', "d"]]],
  ] as const) {
    test(`is read: ${JSON.stringify(text)}`, () => {
      assert.deepEqual(
        parseCsv(text).map((record) => record.fields),
        fields,
      );
    });
  }

  test("gives back whatever was written, with the lines it stands in", () => {
    const field = fc.string({ unit: fc.constantFrom("a", ",", '"', "\r\n", "\n", " ", "ä") });
    const records = fc.array(fc.array(field, { minLength: 2, maxLength: 4 }), { maxLength: 6 });
    fc.assert(
      fc.property(records, (written) => {
        const read = parseCsv(writeCsv(written));
        assert.deepEqual(
          read.map(({ fields }) => fields),
          written,
        );
        let line = 1;
        for (const [i, record] of written.entries()) {
          assert.equal(read[i]?.line, line);
          line += record.join("").split("\n").length;
        }
      }),
    );
  });
});

describe("a file of devices", () => {
  for (const [text, says] of [
    ["", /does not name the columns site and ward/],
    ["site,model\n", /does not name/],
    ["site,ward,patient\n", /"patient", which is no column/],
    ["site,ward,site\n", /"site", which is no column or stands there twice/],
  ] as const) {
    test(`is refused whole: ${JSON.stringify(text)}`, () => refused(() => rowsOfCsv(text), says));
  }

  test("is refused whole when it is no list of devices", () => {
    for (const text of ["{", "{}", "[1]", "[null]", "[[]]"])
      refused(() => rowsOfJson(text), /no JSON|no list/);
    refused(() => rowsOfJson('[{"site":"main","ward":"icu","ward":"er"}]'), /key "ward" twice/);
  });

  test("has rows with the lines they stand in; one with too few fields is refused, the others are not", () => {
    const { rows, refused: wrong } = rowsOfCsv('site,ward,tags\nmain,icu,a b\nmain\n"north",er,\n');
    assert.deepEqual(rows, [
      { number: 2, device: { site: "main", ward: "icu", tags: ["a", "b"] } },
      { number: 4, device: { site: "north", ward: "er" } },
    ]);
    assert.deepEqual(wrong, [{ row: 3, field: "", why: "has 1 fields, the first line 3" }]);
  });
});
