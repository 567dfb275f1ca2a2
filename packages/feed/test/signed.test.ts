import assert from "node:assert/strict";
import { generateKeyPairSync, sign, verify } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  decodeFeedMessage,
  encodeFeedMessage,
  type FeedBody,
  FeedError,
  partsOf,
  type SubjectRecord,
} from "../src/index.ts";

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
  parts: 0,
  change: { removedSubjects: ["device:ä"] },
  subjects: [
    {
      id: "device:1",
      kind: "device",
      state: "quarantined",
      attributes: { org: "h", id: "1" },
      spiffeId: "spiffe://h/device/1",
      certificates: [{ fingerprint: "ab", notAfter: 5, state: "superseded" }],
    },
  ],
};
const line = encodeFeedMessage(body, signWith(key.privateKey)).trimEnd();
const [signature = "", text = ""] = [line.slice(0, 88), line.slice(89)];

const refuses = (text: string, code = "ERR_FEED_SIGNATURE") =>
  assert.throws(
    () => decodeFeedMessage(text, verifies),
    (error) => error instanceof FeedError && error.code === code,
  );

describe("a feed message", () => {
  test("of another key is refused", () =>
    refuses(encodeFeedMessage(body, signWith(other.privateKey))));

  test("is refused after any change of its body", () => {
    refuses(`${signature} ${text.replace('"version":7', '"version":8')}`);
    refuses(`${signature} ${text} `);
    refuses(`${signature} {}`);
  });

  test("is refused when the signature is for something else than the feed", () => {
    refuses(`${sign(null, Buffer.from(text), key.privateKey).toString("base64")} ${text}`);
  });

  test("is refused with a signature in another spelling", () => {
    for (const other of [
      "",
      "x",
      signature.slice(0, -2),
      `${signature}\n`,
      signature.replace(/==$/, ""),
    ]) {
      refuses(`${other} ${text}`);
    }
  });

  test("is refused when it is no message", () => {
    for (const wrong of ["", "[]", "null", signature]) refuses(wrong, "ERR_FEED_LINE");
  });

  test("is refused when what is signed is no body of the feed", () => {
    for (const wrong of [
      {},
      { ...body, type: "bogus" },
      { ...body, version: 1.5 },
      { ...body, lineage: 1 },
      [],
    ]) {
      const signed = encodeFeedMessage(wrong as FeedBody, signWith(key.privateKey));
      refuses(signed.trimEnd(), "ERR_FEED_LINE");
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

describe("subjects in parts", () => {
  const subject = (certificates: number): SubjectRecord => ({
    id: "device:1",
    kind: "device",
    state: "active",
    attributes: {},
    spiffeId: "",
    certificates: Array.from({ length: certificates }, () => ({
      fingerprint: "ab",
      notAfter: 1,
      state: "active",
    })),
  });

  test("are all there, in order, and no part but one of a single subject is too large", () => {
    const counts = fc.array(fc.integer({ min: 0, max: 1_500 }), { maxLength: 30 });
    fc.assert(
      fc.property(counts, (of) => {
        const subjects = of.map(subject);
        const parts = partsOf(subjects);
        assert.deepEqual(parts.flat(), subjects);
        assert.ok(parts.length > 0);
        for (const part of parts) {
          const weight = part.reduce((sum, { certificates }) => sum + 1 + certificates.length, 0);
          assert.ok(weight <= 1_000 || part.length === 1);
        }
      }),
    );
  });
});
