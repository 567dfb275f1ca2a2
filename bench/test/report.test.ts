import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type BenchRecord, documentResults, resultsSection } from "../document.ts";
import type { LoadResult } from "../generator.ts";
import { benchOptions } from "../options.ts";
import { doubts, median, passes, rowsOf, tableOf } from "../report.ts";
import type { Workload } from "../workloads.ts";

const rate: Workload = {
  name: "rate",
  summary: "",
  words: [],
  lengthFactor: 1,
  figures: [
    {
      key: "perSecond",
      label: "messages/s",
      digits: 0,
      of: (result) => Number(result["perSecond"]),
      asked: { of: "ratio", atLeast: 4 },
    },
  ],
};

function run(perSecond: number): LoadResult {
  return { workload: "rate", seconds: 1, generatorBusy: 0.5, perSecond };
}

describe("median", () => {
  test("is not a number when there is nothing", () => assert.ok(Number.isNaN(median([]))));
  test("is the middle of an odd number of values", () => assert.equal(median([9, 1, 5]), 5));
  test("is the mean of the two middle ones of an even number", () =>
    assert.equal(median([4, 1, 2, 100]), 3));
  test("leaves its argument in order", () => {
    const values = [3, 1, 2];
    median(values);
    assert.deepEqual(values, [3, 1, 2]);
  });
});

describe("passes", () => {
  test("refuses what is not a number", () => {
    assert.equal(passes(Number.NaN, { of: "ratio", atLeast: 1 }), false);
    assert.equal(passes(Number.NaN, { of: "ratio", atMost: 1 }), false);
  });
  test("wants at least, the bound included", () => {
    assert.equal(passes(7.99, { of: "ratio", atLeast: 8 }), false);
    assert.equal(passes(8, { of: "ratio", atLeast: 8 }), true);
  });
  test("wants at most, the bound included", () => {
    assert.equal(passes(0.71, { of: "ratio", atMost: 0.7 }), false);
    assert.equal(passes(0.7, { of: "ratio", atMost: 0.7 }), true);
  });
});

describe("the rows of a workload", () => {
  test("compare with the peer of the same run, not with its median", () => {
    // Everything was three times slower in the second run: the ratio stays.
    const rows = rowsOf(rate, {
      "wardmq-bun": [run(500), run(166), run(520)],
      mosquitto: [run(100), run(33.2), run(104)],
    });
    const row = rows.find(({ broker }) => broker === "wardmq-bun");
    assert.equal(row?.value, 500);
    assert.equal(row?.ratio?.toFixed(3), "5.000");
    assert.equal(row?.passes, true);
  });

  test("miss when the ratio is below what is asked", () => {
    const rows = rowsOf(rate, { "wardmq-bun": [run(399)], mosquitto: [run(100)] });
    assert.equal(rows[0]?.passes, false);
    assert.match(tableOf(rows), /3\.99x\s+>= 4x\s+MISS/);
  });

  test("judge only WardMQ on Bun", () => {
    const rows = rowsOf(rate, { "wardmq-node": [run(100)], mosquitto: [run(100)] });
    assert.deepEqual(
      rows.map(({ ratio, passes }) => [ratio, passes]),
      [
        [1, undefined],
        [undefined, undefined],
      ],
    );
  });

  test("hold a bound of the figure itself without a peer", () => {
    const bounded = rate.figures.map((figure) => ({
      ...figure,
      asked: { of: "value", atMost: 16 } as const,
    }));
    const rows = rowsOf({ ...rate, figures: bounded }, { "wardmq-bun": [run(17)] });
    assert.equal(rows[0]?.passes, false);
    assert.equal(rows[0]?.asked, "<= 16");
  });

  test("leave a failed run out on both sides", () => {
    const rows = rowsOf(rate, {
      "wardmq-bun": [run(800), undefined, run(1_000)],
      mosquitto: [undefined, run(100), run(100)],
    });
    assert.equal(rows[0]?.ratio, 10);
    assert.equal(rows[0]?.value, 900);
  });

  test("pass nothing when no run has both", () => {
    const rows = rowsOf(rate, { "wardmq-bun": [run(800)], mosquitto: [undefined] });
    assert.equal(rows[0]?.ratio, undefined);
    assert.equal(rows[0]?.passes, undefined);
  });
});

describe("doubts", () => {
  test("name neighbours, a generator at its limit, sleeping cores and losses", () => {
    const disturbed = { othersBusy: 0.5, stolen: 0.4, coresAwake: false };
    const result = { ...run(1), ...disturbed, generatorBusy: 0.99, lost: 7 };
    assert.equal(doubts("mosquitto", result).length, 5);
  });
  test("are none on a quiet machine", () =>
    assert.deepEqual(doubts("mosquitto", { ...run(1), coresAwake: true }), []));
});

describe("the results in the documentation", () => {
  const record: BenchRecord = {
    date: "2026-11-23T10:00:00.000Z",
    commit: "0123456789",
    machine: { cpu: "some CPU", cores: 2, kernel: "Linux 6" },
    versions: { bun: "bun 1" },
    options: { runs: 3, seconds: 5, mqtt: "3" },
    workloads: [
      { name: "rate", rows: rowsOf(rate, { "wardmq-bun": [run(1_200)], mosquitto: [run(400)] }) },
    ],
  };

  test("name machine and commit, and say when a threshold is missed", () => {
    const text = resultsSection(record);
    assert.match(text, /some CPU, 2 cores, Linux 6; 2026-11-23, commit 0123456789/);
    assert.match(
      text,
      /\| rate \| messages\/s \| 1,200 \(3\.00x\) \| {2}\| 400 \| >= 4x \| miss \|/,
    );
  });

  test("replace what stood between the marks, and nothing else", () => {
    const folder = mkdtempSync(join(tmpdir(), "wardmq-document-"));
    const file = join(folder, "doc.md");
    try {
      writeFileSync(file, "before\n");
      assert.throws(() => documentResults(file, record), /has lost its marks/);
      const marks = readFileSync(
        join(import.meta.dirname, "../../docs/benchmarks.md"),
        "utf8",
      ).match(/<!-- .* -->/g);
      writeFileSync(file, `before\n${marks?.[0]}\nold\n${marks?.[1]}\nafter\n`);
      documentResults(file, record);
      documentResults(file, record);
      const text = readFileSync(file, "utf8");
      assert.match(text, /^before\n[\s\S]*\| rate \|[\s\S]*\nafter\n$/);
      assert.doesNotMatch(text, /old/);
      assert.equal(text.split("| rate |").length, 2);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("the options", () => {
  test("refuse a broker, a workload and a number they do not know", () => {
    assert.throws(
      () => benchOptions(["--brokers", "hivemq"]),
      /--brokers hivemq: one of wardmq-bun/,
    );
    assert.throws(() => benchOptions(["--only", "fan"]), /--only fan: one of fanout/);
    assert.throws(() => benchOptions(["--runs", "0"]), /--runs 0: a whole number/);
    assert.throws(() => benchOptions(["--speed"]));
  });
  test("take lists", () => {
    const options = benchOptions(["--only", "ward,idle", "--brokers", "mosquitto"]);
    assert.notEqual(options, "help");
    if (options === "help") return;
    assert.deepEqual(options.only, ["ward", "idle"]);
    assert.deepEqual(options.brokers, ["mosquitto"]);
  });
});
