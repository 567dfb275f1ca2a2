import assert from "node:assert/strict";
import { generateKeyPairSync, sign, verify } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { decodeFeedMessage, encodeFeedMessage, type FeedBody, FeedError } from "../src/index.ts";

const key = generateKeyPairSync("ed25519");
const other = generateKeyPairSync("ed25519");
const signWith = (privateKey: typeof key.privateKey) => (bytes: Uint8Array) =>
  new Uint8Array(sign(null, bytes, privateKey));
const verifies = (bytes: Uint8Array, signature: Uint8Array) =>
  verify(null, bytes, key.publicKey, signature);

const body: FeedBody = {
  type: "change",
  lineage: "ab12",
  version: 7,
  issuedAt: 1,
  change: { removedSubjects: ["device:ä"] },
};
const line = encodeFeedMessage(body, signWith(key.privateKey)).trimEnd();
const message = JSON.parse(line) as { body: string; signature: string };

const refuses = (text: string, code = "ERR_FEED_SIGNATURE") =>
  assert.throws(
    () => decodeFeedMessage(text, verifies),
    (error) => error instanceof FeedError && error.code === code,
  );

describe("a feed message", () => {
  test("of another key is refused", () =>
    refuses(encodeFeedMessage(body, signWith(other.privateKey))));

  test("is refused after any change of its body", () => {
    refuses(
      JSON.stringify({ ...message, body: message.body.replace('"version":7', '"version":8') }),
    );
    refuses(JSON.stringify({ ...message, body: `${message.body} ` }));
    refuses(JSON.stringify({ ...message, body: "{}" }));
  });

  test("is refused when the signature is for something else than the feed", () => {
    const signature = sign(null, Buffer.from(message.body), key.privateKey).toString("base64");
    refuses(JSON.stringify({ ...message, signature }));
  });

  test("is refused with a signature in another spelling", () => {
    for (const signature of [
      "",
      "x",
      message.signature.slice(0, -2),
      `${message.signature}\n`,
      message.signature.replace(/==$/, ""),
    ]) {
      refuses(JSON.stringify({ ...message, signature }));
    }
  });

  test("is refused when it is no message", () => {
    for (const text of ["", "[]", "null", "1", "{}", '{"body":1,"signature":""}'])
      refuses(text, "ERR_FEED_LINE");
  });

  test("is refused when what is signed is no body of the feed", () => {
    for (const wrong of [
      {},
      { ...body, type: "bogus" },
      { ...body, version: 1.5 },
      { ...body, lineage: 1 },
      [],
    ]) {
      refuses(encodeFeedMessage(wrong as FeedBody, signWith(key.privateKey)), "ERR_FEED_LINE");
    }
  });

  test("is one line and gives back what was signed", () => {
    assert.doesNotMatch(line, /\n/);
    assert.deepEqual(decodeFeedMessage(line, verifies), body);
  });

  test("with any bytes changed gives the same body or a FeedError", () => {
    const bytes = Buffer.from(line, "utf8");
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 }), (at, octet) => {
        const changed = Buffer.from(bytes);
        changed[at] = octet;
        try {
          assert.deepEqual(decodeFeedMessage(changed.toString("utf8"), verifies), body);
        } catch (error) {
          assert.ok(error instanceof FeedError, String(error));
        }
      }),
    );
  });
});
