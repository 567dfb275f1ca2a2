import assert from "node:assert/strict";
import { appendFileSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { SecurityEvent } from "@wardmq/events";
import { KeyRing, keyIdOf, newDataKey } from "@wardmq/sealing";
import { LineBudget } from "../src/events/event-line.ts";
import { EventLog } from "../src/events/event-log.ts";
import { TestFolder } from "./control-under-test.ts";

const event = (at: number): SecurityEvent => ({ type: "connected", at, subject: "service:x" });
const atOf = (events: readonly unknown[]) => (events as SecurityEvent[]).map(({ at }) => at);

const key = newDataKey();

function openLog(folder: TestFolder, maximumBytes?: number, ring = new KeyRing([key], key.id)) {
  const said: string[] = [];
  const path = join(folder.path, "events");
  const size = maximumBytes === undefined ? {} : { maximumBytes };
  const place = ring.at({ purpose: "control", store: "1", table: "events" });
  const report = (line: string) => said.push(line);
  return { path, said, log: new EventLog({ path, place, report, tell: report, ...size }) };
}

const linesOf = (path: string) => readFileSync(path, "utf8").split("\n").slice(0, -1);

describe("the event log", () => {
  test("gives no event that was not written whole", () => {
    using folder = new TestFolder();
    const { log, path } = openLog(folder);
    log.append([event(1)]);
    const [line = ""] = linesOf(path);
    appendFileSync(path, line.slice(0, 20));
    assert.deepEqual(atOf(log.last(10)), [1]);
    log.close();
    const { log: again } = openLog(folder);
    again.append([event(2)]);
    assert.deepEqual(atOf(again.last(10)), [1, 2]); // what was cut off did not take the next one with it
    again.close();
  });

  test("names what was taken out, changed, or put elsewhere, and gives the rest", () => {
    for (const [change, missing] of [
      [(lines: string[]) => lines.splice(2, 1), "entry 3 is"],
      [(lines: string[]) => lines.splice(1, 2), "entries 2 to 3 are"],
      [(lines: string[]) => lines.splice(2, 1, lines[1]?.replace("2 ", "3 ") ?? ""), "entry 3 is"],
    ] as const) {
      using folder = new TestFolder();
      const { log, path, said } = openLog(folder);
      for (const at of [1, 2, 3, 4, 5]) log.append([event(at)]);
      const lines = linesOf(path);
      change(lines);
      writeFileSync(path, lines.map((line) => `${line}\n`).join(""));
      assert.equal(atOf(log.last(10)).length, missing === "entries 2 to 3 are" ? 3 : 4);
      log.close();
      assert.deepEqual(said, [`${path}: ${missing} missing or damaged`]);
    }
  });

  test("shows no subject, client or topic in its file", () => {
    using folder = new TestFolder();
    const { log, path } = openLog(folder);
    log.append([{ ...event(1), clientId: "monitor-7", topic: "north/icu" }]);
    log.close();
    const written = readFileSync(path, "latin1");
    const [, base64 = ""] = written.trimEnd().split(" ");
    for (const text of [written, Buffer.from(base64, "base64").toString("latin1")])
      assert.doesNotMatch(text, /service|monitor|north|connected/);
  });

  test("is sealed anew under another key while it is written to, and needs the former no more", async () => {
    using folder = new TestFolder();
    const ring = new KeyRing([key], key.id);
    const { log, path } = openLog(folder, 200_000, ring);
    const count = 2_000;
    for (let at = 1; at <= count; at += 1) log.append([event(at)]);
    const next = newDataKey();
    ring.rotate(next);
    const resealed = log.reseal();
    for (let at = count + 1; at <= count + 50; at += 1) {
      log.append([event(at)]);
      await new Promise((turn) => setImmediate(turn));
    }
    await resealed;
    log.append([event(count + 51)]);
    ring.forget(key.id);
    assert.deepEqual(
      atOf(log.last(count + 51)),
      Array.from({ length: count + 51 }, (_, at) => at + 1),
    );
    for (const name of readdirSync(folder.path).map((one) => join(folder.path, one))) {
      const ids = linesOf(name).map((line) =>
        keyIdOf(Buffer.from(line.split(" ")[1] ?? "", "base64")),
      );
      assert.deepEqual([...new Set(ids)], [next.id], name);
    }
    assert.ok(
      readdirSync(folder.path).every((name) => /^events(\.\d)?$/.test(name)),
      path,
    );
    log.close();
  });

  test("never keeps more than four full files, and loses none but the oldest", () => {
    using folder = new TestFolder();
    const { log, path } = openLog(folder, 1500);
    const count = 200;
    for (let at = 1; at <= count; at += 1) log.append([event(at)]);
    assert.deepEqual(readdirSync(folder.path).sort(), [
      "events",
      ...[1, 2, 3, 4].map((n) => `events.${n}`),
    ]);
    for (const name of readdirSync(folder.path)) {
      const { size, mode } = statSync(join(folder.path, name));
      assert.ok(size <= 1500);
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
    assert.equal(said.at(-1), "30 more events are in the log");
    budget.line("next second");
    budget.flush();
    assert.deepEqual(said.slice(21), ["next second"]);
  });
});
