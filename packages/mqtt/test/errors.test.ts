import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import {
  MqttError,
  type MqttErrorCode,
  type MqttErrorDefinition,
  mqttErrors,
  reasonCodeAllowed,
} from "../src/index.ts";

const rows = Object.entries<MqttErrorDefinition>(mqttErrors);

describe("an MqttError", () => {
  test("carries its code, its Reason Code and its message", () => {
    for (const [code, { reasonCode, message }] of rows) {
      const error = new MqttError(code as MqttErrorCode);
      assert.ok(error instanceof Error);
      assert.deepEqual(
        {
          name: error.name,
          code: error.code,
          reasonCode: error.reasonCode,
          message: error.message,
        },
        { name: "MqttError", code, reasonCode, message },
      );
    }
  });

  test("can be answered: its Reason Code stands in CONNACK or DISCONNECT", () => {
    for (const [code, { reasonCode }] of rows) {
      const answer =
        reasonCodeAllowed("CONNACK", reasonCode, "server") ||
        reasonCodeAllowed("DISCONNECT", reasonCode, "server");
      assert.ok(answer, code);
    }
  });

  test("says what is wrong in one lower-case line", () => {
    for (const [code, { message }] of rows) assert.match(message, /^[a-z][^\n]*[^.\n]$/, code);
  });
});

test("docs/errors.md has one row for each error, with its Reason Code", () => {
  const text = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
  const documented = [
    ...text.matchAll(/^\| `(ERR_MQTT_\w+)` \| (0x[0-9a-f]{2}) \| (.+) \| (.+) \|$/gm),
  ];
  assert.deepEqual(
    documented.map(([, code, reasonCode]) => `${code} ${reasonCode}`),
    rows.map(([code, { reasonCode }]) => `${code} 0x${reasonCode.toString(16)}`),
  );
});
