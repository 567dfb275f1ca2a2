import { readFileSync } from "node:fs";
import { type Deployment, startDeployment } from "../../../test/support/deployment.ts";
import { readEvents } from "../../../test/support/events.ts";
import { openWebSocket } from "../../../test/support/web-socket.ts";
import { openTls, tlsWire } from "../../../test/support/wire.ts";
import { limits } from "./model.ts";
import { policyTexts } from "./policy.ts";
import type { Listener, Stage, Wire } from "./stage.ts";

const patienceMs = 15_000;
/** What the broker may have more in memory after a run than before the first, however much went through it ... */
const grownAtMost = 192 * 1_048_576;
/** ... and for each connection: a bare TLS server on Node 24 grows by some 6 kB for each (Bun does not). */
const grownPerConnection = 12_288;

/** A real deployment: control and broker as processes, clients over TLS and over WebSocket. */
export class DeploymentStage implements Stage, AsyncDisposable {
  readonly devices: readonly string[];
  readonly services = ["tester", "limited"];
  readonly #deployment: Deployment;
  readonly #startBytes: number;
  #opened = 0;
  #changed: () => void = () => {};

  static async start(): Promise<DeploymentStage> {
    const settings = {
      "limits.subscriptions": limits.subscriptions,
      "limits.messagesPerSecond.device": 1_000_000,
      "limits.bytesPerSecond.device": 1_000_000_000,
    };
    return new DeploymentStage(
      await startDeployment({ policy: policyTexts[0] ?? "", devices: 2, settings }),
    );
  }

  constructor(deployment: Deployment) {
    this.#deployment = deployment;
    this.devices = deployment.devices;
    this.#startBytes = this.#residentBytes();
  }

  async open(subject: string, listener: Listener): Promise<Wire> {
    this.#opened += 1;
    const { mqtts, wss, credential } = this.#deployment;
    const inner =
      listener === "mqtts"
        ? tlsWire(await openTls(mqtts, credential(subject)))
        : await openWebSocket(await openTls(wss, credential(subject)));
    const wire: Wire = {
      send: (bytes) => inner.send(bytes),
      drop: () => inner.socket.end(), // half closed: the broker closes, and we see when it has
      onBytes() {},
      onEnd() {},
    };
    inner.onBytes = (bytes) => {
      wire.onBytes(bytes);
      this.#changed();
    };
    inner.onEnd = () => {
      wire.onEnd();
      this.#changed();
    };
    return wire;
  }

  async until(isDone: () => boolean, what: () => string): Promise<void> {
    const deadline = Date.now() + patienceMs;
    while (!isDone()) {
      const left = deadline - Date.now();
      const { exitCode } = this.#deployment.brokerProcess;
      if (exitCode !== null) throw new Error(`the broker has ended with ${exitCode}`);
      if (left <= 0) throw new Error(`nothing came in time for ${what()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, 500));
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async complaint(): Promise<string | undefined> {
    const events = readEvents(this.#deployment.directory);
    const mistake = events.find(({ type }) => type === "internal-error");
    if (mistake !== undefined) return `the broker recorded ${JSON.stringify(mistake)}`;
    const { exitCode } = this.#deployment.brokerProcess;
    if (exitCode !== null) return `the broker has ended with ${exitCode}`;
    const grown = this.#residentBytes() - this.#startBytes;
    if (grown > grownAtMost + this.#opened * grownPerConnection)
      return `the broker holds ${Math.round(grown / 1_048_576)} MiB more than at its start`;
    return undefined;
  }

  /** 0 where the system does not tell. */
  #residentBytes(): number {
    try {
      const status = readFileSync(`/proc/${this.#deployment.brokerProcess.pid}/status`, "utf8");
      return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1_024;
    } catch {
      return 0;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#deployment.stop();
  }
}
