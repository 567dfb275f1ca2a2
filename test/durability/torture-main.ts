/** `npm run torture`: the long one, for one runtime. `--kills N` changes how often. */
import { torture } from "./torture.ts";

const words = process.argv.slice(2);
const [name, value] = words.length === 0 ? ["--kills", "200"] : words;
const kills = Number(value);
if (name !== "--kills" || !Number.isInteger(kills) || kills < 1 || words.length > 2) {
  console.error("usage: npm run torture -- [--kills N]");
  process.exit(2);
}
const startedAt = performance.now();
const { broken, ...counts } = await torture(kills, Math.random, console.log);
const seconds = Math.round((performance.now() - startedAt) / 1000);
console.log(
  `${counts.kills} kills in ${seconds} s; ${counts.published} messages published, ${counts.acknowledged} acknowledged, ${counts.deliveries} delivered`,
);
for (const line of broken) console.error(`BROKEN ${line}`);
console.log(
  broken.length === 0
    ? "0 acknowledged messages lost, 0 QoS 2 duplicates, every session intact, every order kept"
    : `${broken.length} promises broken`,
);
process.exit(broken.length === 0 ? 0 : 1);
