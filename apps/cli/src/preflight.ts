import { existsSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Config, ConfigError, formatProblem, parseConfig } from "@wardmq/config";
import { printable } from "@wardmq/events";
import type { ListenerSettings } from "@wardmq/feed";
import type { PartName } from "./child.ts";
import { readDeploymentFile } from "./deployment.ts";
import { Failure, systemCode } from "./failure.ts";
import { programs } from "./runtime.ts";

/** The settings of a deployment with overrides, or everything that is wrong with them. */
export function loadConfig(directory: string, overrides: readonly string[]): Config {
  const text = readDeploymentFile(directory, "wardmq.yaml");
  try {
    return parseConfig(text, overrides, join(directory, "wardmq.yaml"));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new Failure(2, error.problems.map(formatProblem).join("\n"), "");
  }
}

type Place = Pick<ListenerSettings, "address" | "port">;

/** Every listener that is going to be opened, with its name in `wardmq.yaml`. */
export function openListeners({
  settings,
  controlListeners,
}: Config): readonly (readonly [string, Place])[] {
  const ofBroker = Object.entries(settings.listeners).filter(
    ([, { accept }]) => accept !== "nothing",
  );
  return [...ofBroker, ...Object.entries(controlListeners)];
}

/** Refuses where a listener's port cannot be had, before anything is started. */
export async function refuseTakenPort(key: string, { address, port }: Place): Promise<void> {
  const code = await tryToListen(address, port);
  if (code === undefined) return;
  const where = `${address} port ${port}`;
  const set =
    key === "mqtts" || key === "wss" ? `--${key} PORT` : `--set listeners.${key}.port=PORT`;
  switch (code) {
    case "EADDRINUSE":
      throw new Failure(
        1,
        `another program listens on ${where}`,
        `end it, or choose another port with ${set}`,
      );
    case "EACCES":
      throw new Failure(
        1,
        `not allowed to listen on ${where}`,
        `choose a port from 1024 with ${set}`,
      );
    case "EADDRNOTAVAIL":
      throw new Failure(
        1,
        `${address} is no address of this machine`,
        `correct listeners.${key}.address in wardmq.yaml`,
      );
    default:
      throw new Failure(
        1,
        `cannot listen on ${where}: ${code}`,
        `correct listeners.${key} in wardmq.yaml`,
      );
  }
}

/** Why a port cannot be listened on, or undefined when it can. */
export function tryToListen(address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve(systemCode(error) ?? error.message));
    server.listen({ host: address, port, exclusive: true }, () =>
      server.close(() => resolve(undefined)),
    );
  });
}

/** Refuses where this deployment is being served already; ends what a killed `wardmq serve` has left behind. */
export async function refuseSecondServe(
  directory: string,
  report: (line: string) => void,
): Promise<void> {
  if (await somebodyAnswers(join("run", "control.sock"))) {
    const message = `${printable(directory, 1000)} is being served already`;
    throw new Failure(1, message, "end that wardmq serve first");
  }
  for (const name of ["broker", "control"] as const) {
    if (!isLeftOver(name, directory)) continue;
    report(`ending the ${name} of a wardmq serve that was killed`);
    await endLeftOver(name, directory);
  }
}

function somebodyAnswers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** Whether the pid file names a part of this deployment, and not a process that got the number later. */
function isLeftOver(name: PartName, directory: string): boolean {
  const words = commandLineOf(leftOverPid(name));
  return words.includes(directory) && words.includes(programs[name]);
}

function leftOverPid(name: PartName): number {
  const file = join("run", `${name}.pid`);
  return existsSync(file) ? Number(readFileSync(file, "utf8")) : 0;
}

/** The words a process was started with; none where the system does not tell. */
function commandLineOf(pid: number): readonly string[] {
  if (!Number.isSafeInteger(pid) || pid <= 0) return [];
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}

async function endLeftOver(name: PartName, directory: string): Promise<void> {
  const pid = leftOverPid(name);
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    if (isLeftOver(name, directory)) process.kill(pid, signal);
    for (let waits = 0; waits < 100 && isLeftOver(name, directory); waits++) await delay(50);
  }
}
