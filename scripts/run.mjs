// npm start, test, check, docs, bench, fuzz and torture. Plain JavaScript for any Node from 16: it installs what the rest needs.
import { join } from "node:path";
import { ensureInstalled } from "./install.mjs";
import { programs, repository, runForeground, runtimeCommand } from "./process.mjs";

const jobs = {
  start: () => runForeground([...runtimeCommand("bun", "node"), programs.cli, "up", ...words]),
  test: async () => (await import("./test.mjs")).test(words),
  check: async () => (await import("./check.mjs")).check(),
  docs: async () => (await import("./docs.mjs")).writeDocs(),
  bench: async () => {
    (await import("./system-packages.mjs")).installSystemPackages();
    return runForeground([
      ...runtimeCommand("node", "bun"),
      join(repository, "bench/run.ts"),
      ...words,
    ]);
  },
  fuzz: async () => (await import("./fuzz.mjs")).fuzz(words),
  torture: async () => (await import("./torture.mjs")).torture(words),
};

const [job = "", ...words] = process.argv.slice(2);

if (!Object.keys(jobs).includes(job)) {
  console.error(`usage: node scripts/run.mjs ${Object.keys(jobs).join("|")}`);
  process.exitCode = 2;
} else {
  process.chdir(repository);
  try {
    await ensureInstalled();
    process.exitCode = await jobs[job]();
  } catch (error) {
    console.error(`${job}: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}
