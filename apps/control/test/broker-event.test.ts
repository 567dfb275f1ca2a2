import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type EventType, eventTypes } from "@wardmq/events";
import { parseBrokerEvent } from "../src/events/broker-event.ts";

const apps = join(import.meta.dirname, "../..");
/** What a broker is made of that records events. */
const ofBrokers = [join(apps, "broker/src"), join(apps, "../packages/tls/src")]
  .flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => readFileSync(join(folder, name), "utf8")),
  )
  .join("");

describe("an event from a broker", () => {
  for (const type of Object.keys(eventTypes) as EventType[]) {
    const isOfBrokers = ofBrokers.includes(`"${type}"`);
    test(`is ${isOfBrokers ? "recorded" : "refused, for only control says it,"} when it is ${type}`, () =>
      assert.equal(parseBrokerEvent({ type, at: 1 })?.type, isOfBrokers ? type : undefined));
  }

  test("tells that a key of its own store was destroyed, and of no other", () => {
    const destroyed = (store: string) =>
      parseBrokerEvent({ type: "state-key-destroyed", at: 1, details: { store, keyId: "0a" } });
    assert.deepEqual(destroyed("broker")?.details, { store: "broker", keyId: "0a" });
    assert.equal(destroyed("control"), undefined);
  });
});
