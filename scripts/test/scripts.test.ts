import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { findRuntime } from "../../apps/cli/bin/runtimes.mjs";

const scripts = join(import.meta.dirname, "..");
const node = findRuntime("node")?.command;
const noNode = node === undefined ? "node is not installed" : false;

interface Ended {
  readonly code: number;
  readonly output: string;
}

function run(command: string, words: readonly string[], cwd = scripts): Promise<Ended> {
  // A test run that is started by a test run would report to it instead of printing.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(command, [...words], { cwd, env, timeout: 60_000 }, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === "number" ? error.code : 1) : 0;
      resolve({ code, output: stdout + stderr });
    });
  });
}

/** A module without types: it is plain JavaScript, so that any Node can run it. */
async function load(name: string): Promise<Readonly<Record<string, unknown>>> {
  return await import(join(scripts, name));
}

describe("scripts/run.mjs", () => {
  test("refuses a job it does not know", async () => {
    const { code, output } = await run(process.execPath, [join(scripts, "run.mjs"), "deploy"]);
    assert.equal(code, 2);
    assert.match(output, /usage: .*start\|test\|check\|docs\|bench\|fuzz/);
  });

  test("fails where no test file is found", async () => {
    const { code, output } = await run(process.execPath, [
      join(scripts, "run.mjs"),
      "test",
      "no/such/file",
    ]);
    assert.equal(code, 1);
    assert.match(output, /no test files were found/);
  });
});

describe("an installation", () => {
  const locked = {
    "": { name: "root" },
    "node_modules/a": { version: "1.0.0", integrity: "sha512-a" },
    "node_modules/here": {
      version: "1.0.0",
      optional: true,
      os: [process.platform],
      cpu: [process.arch],
    },
    "node_modules/elsewhere": { version: "1.0.0", optional: true, os: ["plan9"] },
  };
  const { "": _, "node_modules/elsewhere": __, ...complete } = locked;
  const isComplete = async (installed: object, isThere = true) => {
    const { isSameAs } = await load("install.mjs");
    assert.ok(typeof isSameAs === "function");
    return isSameAs(locked, installed, () => isThere);
  };

  test("is made again when a package is missing, another version, other bytes, or removed", async () => {
    const { "node_modules/a": a, ...withoutA } = complete;
    const { "node_modules/here": ___, ...withoutHere } = complete;
    assert.equal(await isComplete(withoutA), false);
    assert.equal(await isComplete(withoutHere), false);
    assert.equal(
      await isComplete({ ...complete, "node_modules/a": { ...a, version: "1.0.1" } }),
      false,
    );
    assert.equal(
      await isComplete({ ...complete, "node_modules/a": { ...a, integrity: "sha512-b" } }),
      false,
    );
    assert.equal(await isComplete(complete, false), false);
  });

  test("is kept when only packages for other machines are missing", async () => {
    assert.equal(await isComplete(complete), true);
  });
});

describe("the rules of the repository", () => {
  const problems = async (path: string, text: string): Promise<readonly string[]> => {
    const { problemsIn } = await load("check.mjs");
    assert.ok(typeof problemsIn === "function");
    return problemsIn(path, text);
  };
  const label = ["PRIVATE", "KEY"].join(" ");

  test("refuse a private key, but not the words that stand around one", async () => {
    const key = `-----BEGIN ${label}-----\n${"A".repeat(64)}\n`;
    assert.equal((await problems("test/a.ts", key)).length, 1);
    assert.equal((await problems("test/a.ts", key.replace(label, `EC ${label}`))).length, 1);
    assert.deepEqual(await problems("test/a.ts", `-----BEGIN ${label}-----\${base64}`), []);
  });

  test("refuse what a merge has left open, but no heading that is underlined", async () => {
    assert.equal((await problems("README.md", `a\n${"<".repeat(7)} HEAD\nb\n`)).length, 1);
    assert.equal((await problems("a.ts", `${">".repeat(7)} 7ef50db (b)\n`)).length, 1);
    assert.deepEqual(await problems("README.md", "Heading\n=======\n"), []);
  });

  test("refuse files that are keys by their name", async () => {
    for (const path of ["a/server.key", "a/cert.pem", "a.p12"])
      assert.equal((await problems(path, "")).length, 1);
    assert.deepEqual(await problems("src/key.ts", ""), []);
  });

  test("refuse the name of a registry and its tokens", async () => {
    const url = ["https", "//npm.example.test/a.tgz"].join(":");
    assert.equal((await problems("package-lock.json", `"resolved": "${url}"`)).length, 1);
    assert.equal((await problems(".npmrc", "registry=x\n")).length, 1);
    assert.equal((await problems(".npmrc", "//host/:_authToken=x\n")).length, 1);
    assert.deepEqual(await problems(".npmrc", "omit-lockfile-registry-resolved=true\n"), []);
    assert.deepEqual(
      await problems("package-lock.json", '"resolved": "apps/cli", "link": true'),
      [],
    );
  });
});

describe("the reporter of node's test runner", () => {
  test("prints failures, why tests were skipped, and the numbers", { skip: noNode }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "wardmq-reporter-"));
    try {
      const text = `import { describe, test } from "node:test";
describe("a suite", () => {
  test("passes", () => {});
  test("fails", () => { throw new Error("because"); });
  test("is skipped", { skip: "no socat" }, () => {});
});`;
      await writeFile(join(folder, "a.test.mjs"), text);
      const reporter = `--test-reporter=${join(scripts, "terse-reporter.mjs")}`;
      const { code, output } = await run(node ?? "", ["--test", reporter, "a.test.mjs"], folder);
      assert.equal(code, 1);
      assert.match(output, /^\(fail\) fails\n {2}at a\.test\.mjs:4\n {2}Error: because/m);
      assert.match(output, /^skipped 1: no socat$/m);
      assert.match(output, /^total 1 passed, 1 failed, 1 skipped$/m);
      assert.doesNotMatch(output, /passes|a suite/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
