import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { CommandName, CommandResponse, Commands } from "@wardmq/commands";
import type { Deployment } from "../support/deployment.ts";
import { firstLine } from "../support/lines.ts";

const main = join(import.meta.dirname, "../../apps/control/src/main.ts");

/** A control that was started again for a deployment whose first one is gone. */
export interface RestartedControl extends AsyncDisposable {
  readonly process: ChildProcess;
}

/** Starts control again; the settings of the first start count no more; MQTT's ports do not either: the broker has them. */
export async function restartControl({ directory }: Deployment): Promise<RestartedControl> {
  const ports = ["est", "api"].flatMap((name) => ["--set", `listeners.${name}.port=0`]);
  const child = run(["serve", directory, ...ports], directory);
  if (!(await firstLine(child)).startsWith("ready ")) throw new Error("control is not ready");
  child.stdout?.resume();
  child.stderr?.resume();
  return { process: child, [Symbol.asyncDispose]: () => end(child, "SIGTERM") };
}

/** Ends a process as a power cut does. */
export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}

/** Runs one command on the files of a deployment whose control is away. */
export async function commandOnFiles<Name extends CommandName>(
  { directory }: Deployment,
  command: Name,
  values: Commands[Name]["arguments"],
): Promise<Commands[Name]["result"]> {
  const child = run(["once", directory], directory);
  child.stdin?.end(`${JSON.stringify({ command, arguments: values })}\n`);
  const response = JSON.parse(await firstLine(child)) as CommandResponse;
  if (!response.ok) throw new Error(`${command}: ${response.error.message}`);
  return response.result as Commands[Name]["result"];
}

function run(words: readonly string[], cwd: string): ChildProcess {
  const { PATH, HOME, TMPDIR } = process.env;
  const env = { PATH, ...(HOME ? { HOME } : {}), ...(TMPDIR ? { TMPDIR } : {}) };
  return spawn(process.execPath, [main, ...words], { cwd, env, stdio: "pipe" });
}
