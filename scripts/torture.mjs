// npm run torture: kills the broker under load on both runtimes, and compares. `--kills N` changes how often (200).
import { runForeground, runtimeCommand } from "./process.mjs";

const program = "test/durability/torture-main.ts";

export async function torture(words) {
  let code = 0;
  for (const name of ["bun", "node"]) {
    console.log(`on ${name === "bun" ? "Bun" : "Node"}`);
    const result = await runForeground([...runtimeCommand(name), program, ...words]);
    code = code || result;
  }
  return code;
}
