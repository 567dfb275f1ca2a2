// pkcs11js is native code, and nothing here is built when it is installed: tests with a token build it when they can.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { npm } from "./install.mjs";
import { repository } from "./process.mjs";

const built = join(repository, "node_modules/pkcs11js/build/Release/pkcs11.node");
const limitMs = 5 * 60_000;

/** Builds pkcs11js once; says so when that fails, so that tests that are skipped surprise nobody. */
export function buildPkcs11() {
  if (existsSync(built)) return;
  console.error("building pkcs11js (npm rebuild) ...");
  const [command, ...args] = npm("rebuild", "pkcs11js", "--ignore-scripts=false", ...headers());
  const { stderr } = spawnSync(command, args, {
    cwd: repository,
    encoding: "utf8",
    timeout: limitMs,
  });
  if (existsSync(built)) return;
  console.error("pkcs11js could not be built; tests with a PKCS#11 token are skipped");
  console.error((stderr ?? "").split("\n").slice(-5).join("\n"));
}

/** The headers come with the Node of our lock file, so that nothing is downloaded for the build. */
function headers() {
  const node = join(repository, `node_modules/node-${process.platform}-${process.arch}`);
  return existsSync(join(node, "include/node")) ? [`--nodedir=${node}`] : [];
}
