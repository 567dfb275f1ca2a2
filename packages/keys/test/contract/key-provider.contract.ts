import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { type KeyProvider, KeysError, type KeysErrorCode } from "../../src/index.ts";

export const fails = (code: KeysErrorCode, work: () => unknown) =>
  assert.throws(work, (error) => {
    assert.ok(error instanceof KeysError, String(error));
    assert.equal(error.code, code);
    assert.ok(error.hint.length > 0);
    return true;
  });

/** What every KeyProvider keeps. `open` opens the same one anew, `other` one with another key-encryption key. */
export interface ProviderUnderTest {
  readonly open: () => KeyProvider;
  readonly other: () => KeyProvider;
}

export function keyProviderContract(
  make: () => ProviderUnderTest,
  options: { readonly skip?: string | false } = {},
): void {
  const about = Buffer.from("purpose, store, key id");

  test("refuses a wrapped key with any one bit flipped", options, () => {
    const provider = make().open();
    const wrapped = provider.wrap(randomBytes(32), about);
    for (let bit = 0; bit < wrapped.length * 8; bit += 1) {
      const flipped = Buffer.from(wrapped);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      fails("ERR_KEY_WRONG", () => provider.unwrap(flipped, about));
    }
  });

  test("refuses a wrapped key that was cut off, or that is nothing", options, () => {
    const provider = make().open();
    const wrapped = provider.wrap(randomBytes(32), about);
    for (const length of [0, 1, 12, 16, 28, wrapped.length - 1])
      fails("ERR_KEY_WRONG", () => provider.unwrap(wrapped.subarray(0, length), about));
  });

  test("refuses other associated data", options, () => {
    const provider = make().open();
    const wrapped = provider.wrap(randomBytes(32), about);
    fails("ERR_KEY_WRONG", () => provider.unwrap(wrapped, Buffer.from("another key id")));
  });

  test("refuses what another key-encryption key has wrapped", options, () => {
    const { open, other } = make();
    const wrapped = other().wrap(randomBytes(32), about);
    fails("ERR_KEY_WRONG", () => open().unwrap(wrapped, about));
  });

  test("opens, also after a restart, what it has wrapped, and never wraps alike", options, () => {
    const { open } = make();
    const key = randomBytes(32);
    const [provider, later] = [open(), open()];
    const [one, two] = [provider.wrap(key, about), provider.wrap(key, about)];
    assert.deepEqual(later.unwrap(one, about), key);
    assert.deepEqual(later.unwrap(two, about), key);
    assert.ok(!one.equals(two) && !one.includes(key));
  });

  test("describes itself without the key, so that a key file can name it", options, () => {
    const { open } = make();
    assert.deepEqual(open().description, open().description);
    assert.ok(!/[0-9a-f]{64}/.test(JSON.stringify(open().description)));
  });
}
