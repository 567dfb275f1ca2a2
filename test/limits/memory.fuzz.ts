/**
 * Every attack on memory in its full size, each against a broker of its own: `bun test/limits/memory.fuzz.ts`, or
 * `-- TEXT` for those whose name holds the text. Says how much the broker grew.
 */
import { attacks } from "./attacks.ts";
import { returnsToBaseline, startWatched, survive } from "./memory.ts";

const words = process.argv.slice(2);
const at = words.indexOf("--seconds");
const seconds = at < 0 ? Number.POSITIVE_INFINITY : Number(words[at + 1]);
const text = words.find((_, i) => at < 0 || (i !== at && i !== at + 1)) ?? "";
const end = performance.now() + seconds * 1_000;
let failures = 0;
for (const attack of attacks.filter(({ name }) => name.includes(text))) {
  if (performance.now() > end) {
    console.log(`${attack.name}: left out, the time is over`);
    continue;
  }
  const deployment = await startWatched();
  try {
    const { grownMB } = await survive(deployment, attack, 1);
    console.log(`${attack.name}: grew by ${grownMB} MB`);
  } catch (error) {
    failures += 1;
    console.error(`${attack.name}: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await deployment.stop();
  }
}
if (performance.now() < end && "connections".includes(text)) {
  const deployment = await startWatched();
  try {
    await returnsToBaseline(deployment, 5_000);
    console.log("10,000 connections of one client: memory returns to its baseline");
  } catch (error) {
    failures += 1;
    console.error(error instanceof Error ? error.message : String(error));
  } finally {
    await deployment.stop();
  }
}
process.exit(failures === 0 ? 0 : 1);
