import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FeedLines } from "../src/store/feed-lines.ts";
import type { Journal } from "../src/store/journal.ts";

/** Feed lines over a journal that only knows which are kept. */
function feedLines(few: number) {
  const kept = new Map<number, string>();
  let last = 0;
  const journal = {
    nextId: () => ++last,
    feedLine: (_: unknown, serial: number, __: boolean, line: string) => kept.set(serial, line),
    gone: ({ serial }: { serial: number }) => kept.delete(serial),
  } as unknown as Journal;
  return { lines: new FeedLines(journal, few), kept };
}

const line = (characters: number) => "x".repeat(characters);

describe("the lines of the feed that are kept", () => {
  test("want no snapshot while the changes are less than the one they follow", () => {
    const { lines } = feedLines(10);
    assert.equal(lines.keep([line(60), line(40)], "snapshot"), false);
    for (let i = 0; i < 10; i++) assert.equal(lines.keep([line(10)], "change"), false);
    assert.equal(lines.keep([line(500)], "alive"), false);
  });

  test("want one snapshot when the changes are more, and are no more than it then", () => {
    const { lines, kept } = feedLines(10);
    lines.keep([line(100)], "snapshot");
    const wanted = Array.from({ length: 300 }, () => lines.keep([line(10)], "change"));
    assert.deepEqual(
      wanted.flatMap((is, i) => (is ? [i] : [])),
      [10],
    );
    lines.keep([line(100)], "snapshot");
    assert.equal(kept.size, 1);
    assert.equal(lines.keep([line(101)], "change"), true);
  });

  test("want none for a few changes of a small world", () => {
    const { lines } = feedLines(1_000);
    lines.keep([line(1)], "snapshot");
    assert.equal(lines.keep([line(900)], "change"), false);
    assert.equal(lines.keep([line(200)], "change"), true);
  });
});
