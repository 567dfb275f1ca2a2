import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Credential, Deployment } from "../support/deployment.ts";

/** What a program said and how it ended. */
export interface Ending {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Why tests with mosquitto's clients have to be skipped, if they have to. */
export const missingMosquitto: string | false =
  spawnSync("mosquitto_sub", ["--help"]).error !== undefined &&
  "mosquitto_pub and mosquitto_sub are not installed (apt-get install mosquitto-clients)";

/** mosquitto_pub and mosquitto_sub as one subject and in one edition, as a person would call them. */
export class Mosquitto {
  readonly #deployment: Deployment;
  readonly #version: 4 | 5;
  readonly #files: readonly string[];
  readonly #running = new Set<ChildProcess>();

  private constructor(deployment: Deployment, version: 4 | 5, files: readonly string[]) {
    this.#deployment = deployment;
    this.#version = version;
    this.#files = files;
  }

  static async as(deployment: Deployment, credential: Credential, version: 4 | 5) {
    // A folder for each edition: tests of one may run while the other is being prepared.
    const name = `${credential.subject.replace(":", "-")}-${version}`;
    const folder = join(deployment.directory, "clients", name);
    await mkdir(folder, { recursive: true });
    const options = { ca: "--cafile", cert: "--cert", key: "--key" } as const;
    const files: string[] = [];
    for (const part of ["ca", "cert", "key"] as const) {
      const path = join(folder, `${part}.pem`);
      await writeFile(path, credential[part], { mode: 0o600 });
      files.push(options[part], path);
    }
    return new Mosquitto(deployment, version, files);
  }

  publish(words: readonly string[], input?: string): Promise<Ending> {
    return this.#run("mosquitto_pub", words, input);
  }

  subscribe(words: readonly string[]): Promise<Ending> {
    return this.#run("mosquitto_sub", ["-W", "20", ...words]);
  }

  /** Subscribes for a session that waits, and goes. */
  async leaveSession(clientId: string, words: readonly string[]): Promise<void> {
    const { code, stderr } = await this.subscribe([...this.session(clientId), ...words, "-E"]);
    if (code !== 0) throw new Error(`mosquitto_sub -E ended with ${code}: ${stderr}`);
  }

  /** The options of a session that outlives its connection. */
  session(clientId: string): string[] {
    return ["-i", clientId, "-c", ...(this.#version === 5 ? ["-x", "600"] : [])];
  }

  /** Starts a program that goes on until it is killed. */
  start(program: string, words: readonly string[]): ChildProcess {
    const { host: _, port } = this.#deployment.mqtts;
    const version = this.#version === 5 ? "mqttv5" : "mqttv311";
    const where = words.includes("-h") ? [] : ["-h", "localhost"];
    const options = [...where, "-p", String(port), ...this.#files, "-V", version];
    const child = spawn(program, [...options, ...words], { stdio: "pipe" });
    child.stdin.on("error", () => {});
    this.#running.add(child);
    child.once("close", () => this.#running.delete(child));
    return child;
  }

  end(): void {
    for (const child of this.#running) child.kill("SIGKILL");
  }

  async #run(program: string, words: readonly string[], input = ""): Promise<Ending> {
    const child = this.start(program, words);
    const output = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream]?.setEncoding("utf8").on("data", (text: string) => {
        output[stream] += text;
      });
    }
    child.stdin?.end(input);
    const [code] = (await once(child, "close")) as [number | null];
    return { code, ...output };
  }
}
