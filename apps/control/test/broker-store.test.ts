import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SecurityEvent } from "@wardmq/events";
import type { StorePosition } from "@wardmq/feed";
import { BrokerStore } from "../src/feed/broker-store.ts";
import { stateFile } from "../src/files.ts";
import { TestFolder } from "./control-under-test.ts";

const at = (number: number, incarnation = "0".repeat(32)): StorePosition => ({
  incarnation,
  number,
});

/** The events after a broker has said all of this, each to a control of its own. */
function eventsAfter(...said: readonly StorePosition[]): readonly Omit<SecurityEvent, "at">[] {
  using folder = new TestFolder();
  const events: Omit<SecurityEvent, "at">[] = [];
  for (const position of said) {
    const file = stateFile(`${folder.path}/broker-store`);
    new BrokerStore(file, (event) => events.push(event)).hear(position);
  }
  return events;
}

describe("the broker's store, as control remembers it", () => {
  test("is told from an older copy once, and from another one", () => {
    const [older, ...more] = eventsAfter(at(7), at(3), at(4));
    assert.deepEqual(older?.details, { was: 7, is: 3 });
    assert.match(older?.why ?? "", /older copy of itself: it ended with segment 3/);
    assert.deepEqual(more, []);
    const [other] = eventsAfter(at(7), at(9, "1".repeat(32)));
    assert.match(other?.why ?? "", /another one than it was/);
  });

  test("is not taken for one when it stands still or goes on", () => {
    assert.deepEqual(eventsAfter(at(0), at(7), at(7), at(8)), []);
  });
});
