import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  KeyRing,
  keyIdOf,
  newDataKey,
  paddedLength,
  SealError,
  type SealErrorCode,
  sealOverhead,
} from "../src/index.ts";

const place = { purpose: "broker-state", store: "store-1", table: "messages" };

function newRing() {
  const key = newDataKey();
  return { key, ring: new KeyRing([key], key.id) };
}

const fails = (code: SealErrorCode, work: () => unknown) =>
  assert.throws(work, (error) => error instanceof SealError && error.code === code);

describe("a sealed row", () => {
  test("is refused with any one bit flipped", () => {
    const { ring } = newRing();
    const here = ring.at(place);
    const sealed = here.seal("7", Buffer.from("an alarm"));
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const flipped = Buffer.from(sealed);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const isKeyId = bit >= 8 && bit < 40;
      fails(isKeyId ? "ERR_SEAL_KEY_UNKNOWN" : "ERR_SEAL_DAMAGED", () => here.open("7", flipped));
    }
  });

  test("is refused when it was cut off or something stands behind it", () => {
    const { ring } = newRing();
    const here = ring.at(place);
    const sealed = here.seal("7", Buffer.from("an alarm"));
    for (let length = 0; length < sealed.length; length += 1)
      fails("ERR_SEAL_DAMAGED", () => here.open("7", sealed.subarray(0, length)));
    fails("ERR_SEAL_DAMAGED", () => here.open("7", Buffer.concat([sealed, Buffer.alloc(1)])));
  });

  test("is refused at any other place, and opens at its own", () => {
    const { ring } = newRing();
    // Short parts of few letters, so that their ends meet: "a", "bc" must not pass for "ab", "c".
    const part = fc.string({ unit: fc.constantFrom("a", "b", "\0"), maxLength: 3 });
    const anyPlace = fc.record({ purpose: part, store: part, table: part });
    fc.assert(
      fc.property(anyPlace, part, anyPlace, part, (one, row, other, otherRow) => {
        const bytes = Buffer.from("bytes");
        const sealed = ring.at(one).seal(row, bytes);
        assert.deepEqual(ring.at(one).open(row, sealed), bytes);
        const isSame = JSON.stringify([one, row]) === JSON.stringify([other, otherRow]);
        if (!isSame) fails("ERR_SEAL_DAMAGED", () => ring.at(other).open(otherRow, sealed));
      }),
      { numRuns: 500 },
    );
  });

  test("is refused by a ring that has another key of the same id", () => {
    const { ring, key } = newRing();
    const other = new KeyRing([{ ...newDataKey(), id: key.id }], key.id);
    const sealed = ring.at(place).seal("7", Buffer.from("an alarm"));
    fails("ERR_SEAL_DAMAGED", () => other.at(place).open("7", sealed));
  });

  test("opens to what was sealed, whatever its length, at rows of text and of octets", () => {
    const { ring } = newRing();
    const here = ring.at(place);
    const row = fc.oneof(fc.string(), fc.uint8Array());
    fc.assert(
      fc.property(row, fc.uint8Array({ maxLength: 3000 }), (where, bytes) => {
        const sealed = here.seal(where, bytes);
        assert.deepEqual(here.open(where, sealed), Buffer.from(bytes));
        assert.equal(sealed.length, paddedLength(bytes.length) + sealOverhead);
      }),
    );
  });

  test("shows nothing of what was sealed, and never the same bytes twice", () => {
    const { ring } = newRing();
    const here = ring.at(place);
    const topic = Buffer.from("north/main/icu-1/device/telemetry");
    const [one, two] = [here.seal("7", topic), here.seal("7", topic)];
    assert.ok(!one.includes(topic) && !one.equals(two));
    assert.ok(!one.includes(here.seal("7", Buffer.alloc(0)).subarray(-16)));
  });
});

describe("a key ring", () => {
  test("refuses keys that have another form, come twice, or lack the current one", () => {
    const key = newDataKey();
    fails("ERR_SEAL_KEY_RING", () => new KeyRing([key], "00000000"));
    fails("ERR_SEAL_KEY_RING", () => new KeyRing([key, key], key.id));
    fails("ERR_SEAL_KEY_RING", () => new KeyRing([{ ...key, id: "key" }], "key"));
    fails("ERR_SEAL_KEY_RING", () => new KeyRing([{ ...key, key: Buffer.alloc(16) }], key.id));
  });

  test("opens rows of former keys until it forgets them, and seals with the new one", () => {
    const { ring, key } = newRing();
    const here = ring.at(place);
    const old = here.seal("7", Buffer.from("an alarm"));
    const next = newDataKey();
    ring.rotate(next);
    assert.equal(keyIdOf(old), key.id);
    assert.equal(keyIdOf(here.seal("7", Buffer.alloc(0))), next.id);
    assert.equal(here.open("7", old).toString(), "an alarm");
    ring.forget(key.id);
    assert.deepEqual(ring.ids, [next.id]);
    fails("ERR_SEAL_KEY_UNKNOWN", () => here.open("7", old));
  });

  test("does not forget the key that seals", () => {
    const { ring, key } = newRing();
    fails("ERR_SEAL_KEY_RING", () => ring.forget(key.id));
  });

  test("opens what another ring with the same key sealed, and counts apart from it", () => {
    const { ring, key } = newRing();
    const sameKey = new KeyRing([key], key.id); // as after a crash, or from a copy of the disk
    const rows = [ring, sameKey].map((one) => one.at(place).seal("7", Buffer.from("an alarm")));
    assert.ok(rows.every((row) => ring.at(place).open("7", row).toString() === "an alarm"));
    const salts = rows.map((row) => row.subarray(5, 21).toString("hex"));
    assert.equal(new Set(salts).size, 2);
  });

  test("never uses a nonce twice under a derived key, and begins another in time", () => {
    const key = newDataKey();
    const here = new KeyRing([key], key.id, 3).at(place);
    const rows = Array.from({ length: 10 }, (_, row) => here.seal(`${row}`, Buffer.from(`${row}`)));
    const used = rows.map((row) => row.subarray(5, 25).toString("hex"));
    assert.equal(new Set(used).size, rows.length);
    assert.equal(new Set(used.map((one) => one.slice(0, 32))).size, 4); // 3 + 3 + 3 + 1
    const opened = rows.map((row, at) => here.open(`${at}`, row).toString());
    assert.deepEqual(opened, [...rows.keys()].map(String));
  });
});

describe("a lookup", () => {
  test("differs by name, place and key, and is the same for the same", () => {
    const { ring, key } = newRing();
    const here = ring.at(place);
    const elsewhere = ring.at({ ...place, table: "sessions" });
    const hex = (bytes: Buffer) => bytes.toString("hex");
    const first = hex(here.lookup("device:1"));
    assert.equal(hex(here.lookup("device:1")), first);
    assert.notEqual(hex(here.lookup("device:2")), first);
    assert.notEqual(hex(elsewhere.lookup("device:1")), first);
    ring.rotate(newDataKey());
    assert.notEqual(hex(here.lookup("device:1")), first);
    assert.equal(hex(here.lookup("device:1", key.id)), first);
  });

  test("under a key that was forgotten is refused", () => {
    const { ring, key } = newRing();
    const here = ring.at(place);
    here.lookup("device:1");
    ring.rotate(newDataKey());
    ring.forget(key.id);
    fails("ERR_SEAL_KEY_UNKNOWN", () => here.lookup("device:1", key.id));
  });
});
