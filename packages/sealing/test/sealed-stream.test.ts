import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import {
  keyForRecipient,
  keyOfRecipient,
  SealError,
  StreamOpener,
  StreamSealer,
} from "../src/index.ts";

const fails = (work: () => unknown) => assert.throws(work, SealError);
const key = randomBytes(32);
const head = Buffer.from("head");

function sealed(texts: readonly string[]): Buffer[] {
  const sealer = new StreamSealer(key, head);
  return texts.map((text, at) => sealer.seal(Buffer.from(text), at === texts.length - 1));
}

function open(chunks: readonly Buffer[], under = head): string[] {
  const opener = new StreamOpener(key, under);
  return chunks.map((chunk, at) => opener.open(chunk, at === chunks.length - 1).toString());
}

describe("a sealed stream", () => {
  const texts = ["one", "two", "", "four"];
  const [one, two, three, four] = sealed(texts) as [Buffer, Buffer, Buffer, Buffer];

  for (const [what, chunks] of Object.entries({
    "cut off at its end": [one, two, three],
    "cut off at its beginning": [two, three, four],
    "without one in the middle": [one, three, four],
    "with two exchanged": [two, one, three, four],
    "with one twice": [one, one, two, three, four],
    "going on behind its end": [one, two, three, four, four],
    "with the end of another": [one, two, three, ...sealed(["x"])],
    "with a chunk cut short": [one.subarray(0, -1), two, three, four],
    "with a chunk of nothing": [Buffer.alloc(0), two, three, four],
  })) {
    test(`is refused ${what}`, () => fails(() => open(chunks)));
  }

  test("is refused with any one bit flipped, and under another head", () => {
    for (let bit = 0; bit < two.length * 8; bit += 1) {
      const flipped = Buffer.from(two);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      fails(() => open([one, flipped, three, four]));
    }
    fails(() => open([one, two, three, four], Buffer.from("other")));
  });

  test("opens whole and in order", () => assert.deepEqual(open([one, two, three, four]), texts));
});

describe("a key for a recipient", () => {
  const pairs = {
    X25519: () => generateKeyPairSync("x25519"),
    "P-256": () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  };

  test("is refused for a kind of key that is not for this", () => {
    for (const { publicKey } of [
      generateKeyPairSync("ed25519"),
      generateKeyPairSync("ec", { namedCurve: "P-384" }),
    ])
      fails(() => keyForRecipient(publicKey));
  });

  for (const [kind, newPair] of Object.entries(pairs)) {
    test(`of ${kind} is found by nobody else, and each time another`, () => {
      const [mine, other] = [newPair(), newPair()];
      const made = keyForRecipient(mine.publicKey);
      assert.deepEqual(keyOfRecipient(mine.privateKey, made.ephemeral), made.key);
      assert.notDeepEqual(keyOfRecipient(other.privateKey, made.ephemeral), made.key);
      assert.notDeepEqual(keyForRecipient(mine.publicKey).key, made.key);
      fails(() => keyOfRecipient(mine.privateKey, Buffer.from("no key")));
    });
  }

  test("is refused when the other public key is of another kind", () => {
    const made = keyForRecipient(pairs.X25519().publicKey);
    fails(() => keyOfRecipient(pairs["P-256"]().privateKey, made.ephemeral));
  });
});
