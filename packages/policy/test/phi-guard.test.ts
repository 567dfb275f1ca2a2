import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type PhiDetectorName, parsePolicy, phiDetectorNames, phiGuard } from "../src/index.ts";

const guard = phiGuard(undefined);
const seen = (text: string, search = guard) =>
  search(text).map(({ detector, blocks }) => `${detector}${blocks ? "!" : ""}`);

/** What blocks, and a neighbour that looks like it and does not. Invented, and built so that nobody has them. */
const rows: readonly (readonly [PhiDetectorName, blocks: string, passes: string])[] = [
  ["ssn", "h/main/icu/123-45-6789", "h/main/icu/900-45-6789"],
  ["ssn", "h/ssn/123456789", "h/main/123456789"],
  ["mrn", "h/mrn/00451277", "h/bed/00451277"],
  ["mrn", "patient=451277", "pump=451277"],
  ["nhs-number", "h/nhs/943 476 5919", "h/nhs/943 476 5918"],
  ["mbi", "h/1EG4-TE5-MK73", "h/1EG4-TE5-MKS3"],
  ["mbi", "medicare:1EG4TE5MK73", "model:1EG4TE5MK7"],
  ["npi", "h/npi/1245319599", "h/npi/1245319598"],
  ["email", "h/main/ann@example.org", "h/main/ann@example"],
  ["phone", "tel 555-010-1234", "unit 555-01-12"],
  ["birth-date", "h/dob/1980-04-31", "h/day/1980-04-31"],
  ["birth-date", "born-19800412", "build-19800412"],
];

describe("the PHI guard", () => {
  for (const [detector, blocks, passes] of rows) {
    test(`blocks a ${detector} in "${blocks}" and not in "${passes}"`, () => {
      assert.ok(!seen(passes).includes(`${detector}!`), passes);
      assert.ok(seen(blocks).includes(`${detector}!`), `${blocks}: ${seen(blocks)}`);
    });
  }

  test("warns of a name behind its key word, and blocks it where the policy says so", () => {
    assert.deepEqual(seen("h/surname/miller"), ["name"]);
    assert.deepEqual(seen("h/ward/miller"), []);
    const text = "roles: {}\nphi: { detectors: { name: block } }";
    assert.deepEqual(seen("h/surname/miller", phiGuard(parsePolicy(text).phi)), ["name!"]);
  });

  test("never blocks by a weak sign alone", () => {
    assert.deepEqual(seen("h/unit/9434765919"), ["nhs-number"]);
    assert.deepEqual(
      seen("h/unit/2245319595").filter((one) => one.endsWith("!")),
      [],
    );
    assert.deepEqual(seen("h/unit/1EG4TE5MK73"), ["mbi"]);
    assert.deepEqual(seen("h/555-010-1234"), ["phone"]);
  });

  test("sees through percent signs, full-width digits and characters without width", () => {
    for (const text of [
      "h/ssn/123%2D45%2D6789",
      "h/ssn/\uff11\uff12\uff13-45-6789",
      "h/ssn/123-\u200b45-6789",
    ]) {
      assert.deepEqual(seen(text), ["ssn!"], text);
    }
  });

  test("takes the site's own patterns without a key word, and leaves allowed words out", () => {
    const text =
      'roles: {}\nphi: { recordNumbers: ["MR######", "1#########"], allow: ["MR000000"] }';
    const own = phiGuard(parsePolicy(text).phi);
    assert.deepEqual(seen("h/x/MR451277", own), ["mrn!"]);
    assert.deepEqual(seen("h/x/MR45127", own), []);
    assert.deepEqual(seen("h/x/MR000000", own), []);
  });

  test("does nothing in mode off, and only warns in mode warn", () => {
    const mode = (text: string) => phiGuard(parsePolicy(`roles: {}\nphi: { mode: ${text} }`).phi);
    for (const [, blocks] of rows) {
      assert.deepEqual(seen(blocks, mode("off")), [], blocks);
      assert.ok(!seen(blocks, mode("warn")).some((one) => one.endsWith("!")), blocks);
      assert.ok(seen(blocks, mode("warn")).length > 0, blocks);
    }
  });

  test("tells where it stands", () => {
    const [finding] = guard("h/main/ssn/123-45-6789/x");
    assert.deepEqual([finding?.at, finding?.text], [11, "123-45-6789"]);
  });

  test("refuses a detector and a pattern that it does not know", () => {
    assert.throws(
      () => parsePolicy("roles: {}\nphi: { detectors: { ssm: block } }"),
      /a detector's name/,
    );
    assert.throws(() => parsePolicy('roles: {}\nphi: { recordNumbers: [".*"] }'), /a pattern/);
  });

  test("has a row for every detector", () => {
    const tested = new Set<string>([...rows.map(([detector]) => detector), "name"]);
    assert.deepEqual(tested, new Set<string>(phiDetectorNames));
  });
});

describe("false positives of the PHI guard in block mode", () => {
  /** Numbers that look random and are the same in every run. */
  let state = 0x2545f491;
  const random = (below: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const hex = (digits: number) =>
    Array.from({ length: digits }, () => random(16).toString(16)).join("");
  const harmless: Readonly<Record<string, () => string>> = {
    uuids: () => `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`,
    "epoch seconds": () => String(1_000_000_000 + random(1_000_000_000)),
    "epoch milliseconds": () =>
      `1${String(random(1_000_000_000)).padStart(9, "0")}${random(900) + 100}`,
    "10-digit serials": () => String(random(0xffff_ffff)).padStart(10, "0").slice(0, 10),
    "16 hexadecimal digits": () => hex(16),
  };
  for (const [what, make] of Object.entries(harmless)) {
    test(`are 0 in 100,000 ${what}`, () => {
      for (let i = 0; i < 100_000; i++) {
        const text = `st-anna/main/icu/device/${make()}/telemetry`;
        const blocking = guard(text).filter(({ blocks }) => blocks);
        assert.equal(blocking.length, 0, text);
      }
    });
  }
});
