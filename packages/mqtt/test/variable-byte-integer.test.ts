import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  decodeVariableByteInteger,
  encodeVariableByteInteger,
  maximumVariableByteInteger,
  variableByteIntegerLength,
} from "../src/index.ts";
import { bytes } from "./bytes.ts";

const refused = {
  "127 padded to two bytes": "ff00",
  "0 padded to two bytes": "8000",
  "0 padded to three bytes": "808000",
  "0 padded to four bytes": "80808000",
  "16,383 padded to three bytes": "ffff00",
  "2,097,151 padded to four bytes": "ffffff00",
  "five bytes": "8080808001",
  "five bytes that would wrap to 0": "8080808010",
  "four bytes that all announce another": "ffffffff",
  "five bytes of the largest value": "ffffffff7f",
  "five padded bytes": "8080808000",
};

/** 5.0 table 1-1: the first and the last value of each length. */
const boundaries: readonly (readonly [value: number, hex: string])[] = [
  [0, "00"],
  [127, "7f"],
  [128, "8001"],
  [16_383, "ff7f"],
  [16_384, "808001"],
  [2_097_151, "ffff7f"],
  [2_097_152, "80808001"],
  [268_435_455, "ffffff7f"],
];

describe("a variable byte integer", () => {
  for (const [name, hex] of Object.entries(refused)) {
    test(`is refused as ${name}`, () => {
      const buffer = bytes(hex);
      assert.throws(() => decodeVariableByteInteger(buffer, 0, buffer.length), {
        code: "ERR_MQTT_VARIABLE_BYTE_INTEGER",
        reasonCode: 0x81,
      });
    });
  }

  test("that announces more than four bytes is refused before a fifth arrives", () => {
    const buffer = bytes("80808080");
    assert.throws(() => decodeVariableByteInteger(buffer, 0, 4), {
      code: "ERR_MQTT_VARIABLE_BYTE_INTEGER",
    });
  });

  for (const [value, hex] of boundaries) {
    test(`of ${value} is ${hex}`, () => {
      const buffer = bytes(`ff ${hex} 00`);
      assert.equal(decodeVariableByteInteger(buffer, 1, buffer.length), value);
      assert.equal(variableByteIntegerLength(value), hex.length / 2);
      const written = Buffer.alloc(6, 0xee);
      const end = encodeVariableByteInteger(value, written, 1);
      assert.equal(written.subarray(1, end).toString("hex"), hex);
      assert.equal(written[end], 0xee);
    });
  }

  test("is not complete before its last byte", () => {
    for (const hex of ["", "80", "ff", "8080", "808080"]) {
      const buffer = bytes(hex);
      assert.equal(decodeVariableByteInteger(buffer, 0, buffer.length), -1, hex);
    }
    assert.equal(decodeVariableByteInteger(bytes("8001"), 0, 1), -1);
  });

  test("is not written for what is no integer from 0 to 268,435,455", () => {
    for (const value of [-1, 0.5, maximumVariableByteInteger + 1, 2 ** 32, Number.NaN]) {
      assert.throws(() => encodeVariableByteInteger(value, Buffer.alloc(8), 0), {
        code: "ERR_MQTT_VARIABLE_BYTE_INTEGER",
      });
    }
  });

  test("is read as it was written", () => {
    fc.assert(
      fc.property(fc.nat(maximumVariableByteInteger), (value) => {
        const buffer = Buffer.alloc(4);
        const end = encodeVariableByteInteger(value, buffer, 0);
        assert.equal(end, variableByteIntegerLength(value));
        assert.equal(decodeVariableByteInteger(buffer, 0, end), value);
        assert.equal(decodeVariableByteInteger(buffer, 0, end - 1), -1);
      }),
    );
  });
});
