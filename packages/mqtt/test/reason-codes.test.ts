import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  connectReturnCode,
  connectReturnCodes,
  type ReasonCodeDefinition,
  reasonCodeAllowed,
  reasonCodes,
} from "../src/index.ts";

const rows = Object.entries<ReasonCodeDefinition>(reasonCodes);

describe("a Reason Code", () => {
  test("of a refusal stands in no packet that can only succeed", () => {
    for (const packet of ["CONNECT", "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "PINGREQ"] as const) {
      for (let code = 0; code < 256; code++) {
        assert.equal(reasonCodeAllowed(packet, code), false, `${packet} ${code}`);
      }
    }
  });

  test("is named once in each packet", () => {
    const seen = rows.flatMap(([, row]) => row.allowedIn.map((packet) => `${packet} ${row.value}`));
    assert.deepEqual(seen, [...new Set(seen)]);
  });

  test("of one side is not taken from the other", () => {
    assert.equal(
      reasonCodeAllowed("DISCONNECT", reasonCodes.sessionTakenOver.value, "client"),
      false,
    );
    assert.equal(
      reasonCodeAllowed("DISCONNECT", reasonCodes.sessionTakenOver.value, "server"),
      true,
    );
    assert.equal(reasonCodeAllowed("DISCONNECT", 0x04, "server"), false);
    assert.equal(reasonCodeAllowed("DISCONNECT", 0x04, "client"), true);
    assert.equal(reasonCodeAllowed("AUTH", reasonCodes.reAuthenticate.value, "server"), false);
    assert.equal(
      reasonCodeAllowed("AUTH", reasonCodes.authenticationSuccess.value, "client"),
      false,
    );
    assert.equal(reasonCodeAllowed("PUBACK", reasonCodes.notAuthorized.value, "client"), true);
  });

  // 5.0 tables 3-1, 3-4 to 3-11: how many codes each packet has, counted by hand.
  for (const [packet, count] of Object.entries({
    CONNACK: 22,
    PUBACK: 9,
    PUBREC: 9,
    PUBREL: 2,
    PUBCOMP: 2,
    SUBACK: 12,
    UNSUBACK: 7,
    DISCONNECT: 30,
    AUTH: 3,
  } as const)) {
    test(`is one of ${count} in ${packet}`, () => {
      const own = rows.filter(([, row]) => (row.allowedIn as readonly string[]).includes(packet));
      assert.equal(own.length, count);
    });
  }
});

describe("a 3.1.1 Connect Return Code", () => {
  test("is missing where 3.1.1 has none, so that the connection is closed without an answer", () => {
    for (const code of [0x80, 0x81, 0x82, 0x83, 0x8c, 0x90, 0x95, 0x99, 0x9a, 0x9b, 0xff]) {
      assert.equal(connectReturnCode(code), undefined, code.toString(16));
    }
  });

  test("is found for what 3.1.1 can say", () => {
    for (const [reasonCode, returnCode] of [
      [0x00, 0],
      [0x84, 1],
      [0x85, 2],
      [0x88, 3],
      [0x89, 3],
      [0x97, 3],
      [0x9f, 3],
      [0x86, 4],
      [0x87, 5],
      [0x8a, 5],
    ] as const) {
      assert.equal(connectReturnCode(reasonCode), returnCode, reasonCode.toString(16));
    }
  });

  test("comes from Reason Codes of CONNACK only", () => {
    for (const { from } of Object.values(connectReturnCodes)) {
      for (const code of from) assert.ok(reasonCodeAllowed("CONNACK", code), code.toString(16));
    }
  });
});
