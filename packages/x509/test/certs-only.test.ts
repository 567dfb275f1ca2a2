import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  certsOnly,
  csrAttributes,
  DerReader,
  decodeCertsOnly,
  sequence,
  X509Error,
} from "../src/index.ts";

const anySequence = fc.uint8Array({ maxLength: 300 }).map((content) => sequence(content));

describe("a certs-only message", () => {
  test("is refused for any bytes that are none", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        assert.throws(() => decodeCertsOnly(bytes), X509Error);
      }),
    );
  });

  test("is refused or read, whatever bit of it is changed", () => {
    const message = certsOnly([sequence(Uint8Array.of(1, 2, 3))]);
    fc.assert(
      fc.property(fc.nat(message.length * 8 - 1), (bit) => {
        const changed = Uint8Array.from(message);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        try {
          decodeCertsOnly(changed);
        } catch (error) {
          assert.ok(error instanceof X509Error, String(error));
        }
      }),
    );
  });

  test("carries certificates there and back in their order", () => {
    fc.assert(
      fc.property(fc.array(anySequence, { maxLength: 4 }), (certificates) => {
        assert.deepEqual(decodeCertsOnly(certsOnly(certificates)), certificates);
      }),
    );
  });
});

test("the CSR attributes are one SEQUENCE of a template, a key type and a signature algorithm", () => {
  const outer = new DerReader(csrAttributes());
  const parts = new DerReader(outer.read(0x30).content);
  outer.end();
  for (const tag of [0x30, 0x30, 0x06]) parts.read(tag);
  parts.end();
});
