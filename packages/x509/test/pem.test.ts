import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { decodePem, decodePems, encodePem, X509Error } from "../src/index.ts";

const refuses = (text: string) =>
  assert.throws(
    () => decodePem("CERTIFICATE", text),
    (error) => error instanceof X509Error && error.code === "ERR_X509_PEM",
  );

const good = encodePem("CERTIFICATE", new Uint8Array(100).fill(0xa5));

describe("the reader of PEM", () => {
  const refused: readonly (readonly [string, string])[] = [
    ["nothing", ""],
    ["another label", good.replaceAll("CERTIFICATE", "PRIVATE KEY")],
    ["two labels", good.replace("END CERTIFICATE", "END PUBLIC KEY")],
    ["text before it", `subject=x\n${good}`],
    ["text after it", `${good}x`],
    ["a header inside", good.replace("\n", "\nProc-Type: 4,ENCRYPTED\n\n")],
    ["no end", good.slice(0, -20)],
    ["a second block", good + good],
    ["an empty block", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"],
    ["lines of another length", good.replace(/^(.{10})(.*)$/m, "$1\n$2").replace(/pa/, "p\na")],
    ["a character outside base64", good.replace("paWl", "pa!l")],
    ["url-safe base64", good.replace("paWl", "pa_l")],
    [
      "stray bits in the last character",
      "-----BEGIN CERTIFICATE-----\nAB==\n-----END CERTIFICATE-----\n",
    ],
    ["missing padding", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"],
    ["spaces at the end of a line", good.replace("\n", " \n")],
  ];
  for (const [name, text] of refused) test(`refuses ${name}`, () => refuses(text));

  test("reads lines that end with CR LF", () =>
    assert.equal(decodePem("CERTIFICATE", good.replaceAll("\n", "\r\n")).length, 100));

  test("reads a path of certificates in order", () => {
    const path = [Uint8Array.of(1), Uint8Array.of(2)];
    assert.deepEqual(
      decodePems("CERTIFICATE", path.map((der) => encodePem("CERTIFICATE", der)).join("")),
      path,
    );
  });

  test("reads what it wrote", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (der) => {
        assert.deepEqual(decodePem("PUBLIC KEY", encodePem("PUBLIC KEY", der)), der);
      }),
    );
  });
});
