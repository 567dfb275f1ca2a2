import { after, test } from "node:test";
import { attacks } from "./attacks.ts";
import { returnsToBaseline, startWatched, survive } from "./memory.ts";

const noProc = process.platform !== "linux" && "the memory of a process is read from /proc";
const deployment = await startWatched();
after(() => deployment.stop());

for (const attack of attacks) {
  test(`keeps its memory and serves others through ${attack.name}, in small`, {
    skip: noProc,
    timeout: 100_000,
  }, async () => {
    await survive(deployment, attack, 0.02);
  });
}

test("holds no more after 1,000 connections of one client than after 500", {
  skip: noProc,
  timeout: 100_000,
}, async () => {
  await returnsToBaseline(deployment, 500);
});
