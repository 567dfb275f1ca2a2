import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandName, CommandResponse, Commands, SubjectSummary } from "@wardmq/commands";
import type { ControlListenerName, ListenerName } from "@wardmq/events";
import { newCertificateRequest } from "./certificate-request.ts";
import { firstLine, lines } from "./lines.ts";

const repository = join(import.meta.dirname, "../..");
const control = join(repository, "apps/control/src/main.ts");
const broker = join(repository, "apps/broker/src/main.ts");

/** The service `tester` may do everything, so that a test of the protocol is no test of the policy; `limited` may not. */
export const testPolicy = `
topics: { schema: off }
roles:
  tester:
    publish: [{ filter: "#", retain: allowed }]
    subscribe: ["#", "$SYS/#"]
  limited:
    publish: ["allowed/#"]
    subscribe: ["allowed/#"]
  bedside-device:
    publish: ["{org}/{site}/{ward}/device/{id}/telemetry", "{org}/{site}/{ward}/device/{id}/alarm"]
    subscribe: ["{org}/{site}/{ward}/device/{id}/command"]
bindings:
  - { role: tester, to: "service:tester" }
  - { role: limited, to: "service:limited" }
  - { role: bedside-device, to: "device:*" }
`;

/** What a client needs to connect as a subject. */
export interface Credential {
  readonly subject: string;
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

export interface DeploymentOptions {
  /** The text of policy.yaml; null leaves the one that `init` wrote. */
  readonly policy?: string | null;
  /** Files beside wardmq.yaml, such as issuers.yaml. */
  readonly files?: Readonly<Record<string, string>>;
  /** Names; `org` where one is of another tenant than the deployment's own. */
  readonly services?: readonly (string | Commands["service.add"]["arguments"])[];
  /** What it is for; `test` where nothing is said. */
  readonly environment?: string;
  /** How many devices there are; they all stand in site north, ward icu. */
  readonly devices?: number;
  /** Fills the folder instead of `init`; nobody is added, and the policy is the one that comes with it. */
  readonly restored?: (directory: string) => Promise<unknown>;
  /** `--set KEY=VALUE` of both processes' settings. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** The runtime that control and broker run on, instead of the one of the test. */
  readonly program?: string;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A deployment made and run as a user would, with control and broker as processes of the runtime the test runs on. */
export interface Deployment extends AsyncDisposable {
  readonly directory: string;
  readonly mqtts: Address;
  readonly wss: Address;
  /** Where another listener, which the settings have to open, is. */
  readonly listener: (name: ListenerName) => Address;
  /** Where a listener of control is. */
  readonly controlListener: (name: ControlListenerName) => Address;
  /** The credential of the service of this name, or of the device with this uuid. */
  readonly credential: (subject: string) => Credential;
  readonly devices: readonly string[];
  readonly command: <Name extends CommandName>(
    command: Name,
    values: Commands[Name]["arguments"],
  ) => Promise<Commands[Name]["result"]>;
  readonly brokerProcess: ChildProcess;
  readonly controlProcess: ChildProcess;
  /** Kills control as a power cut would, and starts it over what the former one has left. */
  readonly killControl: () => Promise<void>;
  readonly startControl: () => Promise<void>;
  /** Kills the broker as a power cut would; everybody's connection is lost. */
  readonly killBroker: () => Promise<void>;
  /** Starts the broker again, over what the former one has left. Addresses are new ones. */
  readonly startBroker: () => Promise<void>;
  /** Ends both processes and removes the directory. */
  readonly stop: () => Promise<void>;
}

/** Limits a test suite on one address would reach that have nothing to do with the protocol. */
const roomForTests = {
  "listeners.mqtts.port": 0,
  "listeners.wss.port": 0,
  "listeners.tokenMqtts.port": 0,
  "listeners.tokenWss.port": 0,
  "listeners.est.port": 0,
  "listeners.api.port": 0,
  "limits.acceptsPerSecond": 10_000,
  "limits.connectionsPerSubject.service": 1_000,
  "limits.subscriptions": 1_000,
};

/** Makes a deployment in a temporary directory and starts it; `await using` ends it. */
export async function startDeployment(options: DeploymentOptions = {}): Promise<Deployment> {
  const directory = await mkdtemp(join(tmpdir(), "wardmq-test-"));
  const processes: ChildProcess[] = [];
  const stop = async () => {
    for (const child of processes.reverse()) await end(child);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const { restored, policy = testPolicy, program, environment = "test" } = options;
    if (restored === undefined) {
      const hosts = ["localhost"];
      await commandOnce(directory, "init", { org: "hospital", environment, hosts });
      if (policy !== null) await writeFile(join(directory, "policy.yaml"), policy);
      for (const [name, text] of Object.entries(options.files ?? {})) {
        await writeFile(join(directory, name), text);
      }
    } else await restored(directory);
    const settings = Object.entries({ ...roomForTests, ...options.settings });
    const set = settings.flatMap(([key, value]) => ["--set", `${key}=${value}`]);
    let controlProcess: ChildProcess;
    let controlAddresses: Record<string, string>;
    const startControl = async () => {
      controlProcess = run(control, ["serve", directory, ...set], directory, program);
      processes.push(controlProcess);
      controlAddresses = await ready(controlProcess);
    };
    await startControl();
    const command = commandOver(directory);

    const credentials = new Map<string, Credential>();
    const add = async ({ id }: SubjectSummary) => {
      const name = id.slice(id.indexOf(":") + 1);
      credentials.set(name, await newCredential(command, id));
      return name;
    };
    const nobody = restored !== undefined;
    for (const service of options.services ?? (nobody ? [] : ["tester", "limited"])) {
      const wanted = typeof service === "string" ? { name: service } : service;
      await add(await command("service.add", wanted));
    }
    const devices: string[] = [];
    for (let i = 0; i < (options.devices ?? (nobody ? 0 : 1)); i++) {
      devices.push(await add(await command("device.add", { site: "north", ward: "icu" })));
    }

    let brokerProcess: ChildProcess;
    let addresses: Record<string, string>;
    const startBroker = async () => {
      brokerProcess = run(broker, [directory], directory, program);
      processes.push(brokerProcess);
      addresses = await ready(brokerProcess);
    };
    await startBroker();
    return {
      directory,
      get mqtts() {
        return parseAddress(addresses["mqtts"]);
      },
      get wss() {
        return parseAddress(addresses["wss"]);
      },
      listener: (name) => parseAddress(addresses[name]),
      controlListener: (name) => parseAddress(controlAddresses[name]),
      devices,
      credential: (subject) => {
        const found = credentials.get(subject);
        if (found === undefined) throw new Error(`no credential was made for ${subject}`);
        return found;
      },
      command,
      get brokerProcess() {
        return brokerProcess;
      },
      get controlProcess() {
        return controlProcess;
      },
      killControl: () => kill(controlProcess),
      startControl,
      killBroker: () => kill(brokerProcess),
      startBroker,
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

type Command = Deployment["command"];

/** A new key with a certificate for it. */
export async function newCredential(command: Command, subject: string): Promise<Credential> {
  const { key, request } = await newCertificateRequest();
  const issued = await command("credential", { subject, certificateRequest: request });
  return { subject, key, cert: issued.certificateChain, ca: issued.trustAnchors };
}

function run(
  main: string,
  values: readonly string[],
  cwd: string,
  program = process.execPath,
): ChildProcess {
  // The environment is not passed on: what the test runner puts there is none of the product's business, but for time.
  const { PATH, HOME, TMPDIR, NODE_COMPILE_CACHE } = process.env;
  const env = {
    PATH,
    ...(HOME ? { HOME } : {}),
    ...(TMPDIR ? { TMPDIR } : {}),
    ...(NODE_COMPILE_CACHE ? { NODE_COMPILE_CACHE } : {}),
  };
  const child = spawn(program, [main, ...values], {
    cwd,
    env,
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin?.on("error", () => {}); // it may end before it has read all; its answer says why
  return child;
}

async function ready(child: ChildProcess): Promise<Record<string, string>> {
  const line = await firstLine(child);
  if (!line.startsWith("ready ")) throw new Error(`not ready: ${line}`);
  // Nobody reads on; an unread pipe must not stop the process.
  child.stdout?.resume();
  child.stderr?.resume();
  return JSON.parse(line.slice("ready ".length)) as Record<string, string>;
}

/** Sends one command to a control that runs for this command only. */
export async function commandOnce<Name extends CommandName>(
  directory: string,
  command: Name,
  values: Commands[Name]["arguments"],
): Promise<Commands[Name]["result"]> {
  const child = run(control, ["once", directory], repository);
  child.stdin?.end(`${JSON.stringify({ command, arguments: values })}\n`);
  return resultOf(command, await firstLine(child));
}

/** Commands to the control that serves this folder, over its socket. */
export function commandOver(directory: string): Command {
  return async (command, values) => {
    const socket = connect(join(directory, "run/control.sock"));
    socket.on("error", () => {});
    socket.write(`${JSON.stringify({ command, arguments: values })}\n`);
    try {
      for await (const line of lines(socket)) return resultOf(command, line);
      throw new Error(`control closed the connection without an answer to ${command}`);
    } finally {
      socket.destroy();
    }
  };
}

function resultOf<Name extends CommandName>(command: Name, line: string): Commands[Name]["result"] {
  const response = JSON.parse(line) as CommandResponse;
  if (!response.ok) throw new Error(`${command}: ${response.error.code} ${response.error.message}`);
  return response.result as Commands[Name]["result"];
}

function parseAddress(text: string | undefined): Address {
  const at = text?.lastIndexOf(":") ?? -1;
  if (text === undefined || at < 0) throw new Error(`not an address: ${text}`);
  return { host: text.slice(0, at).replace(/[[\]]/g, ""), port: Number(text.slice(at + 1)) };
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/** Ends a process as an operator would, and by force when it does not end in time. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const force = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await exited;
  clearTimeout(force);
}
