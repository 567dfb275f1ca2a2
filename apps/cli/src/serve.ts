import { setTimeout as delay } from "node:timers/promises";
import type { ControlListenerName, ListenerName } from "@wardmq/events";
import { describeFinding } from "@wardmq/policy";
import type { RuntimeName } from "../bin/runtimes.mjs";
import {
  describeEnding,
  forgetPid,
  type Part,
  type PartName,
  recordPid,
  startPart,
} from "./child.ts";
import { makeRunFolder } from "./deployment.ts";
import { refuseWeakeningEnvironment } from "./environment.ts";
import { deploymentPassphrase, keyFindings } from "./keys.ts";
import { checkPolicyFiles } from "./policy-file.ts";
import { loadConfig, openListeners, refuseSecondServe, refuseTakenPort } from "./preflight.ts";
import { chooseRuntime, ownRuntimeOptions, programs } from "./runtime.ts";

export interface ServeOptions {
  /** The deployment's folder, which is the current one. */
  readonly directory: string;
  readonly runtime: RuntimeName | undefined;
  /** `KEY=VALUE`, see wardmq.yaml. */
  readonly overrides: readonly string[];
  readonly verbose: boolean;
  /** Where control and broker write: the terminal, or an open file. */
  readonly stderr: "inherit" | number;
  /** For a person: warnings and what happens to control and broker. */
  readonly report: (line: string) => void;
}

/** A deployment that is being served. */
export interface Serving {
  readonly host: string;
  readonly mqttsPort: number;
  /** Of the listener for people, where it is open. */
  readonly tokenWssPort: number | undefined;
  /** `ready mqtts://HOST:PORT wss://HOST:PORT/mqtt est https://HOST:PORT api https://HOST:PORT` */
  readonly readyLine: string;
  /** Settles when everything has ended: the exit code. */
  readonly ended: Promise<number>;
  reload(): void;
  stop(): void;
}

const drainMs = 15_000;
const restartDelaysMs = [500, 1_000, 2_000, 5_000, 10_000, 30_000] as const;
const steadyAfterMs = 60_000;

/**
 * Starts control, then broker, and watches over them:
 *
 *     starting -> serving -> stopping -> ended
 *         |          |  control ended: it is started again, the broker serves on
 *         |          +- broker ended: stopping, exit code 1
 *         +- a part ended before it was ready: ended, with its exit code
 */
export async function serve(
  options: ServeOptions,
  stopSignal: AbortSignal,
): Promise<Serving | number> {
  const { directory, overrides, report } = options;
  refuseWeakeningEnvironment(process.env, process.execArgv, ownRuntimeOptions);
  const runtime = chooseRuntime(options.runtime);
  const config = loadConfig(directory, overrides);
  const { settings, findings } = config;
  for (const { key, value, message } of findings) report(`${key} is ${String(value)}: ${message}`);
  for (const finding of keyFindings()) report(finding);
  const checked = checkPolicyFiles(directory);
  for (const one of checked.findings) report(describeFinding(one, one.file ?? checked.file));
  await refuseSecondServe(directory, report);
  for (const [name, listener] of openListeners(config)) await refuseTakenPort(name, listener);
  if (stopSignal.aborted) return 0;
  makeRunFolder(directory);
  const passphrase = deploymentPassphrase();

  const start = (name: PartName, words: readonly string[]): Part => {
    const part = startPart(
      name,
      runtime,
      [programs[name], ...words],
      report,
      options.stderr,
      passphrase,
    );
    if (options.verbose) report(`${name} is process ${part.pid} (${runtime.name})`);
    return part;
  };
  const sets = overrides.flatMap((override) => ["--set", override]);
  const supervisor = new Supervisor(
    {
      control: () => start("control", ["serve", directory, ...sets]),
      broker: () => start("broker", [directory]),
    },
    report,
  );
  stopSignal.addEventListener("abort", () => supervisor.stop(0), { once: true });
  const addresses = await supervisor.start();
  if (addresses === undefined) return supervisor.ended;
  const [host = ""] = settings.hosts;
  return {
    host,
    mqttsPort: portOf(addresses.mqtts),
    tokenWssPort: addresses.tokenWss === undefined ? undefined : portOf(addresses.tokenWss),
    readyLine: readyLine(host, addresses),
    ended: supervisor.ended,
    reload: () => supervisor.reload(),
    stop: () => supervisor.stop(0),
  };
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}

type Listener = ListenerName | ControlListenerName;

/** Where broker and control listen: ADDRESS:PORT; none for a listener that stays closed. */
type Addresses = Partial<Record<Listener, string>> & { readonly mqtts: string };

/** What a listener is in the line `ready`; AT stands for HOST:PORT. */
const urls: Readonly<Record<Listener, string>> = {
  mqtts: "mqtts://AT",
  wss: "wss://AT/mqtt",
  tokenMqtts: "tokenMqtts mqtts://AT",
  tokenWss: "tokenWss wss://AT/mqtt",
  est: "est https://AT",
  api: "api https://AT",
};

function readyLine(host: string, addresses: Addresses): string {
  const listed = (Object.keys(urls) as Listener[]).flatMap((name) => {
    const address = addresses[name];
    return address === undefined ? [] : urls[name].replace("AT", `${host}:${portOf(address)}`);
  });
  return ["ready", ...listed].join(" ");
}

class Supervisor {
  readonly ended: Promise<number>;
  readonly #start: Readonly<Record<PartName, () => Part>>;
  readonly #report: (line: string) => void;
  readonly #wake = new AbortController();
  #resolveEnded: (code: number) => void = () => {};
  #control: Part | undefined;
  #broker: Part | undefined;
  #isStopping = false;

  constructor(start: Readonly<Record<PartName, () => Part>>, report: (line: string) => void) {
    this.#start = start;
    this.#report = report;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    recordPid("serve", process.pid, report);
  }

  /** The addresses of all listeners, or undefined when `ended` tells what happened instead. */
  async start(): Promise<Addresses | undefined> {
    const control = this.#start.control();
    this.#control = control;
    const controlAddresses = await control.ready;
    if (controlAddresses === undefined) return this.#failedToStart(control);
    if (this.#isStopping) return undefined;
    void this.#keepControl(control);
    const broker = this.#start.broker();
    this.#broker = broker;
    const brokerAddresses = await broker.ready;
    if (brokerAddresses === undefined) return this.#failedToStart(broker);
    if (this.#isStopping) return undefined;
    void broker.ended.then((ending) => {
      if (this.#isStopping) return;
      this.#report(`broker ${describeEnding(ending)}; everything ends`);
      this.stop(1);
    });
    // INVARIANT: the lines of the two have this form; all sides are started from the same version.
    return { ...brokerAddresses, ...controlAddresses } as Addresses;
  }

  reload(): void {
    this.#control?.kill("SIGHUP");
    this.#broker?.kill("SIGHUP");
  }

  /** Ends the broker, then control, so that control records the broker's last events. */
  stop(code: number): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#wake.abort();
    void (async () => {
      const brokerEnded = (await this.#broker?.end(drainMs)) ?? true;
      const controlEnded = (await this.#control?.end(drainMs)) ?? true;
      forgetPid("serve");
      this.#resolveEnded(code === 0 && !(brokerEnded && controlEnded) ? 1 : code);
    })();
  }

  async #failedToStart(part: Part): Promise<undefined> {
    const ending = await part.ended;
    if (this.#isStopping) return undefined;
    this.#report(`${part.name} ${describeEnding(ending)} before it was ready`);
    this.stop(ending.code === 2 ? 2 : 1);
    return undefined;
  }

  /** Starts control again whenever it ends, for as long as the broker is wanted. */
  async #keepControl(first: Part): Promise<void> {
    let control = first;
    let readyAt = Date.now();
    for (let failures = 0; ; failures++) {
      const ending = await control.ended;
      if (this.#isStopping) return;
      if (Date.now() - readyAt >= steadyAfterMs) failures = 0;
      const waitMs = restartDelaysMs[Math.min(failures, restartDelaysMs.length - 1)] ?? 30_000;
      this.#report(
        `control ${describeEnding(ending)}; the broker serves on, control is started again in ${waitMs / 1000} s`,
      );
      await delay(waitMs, undefined, { signal: this.#wake.signal }).catch(() => {});
      if (this.#isStopping) return;
      control = this.#start.control();
      this.#control = control;
      if ((await control.ready) !== undefined) {
        readyAt = Date.now();
        this.#report("control runs again");
      }
    }
  }
}
