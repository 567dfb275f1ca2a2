import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { decodeUtf8, isUtf8EncodedString, isUtf8Payload, isWellFormedUtf8 } from "../src/index.ts";
import { bytes } from "./bytes.ts";

const refused = {
  "U+0000": "00",
  "U+0000 between letters": "61 00 62",
  "U+0000 behind a letter beyond ASCII": "c3a9 00",
  "U+0000 in two bytes": "c080",
  "a slash in two bytes": "c0af",
  "a slash in three bytes": "e080af",
  "U+07FF in three bytes": "e09fbf",
  "U+FFFF in four bytes": "f08fbfbf",
  "the first surrogate": "eda080",
  "the last surrogate": "edbfbf",
  "a pair of surrogates": "eda081 edb080",
  "U+110000": "f4908080",
  "a lead byte of five": "f888808080",
  fe: "fe",
  ff: "ff",
  "a continuation byte alone": "80",
  "a lead byte alone": "61 c3",
  "two of three bytes": "e282",
  "three of four bytes": "f09f98",
  "two of three bytes and a letter": "e282 61",
  "three of four bytes and a letter": "f09f98 61",
};

const accepted = {
  "": "",
  "a/b": "612f62",
  "U+0001 and U+007F": "017f",
  é: "c3a9",
  "U+0080, the first of two bytes": "c280",
  "U+07FF, the last of two bytes": "dfbf",
  "U+0800, the first of three bytes": "e0a080",
  "U+FFFF, the last of three bytes": "efbfbf",
  "the last before the surrogates": "ed9fbf",
  "the first behind the surrogates": "ee8080",
  "the noncharacter U+FFFE": "efbfbe",
  "U+10000": "f0908080",
  "U+10FFFF": "f48fbfbf",
  "letters around 😀": "61 f09f9880 62",
};

const around = Buffer.from([0xff]);

function decode(content: Buffer): string {
  const buffer = Buffer.concat([around, content, around]);
  return decodeUtf8(buffer, 1, buffer.length - 1);
}

describe("a UTF-8 Encoded String", () => {
  for (const [name, hex] of Object.entries(refused)) {
    test(`may not hold ${name}`, () => {
      const content = bytes(hex);
      assert.throws(() => decode(content), { code: "ERR_MQTT_UTF8" });
      assert.equal(isWellFormedUtf8(content, 0, content.length), false);
    });
  }

  for (const [name, hex] of Object.entries(accepted)) {
    test(`may hold ${JSON.stringify(name)}`, () => {
      const content = bytes(hex);
      assert.equal(decode(content), content.toString("utf8"));
      assert.equal(isWellFormedUtf8(content, 0, content.length), true);
    });
  }

  test("ends where it is told, not where a character does", () => {
    const content = bytes("61 c3a9");
    assert.throws(() => decodeUtf8(content, 0, 2), { code: "ERR_MQTT_UTF8" });
    assert.equal(decodeUtf8(content, 0, 3), "aé");
  });

  test("keeps a byte order mark wherever it stands", () => {
    assert.equal(decode(bytes("efbbbf 61 efbbbf")), "\ufeffa\ufeff");
  });

  test("is read like the fatal TextDecoder reads it, except for U+0000", () => {
    const piece = fc.constantFrom(
      ...Object.values({ ...refused, ...accepted }).map((hex) => bytes(hex)),
    );
    const content = fc.oneof(
      fc.array(piece, { maxLength: 4 }).map((pieces) => Buffer.concat(pieces)),
      fc.uint8Array({ maxLength: 12 }).map((array) => Buffer.from(array)),
    );
    fc.assert(
      fc.property(content, (buffer) => {
        assert.equal(
          outcomeOf(() => decode(buffer)),
          outcomeOf(() => twin(buffer)),
        );
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("a text", () => {
  test("that has a lone surrogate or U+0000 may not be written", () => {
    for (const text of ["\ud800", "a\udc00b", "\udc00\ud800", "a\0"]) {
      assert.equal(isUtf8EncodedString(text), false, JSON.stringify(text));
    }
    assert.equal(isUtf8EncodedString("😀"), true);
  });

  test("may take 65,535 bytes and not one more", () => {
    for (const [text, fits] of [
      ["a".repeat(65_535), true],
      ["a".repeat(65_536), false],
      ["é".repeat(32_767), true],
      ["é".repeat(32_768), false],
      ["€".repeat(21_845), true],
      ["€".repeat(21_846), false],
    ] as const) {
      assert.equal(isUtf8EncodedString(text), fits, `${text.length} times ${text[0]}`);
    }
  });
});

test("a payload said to be UTF-8 may hold U+0000 but nothing ill-formed", () => {
  for (const [name, hex] of Object.entries(refused)) {
    const around = bytes(`ff ${hex} ff`);
    const wellFormed = name.startsWith("U+0000") && !hex.startsWith("c0");
    assert.equal(isUtf8Payload(around, 1, around.length - 1), wellFormed, name);
  }
});

function twin(content: Buffer): string {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
  if (text.includes("\0")) throw new Error("U+0000");
  return text;
}

function outcomeOf(read: () => string): string {
  try {
    return `text ${read()}`;
  } catch {
    return "refused";
  }
}
