// npm run docs: writes every page of docs/ that is made from tables in the code; tests compare them.
import { findFiles } from "./files.mjs";
import { runForeground, runtimeCommand } from "./process.mjs";

export async function writeDocs() {
  for (const writer of findFiles("write-docs.ts")) {
    const exitCode = await runForeground([...runtimeCommand("node"), writer]);
    if (exitCode !== 0) return exitCode;
  }
  return 0;
}
