import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Something that only the operating system can provide: how to tell that it is there, and Debian's name for it. */
export interface SystemPackage {
  readonly debian: string;
  readonly isPresent: () => boolean;
}

export const compiler: SystemPackage = { debian: "gcc", isPresent: () => programExists("cc") };
export const openSslHeaders: SystemPackage = {
  debian: "libssl-dev",
  isPresent: () =>
    ["/usr/include", "/usr/local/include"].some((folder) =>
      existsSync(join(folder, "openssl/ssl.h")),
    ),
};
export const mosquitto: SystemPackage = {
  debian: "mosquitto",
  isPresent: () => mosquittoProgram() !== undefined,
};

/** Where Mosquitto is; Debian puts it in a folder that is not on everybody's PATH. */
export function mosquittoProgram(): string | undefined {
  return (
    findProgram("mosquitto") ??
    ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"].find((path) => existsSync(path))
  );
}

/** Installs what is missing where we are root and apt-get is there; else the error says what to install. */
export function requirePackages(
  wanted: readonly SystemPackage[],
  report: (line: string) => void,
): void {
  const missing = wanted.filter(({ isPresent }) => !isPresent()).map(({ debian }) => debian);
  if (missing.length === 0) return;
  if (process.getuid?.() === 0 && programExists("apt-get")) {
    report(`installing ${missing.join(" ")} with apt-get`);
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    spawnSync("apt-get", ["update", "-q"], { stdio: "ignore", env, timeout: 300_000 });
    spawnSync("apt-get", ["install", "-y", "-q", "--no-install-recommends", ...missing], {
      stdio: "ignore",
      env,
      timeout: 600_000,
    });
  }
  const still = wanted.filter(({ isPresent }) => !isPresent()).map(({ debian }) => debian);
  if (still.length > 0)
    throw new Error(
      `missing here: ${still.join(", ")}; install with: apt-get install ${still.join(" ")}`,
    );
}

function programExists(name: string): boolean {
  return findProgram(name) !== undefined;
}

function findProgram(name: string): string | undefined {
  return (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}
