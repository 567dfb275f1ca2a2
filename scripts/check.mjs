// npm run check: types, lint and format, and rules of this repository.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repository, runtimeCommand } from "./process.mjs";

export function check() {
  const steps = { types: checkTypes, "lint and format": checkStyle, repository: checkRepository };
  const failed = Object.entries(steps).filter(([, step]) => !step());
  for (const name of Object.keys(steps)) {
    console.log(`check ${name}: ${failed.some(([other]) => other === name) ? "failed" : "passed"}`);
  }
  return failed.length === 0 ? 0 : 1;
}

function checkTypes() {
  return run([...runtimeCommand("node", "bun"), bin("typescript/bin/tsc"), "-p", "."]);
}

function checkStyle() {
  return run([
    ...runtimeCommand("node", "bun"),
    bin("@biomejs/biome/bin/biome"),
    "ci",
    `--colors=${process.stdout.isTTY ? "force" : "off"}`,
    ".",
  ]);
}

const bin = (path) => join(repository, "node_modules", path);

function run([command, ...args]) {
  const { status, error } = spawnSync(command, args, { cwd: repository, stdio: "inherit" });
  if (error) console.error(`${command}: ${error.message}`);
  return status === 0;
}

/** Each rule: what a file must not hold, and why. Patterns are written so that they do not match themselves. */
const rules = [
  {
    pattern: /-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{64}/,
    why: "holds a private key; make keys in the test",
  },
  { pattern: /"resolved": "https?:/, why: "names a registry; .npmrc leaves it out" },
  {
    pattern: /^\s*(\/\/[^\s]+:)?(_auth|_authToken|registry)\s*=/m,
    only: /\.npmrc$/,
    why: "names a registry or a token",
  },
  {
    pattern: new RegExp(
      `https?://${"[^/\\s\"'`]*"}(registry|artifactory|nexus|verdaccio)[^/\\s]*\\.`,
    ),
    why: "names a registry",
  },
  { pattern: /^(<{7}|>{7}) /m, why: "holds a merge that was not finished" },
];

function checkRepository() {
  const problems = trackedFiles().flatMap((path) =>
    problemsIn(path, readFileSync(join(repository, path), "utf8")),
  );
  for (const problem of problems) console.error(problem);
  return problems.length === 0;
}

/** What a file with this path and text breaks, one line each. */
export function problemsIn(path, text) {
  const broken = rules.filter(
    ({ pattern, only }) => (!only || only.test(path)) && pattern.test(text),
  );
  const named = /\.(key|pem|p12|pfx)$/.test(path) ? ["is a key or a certificate by its name"] : [];
  return [...broken.map(({ why }) => why), ...named].map((why) => `${path}: ${why}`);
}

/** What git tracks or would take; without git, as in an unpacked archive, there is nothing that could be committed. */
function trackedFiles() {
  try {
    const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    const list = execFileSync("git", args, {
      cwd: repository,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return list.split("\0").filter((path) => path !== "" && existsSync(join(repository, path)));
  } catch {
    return [];
  }
}
