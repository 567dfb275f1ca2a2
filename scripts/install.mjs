// Runs `npm ci` where node_modules is missing or is not what package-lock.json says.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository } from "./process.mjs";

const waitLimitMs = 10 * 60_000;

export async function ensureInstalled() {
  if (isInstalled()) return;
  await withLock(() => {
    if (isInstalled()) return; // another run did it while we waited
    console.error("installing what package-lock.json names (npm ci) ...");
    // No package here needs an install script, so none may run.
    // Warnings would be of the Node that runs npm, which runs nothing of what is installed.
    const [command, ...args] = npm("ci", "--ignore-scripts", "--no-progress", "--loglevel=error");
    const { status, error } = spawnSync(command, args, {
      cwd: repository,
      stdio: ["ignore", 2, 2],
    });
    if (error) throw new Error(`npm was not found: ${error.message}; install Node with npm`);
    if (status !== 0)
      throw new Error("npm ci failed, see above; is the package registry reachable?");
  });
}

/** The command line of npm: under `npm run` the same npm, with the same Node. */
export function npm(...args) {
  const path = process.env.npm_execpath;
  return path && /\.c?js$/.test(path) ? [process.execPath, path, ...args] : ["npm", ...args];
}

/** Compares with the record that npm leaves in node_modules when an installation is complete. */
function isInstalled() {
  const installed = readPackages(join(repository, "node_modules/.package-lock.json"));
  if (!installed) return false;
  const locked = readPackages(join(repository, "package-lock.json"));
  return isSameAs(locked, installed, (path) => existsSync(join(repository, path)));
}

/** Whether everything that is locked and meant for this machine is installed as it was locked. */
export function isSameAs(locked, installed, isThere) {
  return Object.entries(locked).every(([path, entry]) => {
    if (path === "") return true;
    const here = installed[path];
    if (!here) return !isForHere(entry);
    return here.version === entry.version && here.integrity === entry.integrity && isThere(path);
  });
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages;
  } catch {
    return undefined;
  }
}

/** Optional packages name the platform they are for. */
function isForHere({ optional, os, cpu, libc }) {
  if (!optional) return true;
  const fits = (list, value) => !list || list.includes(value);
  return fits(os, process.platform) && fits(cpu, process.arch) && !libc;
}

/** One installation at a time: a folder is made by one process only. It names its process, in case that was killed. */
async function withLock(body) {
  const name = createHash("sha256").update(repository).digest("hex").slice(0, 16);
  const lock = join(tmpdir(), `wardmq-install-${name}`);
  const owner = join(lock, "pid");
  for (const end = Date.now() + waitLimitMs; ; ) {
    try {
      mkdirSync(lock, { mode: 0o700 });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      if (isDead(owner)) rmSync(lock, { recursive: true, force: true });
      else if (Date.now() > end)
        throw new Error(`another installation does not end; remove ${lock}`);
      else await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
  writeFileSync(owner, String(process.pid));
  try {
    body();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function isDead(owner) {
  if (!existsSync(owner)) return false; // it is about to be written
  const pid = Number(readFileSync(owner, "utf8"));
  try {
    if (pid > 0) process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === "ESRCH";
  }
}
