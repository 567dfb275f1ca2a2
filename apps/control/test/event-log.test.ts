import assert from "node:assert/strict";
import { appendFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { SecurityEvent } from "@wardmq/events";
import { LineBudget } from "../src/events/event-line.ts";
import { EventLog } from "../src/events/event-log.ts";
import { TestFolder } from "./control-under-test.ts";

const event = (at: number): SecurityEvent => ({ type: "connected", at, subject: "service:x" });
const atOf = (events: readonly unknown[]) => (events as SecurityEvent[]).map(({ at }) => at);

function openLog(folder: TestFolder, maximumBytes?: number) {
  const said: string[] = [];
  const path = join(folder.path, "events.ndjson");
  const size = maximumBytes === undefined ? {} : { maximumBytes };
  return { path, said, log: new EventLog({ path, report: (line) => said.push(line), ...size }) };
}

describe("the event log", () => {
  test("gives no event that was not written whole", () => {
    using folder = new TestFolder();
    const { log, path } = openLog(folder);
    log.append([event(1)]);
    appendFileSync(path, '{"type":"conn');
    assert.deepEqual(atOf(log.last(10)), [1]);
    log.close();
  });

  test("never keeps more than four full files, and loses none but the oldest", () => {
    using folder = new TestFolder();
    const { log, path } = openLog(folder, 500);
    const count = 200;
    for (let at = 1; at <= count; at += 1) log.append([event(at)]);
    assert.deepEqual(readdirSync(folder.path).sort(), [
      "events.ndjson",
      ...[1, 2, 3, 4].map((n) => `events.ndjson.${n}`),
    ]);
    for (const name of readdirSync(folder.path)) {
      const { size, mode } = statSync(join(folder.path, name));
      assert.ok(size <= 500);
      assert.equal(mode & 0o777, 0o600);
    }
    const kept = atOf(log.last(10_000));
    assert.deepEqual(
      kept,
      Array.from({ length: kept.length }, (_, i) => count - kept.length + 1 + i),
    );
    assert.ok(kept.length > 20, path);
    assert.deepEqual(atOf(log.last(15)), kept.slice(-15));
    log.close();
  });

  test("goes on after a restart where it was", () => {
    using folder = new TestFolder();
    for (const at of [1, 2]) {
      const { log } = openLog(folder);
      log.append([event(at)]);
      if (at === 2) assert.deepEqual(atOf(log.last(5)), [1, 2]);
      log.close();
    }
  });

  test("finds the last events of a large file", () => {
    using folder = new TestFolder();
    const { log } = openLog(folder);
    for (let at = 0; at < 20_000; at += 100)
      log.append(Array.from({ length: 100 }, (_, i) => event(at + i)));
    assert.deepEqual(atOf(log.last(3)), [19_997, 19_998, 19_999]);
    assert.equal(log.last(10_000).length, 10_000);
    log.close();
  });

  test("shows warnings and alerts to a person, and nothing else", () => {
    using folder = new TestFolder();
    const { log, said } = openLog(folder);
    log.append([
      event(0),
      { type: "subject-added", at: 0 },
      {
        type: "handshake-refused",
        at: 0,
        check: "certificate-expired",
        address: "10.0.0.7",
        why: "expired",
      },
      { type: "feed-refused", at: 0 },
      { type: "publish-denied", at: 0, clientId: "a subject=b", why: "no" },
    ]);
    log.close();
    assert.deepEqual(said, [
      "1970-01-01T00:00:00.000Z warning handshake-refused: expired address=10.0.0.7 check=certificate-expired",
      "1970-01-01T00:00:00.000Z alert feed-refused: the broker refused a feed message; the last good state stays",
      '1970-01-01T00:00:00.000Z warning publish-denied: no clientId="a subject=b"',
    ]);
  });
});

describe("lines for a person", () => {
  test("are twenty a second at most, and say how many were held back", () => {
    const said: string[] = [];
    const budget = new LineBudget(20, (line) => said.push(line));
    for (let i = 0; i < 50; i += 1) budget.line(`line ${i}`);
    budget.flush();
    assert.equal(said.length, 21);
    assert.equal(said.at(-1), "30 more events are in control/events.ndjson");
    budget.line("next second");
    budget.flush();
    assert.deepEqual(said.slice(21), ["next second"]);
  });
});
