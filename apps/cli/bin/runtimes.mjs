// Where the bundled runtimes are. Plain JavaScript without dependencies: an old Node must be able to read it.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const arm = process.arch === "arm64";

const bundled = {
  bun: {
    package: `@oven/bun-${process.platform}-${arm ? "aarch64" : process.arch}`,
    file: "bin/bun",
    // Without these Bun would take `.env` and `bunfig.toml` (which can preload code) from the current folder.
    options: ["--no-env-file", "--no-install", "--config=/dev/null"],
  },
  node: {
    package: `node-${process.platform}-${process.arch}`,
    file: "bin/node",
    options: ["--disable-warning=ExperimentalWarning"],
  },
};

/** The program and the options to run our TypeScript with, or undefined where the runtime is not installed. */
export function findRuntime(name) {
  const { package: packageName, file, options } = bundled[name];
  const require = createRequire(import.meta.url);
  try {
    const command = join(dirname(require.resolve(`${packageName}/package.json`)), file);
    if (existsSync(command)) return { name, command, options };
  } catch {
    // Not installed: the runtime that runs this file may do.
  }
  return runningRuntime() === name ? { name, command: process.execPath, options } : undefined;
}

/** The sentence for a machine where a runtime is missing. */
export function missingRuntime(name) {
  const { package: packageName } = bundled[name];
  return `${name} is not installed here (npm package ${packageName}); run npm ci, or use Node 24.12 or newer`;
}

function runningRuntime() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (process.versions.bun !== undefined) return "bun";
  return major > 24 || (major === 24 && minor >= 12) ? "node" : undefined;
}
