import { existsSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { type Config, ConfigError, formatProblem, parseConfig } from "@wardmq/config";
import { printable } from "@wardmq/events";
import type { ListenerSettings } from "@wardmq/feed";
import type { PartName } from "./child.ts";
import { readDeploymentFile } from "./deployment.ts";
import { Failure, systemCode } from "./failure.ts";

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

/** Refuses where a listener's port cannot be had, before anything is started. */
export async function refuseTakenPort(
  key: "mqtts" | "wss",
  { address, port }: ListenerSettings,
): Promise<void> {
  const code = await tryToListen(address, port);
  if (code === undefined) return;
  const where = `${address} port ${port}`;
  const set = `--${key} PORT`;
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

/** Refuses where this deployment is being served already, or parts of a killed one are still there. */
export async function refuseSecondServe(directory: string): Promise<void> {
  if (await somebodyAnswers(join("run", "control.sock"))) {
    throw new Failure(
      1,
      `${printable(directory)} is being served already`,
      "end that wardmq serve first",
    );
  }
  for (const name of ["broker", "control"] as const) {
    const pid = stalePid(name, directory);
    if (pid === undefined) continue;
    throw new Failure(
      1,
      `the ${name} of a wardmq serve that was killed still runs`,
      `end it: kill ${pid}`,
    );
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

/** The process a pid file names, when it is still a part of this deployment and not one that got the number later. */
function stalePid(name: PartName, directory: string): number | undefined {
  const file = join("run", `${name}.pid`);
  if (!existsSync(file)) return undefined;
  const pid = Number(readFileSync(file, "utf8"));
  const commandLine = `/proc/${pid}/cmdline`;
  if (!Number.isSafeInteger(pid) || !existsSync(commandLine)) return undefined;
  const words = readFileSync(commandLine, "utf8").split("\0");
  return words.includes(directory) && words.some((word) => word.endsWith(`${name}/src/main.ts`))
    ? pid
    : undefined;
}
