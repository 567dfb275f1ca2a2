import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { SecurityEvent } from "@wardmq/events";
import { Anchor } from "../src/feed/anchor.ts";
import { TestFolder } from "./control-under-test.ts";

const store = { incarnation: "0".repeat(32), number: 7 };

/** An anchor over a registry whose history has these positions, and the events it has recorded. */
function anchorOf(path: string, history: readonly string[], deployment = "one") {
  const events: Omit<SecurityEvent, "at">[] = [];
  const position = history.at(-1) ?? "0";
  const registry = { position, hasBeenAt: (one: string) => history.includes(one) };
  const record = (event: Omit<SecurityEvent, "at">) => void events.push(event);
  return { anchor: new Anchor({ path, deployment, registry, record }), events };
}
const types = (events: readonly Omit<SecurityEvent, "at">[]) => events.map(({ type }) => type);

describe("an anchor", () => {
  test("tells an older history from one that goes on, and gives where the store stood", () => {
    using folder = new TestFolder();
    const path = join(folder.path, "anchor");
    const first = anchorOf(path, ["1 a", "2 b"]);
    assert.deepEqual(types(first.events), ["anchor-lost"]);
    first.anchor.keep(store);
    const later = anchorOf(path, ["1 a", "2 b", "3 c"]);
    assert.deepEqual([types(later.events), later.anchor.store], [[], store]);
    const older = anchorOf(path, ["1 a"]);
    assert.deepEqual(types(older.events), ["control-rolled-back"]);
    assert.match(older.events[0]?.why ?? "", /older copy of itself/);
  });

  test("is not written over when it is damaged or another deployment's, and says so", () => {
    using folder = new TestFolder();
    const path = join(folder.path, "anchor");
    anchorOf(path, ["1 a"], "another").anchor.keep(store);
    const foreign = readFileSync(path, "utf8");
    for (const [text, why] of [
      [foreign, /another deployment/],
      ["{", /damaged/],
    ] as const) {
      writeFileSync(path, text);
      const { anchor, events } = anchorOf(path, ["1 a"]);
      anchor.keep(store);
      assert.equal(anchor.store, undefined);
      assert.match(events[0]?.why ?? "", why);
      assert.equal(readFileSync(path, "utf8"), text);
    }
  });

  test("says once that it can not be written, and is written when it can be", () => {
    using folder = new TestFolder();
    const path = join(folder.path, "away", "anchor");
    mkdirSync(join(folder.path, "away"));
    const { anchor, events } = anchorOf(path, ["1 a"]);
    anchor.keep(store);
    rmSync(join(folder.path, "away"), { recursive: true });
    for (const number of [8, 9]) anchor.keep({ ...store, number });
    assert.deepEqual(types(events), ["anchor-lost", "anchor-lost"]);
    assert.match(events[1]?.why ?? "", /can not be written: ENOENT/);
    mkdirSync(join(folder.path, "away"));
    anchor.keep({ ...store, number: 10 });
    assert.equal(anchorOf(path, ["1 a"]).anchor.store?.number, 10);
  });

  test("is nothing where none is named", () => {
    const { anchor, events } = anchorOf("", ["1 a"]);
    anchor.keep(store);
    assert.deepEqual(events, []);
  });
});
