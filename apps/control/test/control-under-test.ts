import { type ChildProcess, spawn } from "node:child_process";
import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandName, CommandResponse, Commands } from "@wardmq/commands";
import {
  type BrokerMessage,
  decodeFeedMessage,
  encodeBrokerMessage,
  type FeedBody,
  LineSplitter,
  maximumFeedLineBytes,
} from "@wardmq/feed";
import { KeyFile, KeyProviders, keyEnvironment } from "@wardmq/keys";
import { type Policy, parsePolicy } from "@wardmq/policy";
import { certificateRequest, encodePem } from "@wardmq/x509";

import { init } from "../src/commands/init.ts";
import { Registry } from "../src/registry/registry.ts";

export const main = join(import.meta.dirname, "../src/main.ts");
const patienceMs = 60_000;

export const uuid = "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";
export const wards = { site: "main", ward: "icu" } as const;

/** A folder that goes away with the test; no deployment is in it yet. */
export class TestFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "control-"));
  /** Where the deployment is, once it is made. */
  readonly deployment = join(this.path, "deployment");

  in(...names: readonly string[]): string {
    return join(this.deployment, ...names);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A folder with a fresh deployment. */
export async function newDeployment(
  hosts: readonly string[] = ["localhost"],
  org = "Hospital_1",
  at = Date.now(),
): Promise<TestFolder> {
  const folder = new TestFolder();
  const doing = { actor: "test", at };
  await init(folder.deployment, { org, environment: "prod", hosts }, doing);
  return folder;
}

/** What brokers of a fresh deployment are told of a policy that names no tenants: it is for their own. */
export function inForce(policyText: string): Policy {
  return { ...parsePolicy(policyText), tenants: [{ name: "Hospital_1", line: 1, column: 1 }] };
}

/** The registry of a deployment that no control holds. */
export function openRegistry(folder: TestFolder): Registry {
  const providers = new KeyProviders(keyEnvironment({}));
  const keys = KeyFile.open(folder.in("control/keys.json"), "control", providers);
  return Registry.open(folder.in("control/registry.db"), keys);
}

export interface Finished {
  readonly code: number | null;
  readonly out: string;
  readonly said: string;
}

/** Runs control's main with these words and this input until it ends. */
export async function runMain(
  words: readonly string[],
  input = "",
  env = process.env,
): Promise<Finished> {
  const child = spawn(process.execPath, [main, ...words], { stdio: ["pipe", "pipe", "pipe"], env });
  const [out, said] = [collect(child.stdout), collect(child.stderr)];
  child.stdin.on("error", () => {}); // it may end without reading
  child.stdin.end(input);
  const timer = setTimeout(() => child.kill("SIGKILL"), patienceMs);
  const [code] = (await once(child, "close")) as [number | null];
  clearTimeout(timer);
  return { code, out: out(), said: said() };
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    text += chunk;
  });
  return () => text;
}

/** One command on the files; what comes back is not looked at. */
export async function oneShot<Name extends CommandName>(
  directory: string,
  command: Name,
  values: Commands[Name]["arguments"],
): Promise<CommandResponse> {
  const { out } = await runMain(
    ["once", directory],
    `${JSON.stringify({ command, arguments: values })}\n`,
  );
  return JSON.parse(out) as CommandResponse;
}

const anyPorts = ["est", "api"].flatMap((name) => ["--set", `listeners.${name}.port=0`]);

/** A control that serves. */
export class RunningControl implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly directory: string;
  readonly #said: () => string;
  readonly #out: () => string;

  private constructor(
    child: ChildProcess,
    directory: string,
    { said, out }: { readonly said: () => string; readonly out: () => string },
  ) {
    this.process = child;
    this.#out = out;
    this.directory = directory;
    this.#said = said;
  }

  static async start(directory: string, ...words: readonly string[]): Promise<RunningControl> {
    const child = spawn(process.execPath, [main, "serve", directory, ...anyPorts, ...words], {
      cwd: directory,
      stdio: ["pipe", "pipe", "pipe"],
    });
    const said = collect(child.stderr);
    const out = collect(child.stdout);
    const control = new RunningControl(child, directory, { said, out });
    await eventually(
      () => out().startsWith("ready {") || (child.exitCode !== null && `it ended: ${said()}`),
    );
    return control;
  }

  /** The port of a listener, from the line `ready`. */
  port(listener: "est" | "api"): number {
    const addresses = JSON.parse(this.#out().slice("ready ".length)) as Record<string, string>;
    return Number(addresses[listener]?.split(":").at(-1));
  }

  /** What it wrote for a person. */
  get said(): string {
    return this.#said();
  }

  /** The result of a command over the socket; a refusal is thrown. */
  async result<Name extends CommandName>(
    command: Name,
    values: Commands[Name]["arguments"],
  ): Promise<Commands[Name]["result"]> {
    const response = await this.ask(command, values);
    if (!response.ok) throw new Error(JSON.stringify(response.error));
    return response.result as Commands[Name]["result"];
  }

  async ask<Name extends CommandName>(
    command: Name,
    values: Commands[Name]["arguments"],
  ): Promise<CommandResponse> {
    const [answer] = await this.say(`${JSON.stringify({ command, arguments: values })}\n`);
    return JSON.parse(answer ?? "null") as CommandResponse;
  }

  /** Sends bytes, ends its half, and gives the lines that come back until control ends the other. */
  async say(text: string | Buffer): Promise<readonly string[]> {
    const socket = connect(join(this.directory, "run/control.sock"));
    const heard = collect(socket);
    socket.end(text);
    await once(socket, "close");
    return heard().split("\n").slice(0, -1);
  }

  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill(signal);
      await once(this.process, "exit");
    }
    return this.process.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}

/** What a broker would be: verifies the feed and keeps what it heard. */
export class FakeBroker implements Disposable {
  readonly heard: FeedBody[] = [];
  readonly socket: Socket;
  refusal: unknown;

  constructor(
    directory: string,
    onBody: (body: FeedBody, broker: FakeBroker) => void = () => {},
    publicKey: KeyObject = createPublicKey(readFileSync(join(directory, "broker/feed.pub"))),
  ) {
    const lines = new LineSplitter(maximumFeedLineBytes);
    this.socket = connect(join(directory, "run/feed.sock"));
    this.socket.on("error", () => {});
    this.socket.on("data", (chunk: Buffer) => {
      try {
        for (const line of lines.push(chunk)) {
          const body = decodeFeedMessage(line, (bytes, signature) =>
            verify(null, bytes, publicKey, signature),
          );
          this.heard.push(body);
          onBody(body, this);
        }
      } catch (error) {
        this.refusal = error;
      }
    });
  }

  say(message: BrokerMessage): void {
    this.socket.write(encodeBrokerMessage(message));
  }

  /** The messages that say more than that control is alive. */
  get news(): readonly Exclude<FeedBody, { type: "alive" }>[] {
    return this.heard.filter((body) => body.type !== "alive");
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** Polls until the condition holds; a string says at once why it never will. */
export async function eventually(condition: () => boolean | string): Promise<void> {
  const until = Date.now() + patienceMs;
  for (;;) {
    const is = condition();
    if (is === true) return;
    if (typeof is === "string") throw new Error(is);
    if (Date.now() > until) throw new Error(`it did not come true: ${condition}`);
    await new Promise((next) => setTimeout(next, 5));
  }
}

export type KeyKind = "P-256" | "P-384" | "Ed25519";

export function newKey(kind: KeyKind = "P-256"): {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
} {
  return kind === "Ed25519"
    ? generateKeyPairSync("ed25519")
    : generateKeyPairSync("ec", { namedCurve: kind });
}

/** A certificate request in PEM; `signedBy` makes one that proves nothing. */
export async function requestFor(key: ReturnType<typeof newKey>, signedBy = key): Promise<string> {
  const spki = new Uint8Array(key.publicKey.export({ type: "spki", format: "der" }));
  const hash =
    key.publicKey.asymmetricKeyType === "ed25519" ? null : spki.length > 100 ? "sha384" : "sha256";
  const der = await certificateRequest(
    spki,
    (tbs) => new Uint8Array(sign(hash, tbs, signedBy.privateKey)),
  );
  return encodePem("CERTIFICATE REQUEST", der);
}

export function refusal(
  response: CommandResponse,
): Extract<CommandResponse, { ok: false }>["error"] {
  if (response.ok) throw new Error(`not refused: ${JSON.stringify(response.result)}`);
  return response.error;
}

export const isGone = (path: string) => !existsSync(path);
