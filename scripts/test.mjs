// npm test: the whole suite on Bun and on Node. `npm test -- TEXT...` runs only files whose path holds one of the texts.
import { join } from "node:path";
import { findFiles } from "./files.mjs";
import { buildPkcs11 } from "./pkcs11.mjs";
import { repository, runGroup, runtimeCommand } from "./process.mjs";
import { installSystemPackages } from "./system-packages.mjs";

const limitMs = 38 * 60_000;
const testTimeoutMs = 120_000;
/** Files at once; every file has globals of its own. On Node each starts processes that take longer to begin. */
const workers = { bun: 2, node: 3 };

export async function test(words) {
  const end = Date.now() + limitMs;
  const files = findFiles(".test.ts").filter(
    (path) => words.length === 0 || words.some((word) => path.includes(word)),
  );
  if (files.length === 0) throw new Error("no test files were found");
  installSystemPackages();
  buildPkcs11();
  const runs = [await onBun(files, end), await onNode(files, end)];
  console.log("");
  for (const { name, counts } of runs) console.log(`${name}: ${closingLine(counts)}`);
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const { counts } of runs) for (const key of Object.keys(total)) total[key] += counts[key];
  console.log(closingLine(total));
  return runs.every((run) => run.isGood) && total.passed > 0 ? 0 : 1;
}

const closingLine = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`;

async function onBun(files, end) {
  const [bun] = runtimeCommand("bun");
  const counts = { passed: 0, failed: 0, skipped: 0 };
  let isComplete = false;
  const onLine = (line) => {
    const [, number, what] = /^ *(\d+) (pass|fail|skip|todo|error)s?$/.exec(line) || [];
    if (what === "pass") counts.passed += Number(number);
    if (what === "fail" || what === "error") counts.failed += Number(number);
    if (what === "skip" || what === "todo") counts.skipped += Number(number);
    if (/^Ran \d+ tests? across \d+ files?\./.test(line)) isComplete = true;
    if (!isOnlyAFileName(line)) console.log(line);
  };
  const args = [
    "--no-env-file",
    "--config=/dev/null",
    "test",
    `--parallel=${workers.bun}`,
    "--only-failures",
    "--timeout",
    String(testTimeoutMs),
  ];
  console.log(`on Bun: ${files.length} files`);
  // With "./" Bun takes a path for a path and not for a pattern.
  const run = await runGroup([bun, ...args, ...files.map((file) => `./${file}`)], {
    onLine,
    limitMs: end - Date.now(),
  });
  return judge("bun", run, counts, isComplete);
}

/** Bun names every file, also those whose tests all pass. */
const isOnlyAFileName = (line) => line === "" || /^\S+\.test\.ts:$/.test(line);

async function onNode(files, end) {
  const [node, ...options] = runtimeCommand("node");
  const counts = { passed: 0, failed: 0, skipped: 0 };
  let isComplete = false;
  const onLine = (line) => {
    const [, passed, failed, skipped] =
      /^total (\d+) passed, (\d+) failed, (\d+) skipped$/.exec(line) || [];
    if (passed !== undefined) {
      Object.assign(counts, {
        passed: Number(passed),
        failed: Number(failed),
        skipped: Number(skipped),
      });
      isComplete = true;
    }
    console.log(line);
  };
  const args = ["--test", `--test-concurrency=${workers.node}`, `--test-timeout=${testTimeoutMs}`];
  const reporter = "--test-reporter=./scripts/terse-reporter.mjs";
  console.log(`on Node: ${files.length} files`);
  // Each of the thousands of processes that tests start would strip the types of the same files anew.
  const env = { ...process.env, NODE_COMPILE_CACHE: join(repository, "build", "compile-cache") };
  const run = await runGroup([node, ...options, ...args, reporter, ...files], {
    onLine,
    limitMs: end - Date.now(),
    env,
  });
  return judge("node", run, counts, isComplete);
}

function judge(name, { code, timedOut }, counts, isComplete) {
  if (timedOut)
    console.log(
      `${name}: the time limit of ${limitMs / 60_000} minutes is over; the run was killed`,
    );
  else if (!isComplete) console.log(`${name}: the run ended with ${code} before it was complete`);
  const isGood = code === 0 && isComplete && counts.failed === 0;
  if (!isGood && counts.failed === 0) counts.failed = 1; // the run itself
  return { name, counts, isGood };
}
