import {
  connect,
  type IClientOptions,
  type IClientSubscribeOptions,
  type IPublishPacket,
  type ISubscriptionGrant,
  type MqttClient,
} from "mqtt";
import type { Credential, Deployment } from "../support/deployment.ts";

export interface Message {
  readonly topic: string;
  readonly payload: Buffer;
  readonly packet: IPublishPacket;
}

/** A client of MQTT.js that keeps what arrives until a test takes it. */
export class MqttJsClient {
  readonly mqtt: MqttClient;
  readonly #messages: Message[] = [];
  #arrived: () => void = () => {};

  constructor(mqtt: MqttClient) {
    this.mqtt = mqtt;
    mqtt.on("error", () => {});
    mqtt.on("message", (topic, payload, packet) => {
      this.#messages.push({ topic, payload, packet });
      this.#arrived();
    });
  }

  async receive(timeoutMs = 20_000): Promise<Message> {
    const deadline = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) return message;
      await new Promise<void>((resolve, reject) => {
        this.#arrived = resolve;
        deadline.addEventListener("abort", () => reject(new Error("no message came in time")));
      });
    }
  }

  async receiveText(): Promise<string> {
    return (await this.receive()).payload.toString();
  }

  /** The codes that the filter was answered with; an error of the library is one too. */
  async subscribe(filter: string, options: IClientSubscribeOptions = { qos: 1 }) {
    return await new Promise<readonly ISubscriptionGrant[] | Error>((resolve) => {
      this.mqtt.subscribe(filter, options, (error, granted) => resolve(error ?? granted ?? []));
    });
  }
}

/** How MQTT.js connects to a deployment as a subject. */
export function optionsFor(
  deployment: Deployment,
  { key, cert, ca }: Pick<Credential, "ca"> & Partial<Credential>,
  via: "mqtts" | "wss",
  options: IClientOptions = {},
): IClientOptions {
  const tls = { ca, ...(key && cert ? { key, cert } : {}), servername: "localhost" };
  return {
    protocol: via,
    host: "localhost",
    port: deployment[via].port,
    reconnectPeriod: 0,
    connectTimeout: 10_000,
    ...tls,
    ...(via === "wss" ? { path: "/mqtt", wsOptions: tls } : {}),
    ...options,
  };
}

/** Connects, or fails with the error that the library tells its user. */
export async function connectMqttJs(options: IClientOptions): Promise<MqttJsClient> {
  const client = new MqttJsClient(connect(options));
  try {
    await new Promise<void>((resolve, reject) => {
      client.mqtt.once("connect", () => resolve());
      client.mqtt.once("error", reject);
      client.mqtt.once("close", () => reject(new Error("closed before it was accepted")));
    });
    return client;
  } catch (error) {
    await client.mqtt.endAsync(true);
    throw error;
  }
}
