import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";

const main = join(import.meta.dirname, "../src/main.ts");
const folder = mkdtempSync(join(tmpdir(), "wardmq-idp-"));
after(() => rmSync(folder, { recursive: true }));

/** A folder whose wardmq.yaml says what it is for. */
function deployment(environment: string): string {
  const directory = join(folder, environment);
  mkdirSync(join(directory, "demo"), { recursive: true });
  const text = `org: hospital\nhosts: [localhost]\nenvironment: ${environment}\n`;
  writeFileSync(join(directory, "wardmq.yaml"), text);
  return directory;
}

/** Starts it, and has it end as soon as it would serve. */
async function run(directory: string, more: Readonly<Record<string, string>>) {
  const { PATH, HOME } = process.env;
  const env = { PATH, ...(HOME ? { HOME } : {}), ...more };
  const child = spawn(process.execPath, [main, directory], {
    stdio: ["pipe", "pipe", "pipe"],
    env,
  });
  child.stdin.on("error", () => {}); // it may end without reading
  const said = { out: "", err: "" };
  child.stdout.on("data", (part) => (said.out += part));
  child.stderr.on("data", (part) => (said.err += part));
  child.stdin.end();
  const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  clearTimeout(timer);
  return { code, ...said };
}

describe("the demo's identity provider", () => {
  const up = { WARDMQ_UP: "1" };
  const refusal = /^DEMO identity provider: refused: it takes any password, and is for wardmq up/m;
  const rows: readonly (readonly [string, string, Readonly<Record<string, string>>])[] = [
    ["for a deployment that is no demo", deployment("prod"), up],
    ["for no deployment", join(folder, "none"), up],
    ["when wardmq up has not started it", deployment("demo"), {}],
    ["when something else is said of wardmq up", deployment("demo"), { WARDMQ_UP: "0" }],
  ];
  for (const [what, directory, more] of rows) {
    test(`refuses to start ${what}, and says what it is`, async () => {
      const { code, out, err } = await run(directory, more);
      assert.deepEqual([code, out], [2, ""]);
      assert.match(err, refusal);
    });
  }

  test("starts for wardmq up and a demo, and ends with who has started it", async () => {
    const { code, out, err } = await run(deployment("demo"), up);
    assert.match(out, /^ready \{"issuer":"https:\/\/localhost:/);
    assert.equal(code, 0, err);
  });
});
