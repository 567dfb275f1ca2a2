import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { printable } from "@wardmq/events";
import type { RuntimeName } from "../../bin/runtimes.mjs";
import { enterDeployment } from "../deployment.ts";
import { minimalEnvironment, refuseWeakeningEnvironment } from "../environment.ts";
import { Failure } from "../failure.ts";
import { initialize } from "../init.ts";
import { loadConfig, openListeners, refuseSecondServe, tryToListen } from "../preflight.ts";
import { chooseRuntime, ownRuntimeOptions, programs } from "../runtime.ts";
import { type Serving, serve } from "../serve.ts";
import { type Signals, takeSignals } from "../signals.ts";
import {
  type DemoProvider,
  dashboardLogin,
  startDemoProvider,
  writeDemoIssuers,
  writeDemoProfile,
} from "./identity-provider.ts";
import { connectLines } from "./instructions.ts";
import { type Log, openLog } from "./log.ts";
import { environment, host, org, policyText } from "./plan.ts";
import { completeRoster, ownCredential, writeWardFile } from "./roster.ts";

/** Where lines for a person go: `print` to standard output, `report` to standard error. */
export interface Voice {
  readonly print: (line: string) => void;
  readonly report: (line: string) => void;
}

/** Makes the demo deployment where it is missing, serves it, and runs the simulated ward until Ctrl-C. */
export async function up(
  directory: string,
  runtime: RuntimeName | undefined,
  { print, report }: Voice,
): Promise<number> {
  refuseWeakeningEnvironment(process.env, process.execArgv, ownRuntimeOptions);
  const signals = takeSignals(process.env);
  try {
    await enterDemo(directory, print);
    await refuseSecondServe(directory, report);
    const overrides = await freePorts(directory, print);
    const log = openLog(process.stdout.isTTY === true, report);
    const provider = await startDemoProvider(directory, log.report);
    try {
      writeDemoIssuers(provider);
      return await serveWard({ directory, runtime, overrides, log, print, provider }, signals);
    } catch (error) {
      process.stderr.write(log.contents());
      throw error;
    } finally {
      provider.stop();
      log.close();
    }
  } finally {
    signals.close();
  }
}

async function enterDemo(directory: string, print: (line: string) => void): Promise<void> {
  if (!existsSync(join(directory, "wardmq.yaml"))) {
    print(`making a demo deployment in ${printable(directory, 1000)}`);
    await initialize(directory, org, environment, [host], "file");
    writeFileSync(join(directory, "policy.yaml"), policyText, { mode: 0o600 });
  }
  enterDeployment(directory);
  const { settings } = loadConfig(directory, []);
  if (settings.environment === environment && settings.org === org) return;
  const message = `${printable(directory, 1000)} is not a demo deployment`;
  throw new Failure(1, message, "use wardmq serve for it, or another folder for the demo");
}

/** Overrides that let the system choose a port where another program has the configured one. */
async function freePorts(
  directory: string,
  print: (line: string) => void,
): Promise<readonly string[]> {
  const overrides = ["listeners.tokenWss.accept=token"]; // people log in at the demo's provider
  for (const [name, { address, port }] of openListeners(loadConfig(directory, overrides))) {
    if ((await tryToListen(address, port)) !== "EADDRINUSE") continue;
    print(`port ${port} is taken by another program; a free one is used for ${name}`);
    overrides.push(`listeners.${name}.port=0`);
  }
  return overrides;
}

interface Surroundings {
  readonly directory: string;
  readonly runtime: RuntimeName | undefined;
  readonly overrides: readonly string[];
  readonly log: Log;
  readonly print: (line: string) => void;
  readonly provider: DemoProvider;
}

async function serveWard(
  { directory, runtime, overrides, log, print, provider }: Surroundings,
  signals: Signals,
): Promise<number> {
  const { stderr, report } = log;
  const options = { directory, runtime, overrides, verbose: false, report, stderr };
  const serving = await serve(options, signals.stop);
  if (typeof serving === "number") {
    process.stderr.write(log.contents());
    return serving;
  }
  print(serving.readyLine);
  try {
    writeDemoProfile(provider, serving.host, serving.tokenWssPort ?? 0);
    await prepareWard(directory, serving, provider, report);
    const code = signals.stop.aborted ? 0 : await runWard(directory, serving, signals);
    serving.stop();
    return Math.max(code, await serving.ended);
  } finally {
    serving.stop();
    await serving.ended;
  }
}

async function prepareWard(
  directory: string,
  { host, mqttsPort, tokenWssPort = 0 }: Serving,
  provider: DemoProvider,
  report: (line: string) => void,
): Promise<void> {
  const devices = await completeRoster(report);
  const connect = connectLines(join(directory, ownCredential), mqttsPort);
  const login = dashboardLogin(provider, tokenWssPort);
  writeWardFile({ host, port: mqttsPort, devices, connect }, login);
}

/** The exit code of the ward, which owns the terminal; 0 when it was ended from outside. */
async function runWard(directory: string, serving: Serving, signals: Signals): Promise<number> {
  const { command, options } = chooseRuntime(undefined);
  const child = spawn(command, [...options, programs.ward, directory], {
    stdio: "inherit",
    env: { ...minimalEnvironment(process.env), ...terminalVariables() },
  });
  const end = () => void child.kill("SIGTERM");
  signals.stop.addEventListener("abort", end, { once: true });
  signals.onHangUp = end; // the terminal is gone
  void serving.ended.then(end);
  const code = await endOf(child);
  return signals.stop.aborted ? 0 : code;
}

function terminalVariables(): NodeJS.ProcessEnv {
  const names = ["TERM", "COLUMNS", "LINES", "COLORTERM", "FORCE_COLOR"];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
  );
}

function endOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", (error) =>
      reject(new Failure(1, `could not start the ward: ${error.message}`, "run npm ci")),
    );
    child.on("exit", (code) => resolve(code ?? 1));
  });
}
