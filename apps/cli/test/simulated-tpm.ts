import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { eventually } from "./wardmq.ts";

const folders = ["/usr/lib", ...subfolders("/usr/lib")];
const isThere = (file: string) => folders.some((folder) => existsSync(join(folder, file)));
const runs = (program: string) => spawnSync(program, ["--version"]).error === undefined;

function subfolders(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).map((name) => join(folder, name));
}

/** What a device with a TPM has, and a test needs in its place: the package of each thing that is missing. */
const wanted: readonly (readonly [debianPackage: string, isThere: boolean])[] = [
  ["swtpm", runs("swtpm")],
  ["tpm2-openssl", isThere("ossl-modules/tpm2.so")],
  ["tpm2-abrmd", runs("tpm2-abrmd")],
  ["libtss2-tcti-tabrmd0", isThere("libtss2-tcti-tabrmd.so.0")],
  ["dbus", runs("dbus-daemon")],
];

/** Why tests with a TPM can not run here; false when they can. */
export const tpmIsMissing: string | false =
  wanted
    .filter(([, is]) => !is)
    .map(([name]) => `${name} is not installed (apt-get install ${name})`)
    .join(", ") || false;

export const engineIsMissing: string | false =
  !isThere("engines-3/pkcs11.so") &&
  "libengine-pkcs11-openssl is not installed (apt-get install libengine-pkcs11-openssl)";

/** A TPM in software with what the kernel has for a real one: a resource manager, which swaps its few keys in and out. */
export interface SimulatedTpm extends AsyncDisposable {
  /** By which tpm2-openssl finds it. */
  readonly environment: Readonly<Record<string, string>>;
}

export async function simulatedTpm(folder: string): Promise<SimulatedTpm> {
  let tries = 0;
  // A port that was free may be taken by now, and the programs come up in any order: what is not up soon is begun anew.
  return eventually("the resource manager of the TPM", () => {
    tries += 1;
    return startTpm(join(folder, `tpm-${tries}`));
  });
}

const upWithinMs = 15_000;

/** The three programs with all they keep in a new `folder`; undefined, and none of them left, when they do not come up. */
async function startTpm(folder: string): Promise<SimulatedTpm | undefined> {
  mkdirSync(folder);
  const children: ChildProcess[] = [];
  const run = (
    program: string,
    words: readonly string[],
    env: Readonly<Record<string, string>>,
  ) => {
    const child = spawn(program, words, {
      env: { PATH: process.env["PATH"] ?? "", ...env },
      stdio: "ignore",
    });
    child.on("error", () => {});
    children.push(child);
    return child;
  };
  const stop = async () => {
    for (const child of children.reverse()) {
      if (hasEnded(child)) continue;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    }
  };
  const end = Date.now() + upWithinMs;
  const isUp = async (is: () => boolean | Promise<boolean>) => {
    while (Date.now() < end && !children.some(hasEnded)) {
      if (await is()) return true;
      await new Promise((next) => setTimeout(next, 50));
    }
    return false;
  };

  const bus = `unix:path=${join(folder, "bus")}`;
  const environment = {
    DBUS_SESSION_BUS_ADDRESS: bus,
    TPM2OPENSSL_TCTI: "tabrmd:bus_type=session",
  };
  const port = await freePair();
  run("dbus-daemon", ["--session", "--nofork", `--address=${bus}`], {});
  run(
    "swtpm",
    [
      ...["socket", "--tpm2", "--tpmstate", `dir=${folder}`],
      ...["--server", `type=tcp,port=${port}`, "--ctrl", `type=tcp,port=${port + 1}`],
      ...["--flags", "not-need-init,startup-clear"],
    ],
    {},
  );
  const manages = () => {
    const tpm2 = ["-provider", "tpm2", "-provider", "default"];
    const options = { env: { PATH: process.env["PATH"] ?? "", ...environment }, timeout: 5_000 };
    return spawnSync("openssl", ["list", "-providers", ...tpm2], options).status === 0;
  };
  const listens = async () => existsSync(join(folder, "bus")) && !(await isFree(port));
  if (await isUp(listens)) {
    const asRoot = process.getuid?.() === 0 ? ["--allow-root"] : [];
    const words = [`--tcti=swtpm:port=${port}`, "--session", "--flush-all", ...asRoot];
    run("tpm2-abrmd", words, environment);
    if (await isUp(manages)) return { environment, [Symbol.asyncDispose]: stop };
  }
  await stop();
  return undefined;
}

/** Also by a signal, which leaves it without an exit code. */
const hasEnded = ({ exitCode, signalCode, pid }: ChildProcess) =>
  exitCode !== null || signalCode !== null || pid === undefined;

/** Two free ports, one after the other, as swtpm has them. */
async function freePair(): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    if ((await isFree(port)) && (await isFree(port + 1))) return port;
  }
  throw new Error("no two free ports");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
