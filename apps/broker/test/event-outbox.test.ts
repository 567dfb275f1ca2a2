import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SecurityEvent } from "@wardmq/events";
import fc from "fast-check";
import { EventOutbox } from "../src/feed/event-outbox.ts";
import { withoutInterval } from "./timers.ts";

type Draft = Omit<SecurityEvent, "at">;

function outbox() {
  const state = { now: 1_000, takes: true };
  const sent: SecurityEvent[] = [];
  const { made, turn } = withoutInterval(() => new EventOutbox(() => state.now));
  const send = (events: readonly SecurityEvent[]) => {
    if (state.takes) sent.push(...events);
    return state.takes;
  };
  return { state, sent, outbox: made, turn, send };
}

const denied = (topic: string): Draft => ({ type: "publish-denied", subject: "service:a", topic });
const total = (events: readonly SecurityEvent[]) =>
  events.reduce((sum, { count }) => sum + (count ?? 1), 0);

describe("EventOutbox", () => {
  test("sends a flood of events alike as one line, then one line a second with the exact count", () => {
    const { state, sent, outbox: box, turn, send } = outbox();
    box.connect(send);
    for (let i = 0; i < 1_000; i += 1) box.record(denied("t"));
    turn();
    assert.deepEqual(
      sent.map(({ count }) => count),
      [undefined],
    );
    state.now += 1_000;
    turn();
    assert.deepEqual(
      sent.map(({ count }) => count),
      [undefined, 999],
    );
    state.now += 1_000;
    turn();
    assert.equal(sent.length, 2);
    box.record(denied("t"));
    turn();
    assert.deepEqual(
      sent.map(({ count }) => count),
      [undefined, 999, undefined],
    );
    box.close();
  });

  test("counts an object that is recorded again and again like others alike, in every second", () => {
    const { state, sent, outbox: box, turn, send } = outbox();
    box.connect(send);
    const [one, alike] = [denied("t"), denied("t")];
    for (let second = 0; second < 3; second += 1) {
      for (let i = 0; i < 10; i += 1) {
        box.record(one);
        box.record(alike);
      }
      state.now += 1_000;
      turn();
      assert.equal(total(sent), 20 * (second + 1));
      assert.equal(sent.length, 2 * (second + 1));
    }
    box.close();
  });

  test("never folds events of another type, subject, address, check, limit, topic, rule, place or key", () => {
    const { sent, outbox: box, turn, send } = outbox();
    box.connect(send);
    const base: Draft = {
      type: "publish-denied",
      subject: "a",
      address: "b",
      check: "c",
      limit: "d",
      topic: "e",
      ruleId: "f",
      details: { place: "g" },
    };
    const all = [
      base,
      ...(["subject", "address", "check", "limit", "topic", "ruleId"] as const).map((key) => ({
        ...base,
        [key]: "x",
      })),
      { ...base, details: { place: "x" } },
      { ...base, details: { place: "g", keyId: "x" } },
    ];
    for (const each of [...all, { ...base, type: "protocol-error" } as const]) box.record(each);
    turn();
    assert.equal(sent.length, 10);
    box.close();
  });

  test("folds what one limit refuses whatever its topic is, with the exact count, and keeps limits apart", () => {
    const { state, sent, outbox: box, turn, send } = outbox();
    box.connect(send);
    for (let i = 0; i < 5_000; i += 1) {
      const refused = { type: "limit-reached", subject: "device:a", topic: `t/${i}` } as const;
      box.record({ ...refused, limit: i < 100 ? "topicLevels" : "subscriptions" });
    }
    state.now += 1_000;
    turn();
    assert.deepEqual(
      sent.map(({ limit, topic, count }) => [limit, topic, count]),
      [
        ["topicLevels", "t/0", undefined],
        ["subscriptions", "t/100", undefined],
        ["topicLevels", "t/0", 99],
        ["subscriptions", "t/100", 4_899],
      ],
    );
    box.close();
  });

  test("tells likewise of a subject that tries many correlations of commands and answers", () => {
    for (const type of ["command-denied", "response-denied"] as const) {
      const { sent, outbox: box, state, turn, send } = outbox();
      box.connect(send);
      for (let i = 0; i < 300; i += 1) box.record({ ...denied(`t/response/${i}`), type });
      state.now += 1_000;
      turn();
      assert.equal(sent.filter((event) => event.type === "topic-scan").length, 1);
      assert.equal(total(sent), 301);
      assert.ok(sent.length < 30, `${sent.length} lines`);
    }
  });

  test("tells of a subject that tries many denied topics, once, and counts exactly what it tries", () => {
    const { state, sent, outbox: box, turn, send } = outbox();
    box.connect(send);
    const few = (subject: string, topics: number) => {
      for (let i = 0; i < topics; i += 1) box.record({ ...denied(`t/${i}`), subject });
    };
    few("service:few", 20);
    few("service:few", 20);
    few("service:many", 300);
    state.now += 1_000;
    turn();
    const of = (subject: string) => sent.filter((event) => event.subject === subject);
    const scans = () => sent.filter(({ type }) => type === "topic-scan");
    assert.deepEqual(
      scans().map(({ subject }) => subject),
      ["service:many"],
    );
    assert.equal(total(of("service:few")), 40);
    assert.equal(total(of("service:many")), 301);
    assert.equal(of("service:many").length, 20 + 1 + 2);
    few("service:many", 300);
    assert.equal(scans().length, 1);
    state.now += 60_000;
    few("service:many", 21);
    turn();
    assert.equal(scans().length, 2);
    box.close();
    assert.equal(total(of("service:many")), 301 + 300 + 22);
  });

  test("counts what refused tokens say they are exactly, and as nobody's where they say too much", () => {
    const { state, sent, outbox: box, turn, send } = outbox();
    box.connect(send);
    const refused = (claimed: string): Draft => ({
      type: "connect-refused",
      address: "192.0.2.1",
      check: "token-signature",
      details: { issuer: "idp", claimed },
    });
    for (let second = 0; second < 2; second += 1) {
      sent.length = 0;
      for (const claimed of ["ann", "bob", "bob", "ann", "ann"]) box.record(refused(claimed));
      for (let i = 0; i < 1_000; i += 1) box.record(refused(`somebody ${i}`));
      state.now += 1_000;
      turn();
      const of = (claimed: string | undefined) =>
        total(sent.filter(({ details }) => details?.["claimed"] === claimed));
      assert.deepEqual([of("ann"), of("bob"), of(undefined)], [3, 2, 902]);
      assert.equal(total(sent), 1_005);
      assert.ok(sent.every(({ details }) => details?.["issuer"] === "idp"));
    }
  });

  test("never folds events that say that all is well", () => {
    const { sent, outbox: box, turn, send } = outbox();
    box.connect(send);
    for (let i = 0; i < 5; i += 1) box.record({ type: "connected", subject: "service:a" });
    turn();
    assert.equal(sent.length, 5);
    box.close();
  });

  test("keeps 10,000 events while control is away and says once how many were lost", () => {
    const { state, sent, outbox: box, turn, send } = outbox();
    for (let i = 0; i < 10_250; i += 1) box.record({ type: "connected", subject: `service:${i}` });
    turn();
    state.takes = false; // control is there and does not read
    box.connect(send);
    for (let i = 0; i < 5; i += 1) turn();
    state.takes = true;
    turn();
    assert.equal(sent.length, 10_001);
    const last = sent.at(-1);
    assert.deepEqual([last?.type, last?.limit, last?.count], ["messages-dropped", "events", 250]);
    assert.equal(sent[0]?.subject, "service:0");
    box.record({ type: "connected" });
    turn();
    assert.deepEqual(
      sent.slice(10_001).map(({ type }) => type),
      ["connected"],
    );
    box.close();
  });

  test("counts what a lost event stood for", () => {
    const { state, sent, outbox: box, turn, send } = outbox();
    for (let i = 0; i < 10_000; i += 1) box.record({ type: "connected", subject: `service:${i}` });
    for (let i = 0; i < 5; i += 1) box.record(denied("t"));
    state.now += 1_000;
    turn();
    box.connect(send);
    turn();
    assert.equal(sent.at(-1)?.count, 5);
    box.close();
  });

  test("sends what waits when it closes, counts too", () => {
    const { sent, outbox: box, send } = outbox();
    box.connect(send);
    box.record(denied("t"));
    box.record(denied("t"));
    box.record(denied("t"));
    box.close();
    assert.deepEqual(
      sent.map(({ count }) => count),
      [undefined, 2],
    );
  });

  test("accounts for every event exactly, whatever comes when control comes and goes", () => {
    const step = fc.oneof(
      fc.record({ records: fc.nat(3), times: fc.integer({ min: 1, max: 4_000 }) }),
      fc.record({ passesMs: fc.integer({ min: 0, max: 1_500 }) }),
      fc.record({ takes: fc.boolean() }),
      fc.record({ isThere: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20, size: "max" }), (steps) => {
        const { state, sent, outbox: box, turn, send } = outbox();
        let recorded = 0;
        for (const each of steps) {
          if ("records" in each) {
            for (let i = 0; i < each.times; i += 1) {
              recorded += 1;
              if (each.records === 3)
                box.record({ type: "connected", subject: `service:${recorded}` });
              else box.record(denied(`t${each.records}`));
            }
          } else if ("takes" in each) state.takes = each.takes;
          else if ("isThere" in each) box.connect(each.isThere ? send : undefined);
          else {
            state.now += each.passesMs;
            turn();
          }
        }
        state.takes = true;
        box.connect(send);
        box.close();
        assert.equal(total(sent), recorded);
        assert.ok(sent.every(({ at }) => at >= 1_000 && at <= state.now));
      }),
      { numRuns: 50 },
    );
  });
});
