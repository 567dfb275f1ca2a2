/** `node packages/sealing/bench/seal.bench.ts`: what sealing costs by the row and by the batch. */
import { KeyRing, newDataKey } from "../src/index.ts";

const key = newDataKey();
const here = new KeyRing([key], key.id).at({ purpose: "bench", store: "0", table: "messages" });
const message = Buffer.alloc(900, 0x20);
const batch = Buffer.alloc(200 * 900, 0x20);

function measure(name: string, messages: number, work: () => unknown): void {
  const rounds = Array.from({ length: 9 }, () => {
    const calls = Math.ceil(20_000 / messages);
    const start = performance.now();
    for (let call = 0; call < calls; call += 1) work();
    return ((performance.now() - start) * 1000) / calls / messages;
  });
  const median = rounds.sort((a, b) => a - b)[4] ?? 0;
  console.log(`${name.padEnd(40)} ${median.toFixed(2).padStart(7)} us/message`);
}

measure("seal, 900 B", 1, () => here.seal("7", message));
measure("seal, 200 x 900 B as one", 200, () => here.seal("7", batch));
const [one, all] = [here.seal("7", message), here.seal("7", batch)];
measure("open, 900 B", 1, () => here.open("7", one));
measure("open, 200 x 900 B as one", 200, () => here.open("7", all));
measure("lookup", 1, () => here.lookup("device:0f8fad5b-d9cb-469f-a165-70867728950e"));
