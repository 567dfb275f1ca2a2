import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Beside, floodedResult, leastDisturbed, orderOf, type Round } from "../flooded.ts";
import { type LoadResult, numberAt } from "../generator.ts";

function ward(p99: number, brokerCpuSeconds = 1, more: object = {}): LoadResult {
  const rest = { generatorBusy: 0.1, othersBusy: 0, stolen: 0, lost: 0, brokerCpuSeconds, ...more };
  return { workload: "ward", seconds: 2, latencyMs: { p99 }, ...rest };
}

function round(alone: LoadResult, sink: LoadResult, broker: LoadResult): Round {
  const flood = { workload: "flood", seconds: 2, generatorBusy: 0.1, inPerSecond: 5_000 };
  return { ward: { nothing: alone, sink, broker }, flood: { sink: flood, broker: flood } };
}

describe("the ward beside a flood", () => {
  test("is measured beside each in every round, and each of them begins once", () => {
    const orders = [0, 1, 2].map(orderOf);
    const all: Beside[] = ["broker", "nothing", "sink"];
    for (const order of orders) assert.deepEqual(order.toSorted(), all);
    assert.deepEqual(orders.map(([first]) => first ?? "").toSorted(), all);
  });

  test("is measured again while the host is busy, a few times, and the least disturbed counts", async () => {
    const disturbed = (stolen: readonly number[], mayTry = () => true) => {
      let tries = 0;
      const measure = async () => {
        tries += 1;
        return { ofWard: ward(tries, 1, { stolen: stolen[tries - 1] ?? 1 }) };
      };
      return leastDisturbed(measure, mayTry).then(({ ofWard }) => [
        numberAt(ofWard, "latencyMs.p99"),
        tries,
      ]);
    };
    assert.deepEqual(await disturbed([0.01]), [1, 1]);
    assert.deepEqual(await disturbed([0.4, 0.01]), [2, 2]);
    assert.deepEqual(await disturbed([0.4, 0.3, 0.5, 0.01]), [2, 3]);
    assert.deepEqual(await disturbed([0.4, 0.01], () => false), [1, 1]);
  });

  test("is compared within a round, so that a busy machine does not look like a flood", () => {
    const result = floodedResult("flood", [
      round(ward(1), ward(2), ward(3)),
      round(ward(100), ward(200), ward(300)),
      round(ward(10), ward(20), ward(30)),
    ]);
    assert.equal(result["p99Factor"], 3);
    assert.equal(result["p99FactorOfSink"], 1.5);
    assert.deepEqual([result["aloneP99"], result["sinkP99"], result["brokerP99"]], [10, 20, 30]);
  });

  test("is not compared with what the host has disturbed, and not at all without another", () => {
    const quiet = round(ward(1), ward(2), ward(3));
    const disturbed = round(ward(50), ward(50), ward(50, 1, { stolen: 0.9 }));
    assert.equal(floodedResult("flood", [disturbed, quiet])["p99Factor"], 3);
    assert.ok(Number.isNaN(floodedResult("flood", [disturbed])["p99Factor"]));
    const bySink = floodedResult("flood", [round(ward(1), ward(9, 1, { stolen: 0.9 }), ward(3))]);
    assert.equal(bySink["p99Factor"], 3);
    assert.ok(Number.isNaN(bySink["p99FactorOfSink"]));
  });

  test("is charged with the CPU that the broker uses more than alone", () => {
    const result = floodedResult("flood", [round(ward(1, 0.5), ward(1, 0.5), ward(1, 0.6))]);
    assert.equal(Math.round(Number(result["cpuMicros"])), 10); // 0.05 s of CPU a second for 5,000 tokens
  });

  test("is not doubtful for what the flood's own programs use, but for neighbours when it is alone", () => {
    const beside = ward(1, 1, { othersBusy: 0.9 });
    assert.equal(floodedResult("flood", [round(ward(1), beside, beside)])["othersBusy"], 0);
    assert.equal(floodedResult("flood", [round(beside, ward(1), ward(1))])["othersBusy"], 0.9);
  });
});
