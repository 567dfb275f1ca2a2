import type { TLSSocket } from "node:tls";
import type { ProtocolVersion, PublishPacket } from "@wardmq/mqtt";
import type { Credential, Deployment } from "../support/deployment.ts";
import { type ConnectOptions, type PublishOptions, RawClient } from "../support/raw-client.ts";
import { openWebSocket } from "../support/web-socket.ts";
import { openTls, tlsWire } from "../support/wire.ts";
import { orgs } from "./rights.ts";

export type Listener = "mqtts" | "wss";

/** The subject of some cells: who it is and the connection that cells share while it is open. */
export interface Actor {
  readonly id: string;
  /** The uuid of a device, the name of a service: its client id as well. */
  readonly name: string;
  readonly kind: "device" | "service";
  readonly credential: Credential;
  client?: RawClient | undefined;
}

type Publish = (topic: string, payload: string, options: PublishOptions) => Promise<unknown>;

/** Who connects, and how. */
export interface Opening extends ConnectOptions {
  readonly via?: Listener;
}

/** Where one cell of the matrix is played: the subject that is judged, and others that may do everything. */
export class Scene {
  readonly version: ProtocolVersion;
  /** Unique: what the cell's message carries, by which it is known wherever it arrives. */
  readonly payload: string;
  readonly asked: string;
  readonly sample: string | undefined;
  /** A topic that the actor may publish to, whatever `asked` is. */
  readonly granted: string;
  readonly actor: Actor;
  readonly #deployment: Deployment;
  readonly #publishSample: Publish;
  readonly #change: () => Promise<void>;
  readonly #sockets: TLSSocket[] = [];
  #observers = 0;

  constructor(parts: {
    readonly version: ProtocolVersion;
    readonly payload: string;
    readonly asked: string;
    readonly sample: string | undefined;
    readonly granted: string;
    readonly actor: Actor;
    readonly deployment: Deployment;
    /** Publishes as somebody who may, for all cells in turn. */
    readonly publishSample: Publish;
    readonly change: () => Promise<void>;
  }) {
    this.version = parts.version;
    this.payload = parts.payload;
    this.asked = parts.asked;
    this.sample = parts.sample;
    this.granted = parts.granted;
    this.actor = parts.actor;
    this.#deployment = parts.deployment;
    this.#publishSample = parts.publishSample;
    this.#change = parts.change;
  }

  /** The moment between the first and the second half of a path, in which the world may change. */
  change(): Promise<void> {
    return this.#change();
  }

  /** The actor's connection: the one of the cell before where it is still open. */
  async subject(): Promise<RawClient> {
    const { actor } = this;
    if (actor.client !== undefined && (await isOpen(actor.client))) return actor.client;
    const { client, answer } = await this.connectSubject({});
    if (client === undefined) throw new Error(`the subject was not accepted: ${answer}`);
    actor.client = client;
    return client;
  }

  /** Connects as the actor; tells how a refusal looked. */
  async connectSubject(
    options: Opening,
  ): Promise<{ readonly client?: RawClient; readonly answer: string }> {
    const { name, credential } = this.actor;
    this.actor.client = undefined;
    try {
      const client = await this.#open(credential, options.via);
      const { reasonCode } = await client.connect({ clientId: name, ...options });
      if (reasonCode !== 0) return { answer: hex(reasonCode) };
      return { client, answer: "accepted" };
    } catch (error) {
      if (isTimeout(error)) throw error;
      return { answer: "not let in" };
    }
  }

  /** Connects as a service that may read and write everything of the topic's tenant; its sessions wait where `name` is given. */
  async observer(name?: string, options: ConnectOptions = {}): Promise<RawClient> {
    const client = await this.#open(this.#deployment.credential(observerOf(this.asked)));
    this.#observers += 1;
    const clientId = `${this.payload}-${name ?? this.#observers}`;
    const waits = name === undefined ? {} : waiting;
    const { reasonCode } = await client.connect({ clientId, ...waits, ...options });
    if (reasonCode !== 0) throw new Error(`the observer was refused with ${reasonCode}`);
    return client;
  }

  /** Somebody else publishes to the sample; all receivers have been routed to when this returns. */
  async publishSample(options: PublishOptions = { qos: 1 }): Promise<void> {
    if (this.sample !== undefined) await this.#publishSample(this.sample, this.payload, options);
  }

  end(): void {
    for (const socket of this.#sockets) {
      if (this.actor.client?.wire.socket !== socket) socket.destroy();
    }
  }

  async #open(credential: Credential, via: Listener = "mqtts"): Promise<RawClient> {
    const socket = await openTls(this.#deployment[via], credential);
    this.#sockets.push(socket);
    const wire = via === "wss" ? await openWebSocket(socket) : tlsWire(socket);
    return new RawClient(wire, this.version);
  }
}

/** The service that may do everything with a topic, which is of one tenant; `$SYS` and the like is for both. */
export function observerOf(topic: string): string {
  return `observer-${orgs.find((org) => topic.split("/").includes(org)) ?? orgs[0]}`;
}

/** A session that outlives its connection. */
export const waiting: ConnectOptions = {
  cleanStart: false,
  properties: { sessionExpiryInterval: 600 },
};

async function isOpen(client: RawClient): Promise<boolean> {
  try {
    await client.settle();
    return true;
  } catch {
    return false;
  }
}

/** Publishes and says how it was answered: `accepted`, `no answer` (QoS 0), a Reason Code, or how the connection ended. */
export async function publish(
  client: RawClient,
  topic: string,
  payload: string,
  options: PublishOptions = {},
): Promise<string> {
  try {
    const code = await client.publish(topic, payload, options);
    if (code >= 0x80) return hex(code);
    return (options.qos ?? 0) === 0 ? "no answer" : "accepted";
  } catch (error) {
    return endingAfter(client, error);
  }
}

/** Subscribes and says how it was answered: `granted`, a code, or how the connection ended. */
export async function subscribe(client: RawClient, filter: string, qos: 0 | 1 | 2 = 1) {
  try {
    const code = await client.subscribe(filter, { qos });
    return code >= 0x80 ? hex(code) : "granted";
  } catch (error) {
    return endingAfter(client, error);
  }
}

/** Every message that has come by now, and how the connection ended if it has. */
export async function received(
  client: RawClient,
): Promise<{ readonly messages: readonly PublishPacket[]; readonly ending?: string }> {
  const messages: PublishPacket[] = [];
  const ended = (code: string) => ({ messages, ending: code });
  try {
    client.send("c0 00");
    for (;;) {
      const packet = await client.next();
      if (packet.type === "PINGRESP") return { messages };
      if (packet.type === "PUBLISH") messages.push(packet);
      if (packet.type === "DISCONNECT") return ended(hex(packet.reasonCode));
    }
  } catch (error) {
    return ended(await endingAfter(client, error));
  }
}

/** Whether the message with this payload is among those that have come. */
export async function hasReceived(client: RawClient, payload: string): Promise<boolean> {
  const { messages } = await received(client);
  return messages.some((message) => textOf(message) === payload);
}

export function textOf({ payload }: Pick<PublishPacket, "payload">): string {
  return Buffer.from(payload).toString();
}

/** How the server ended the connection: the Reason Code of its DISCONNECT, or `closed` without one. */
async function endingAfter(client: RawClient, error: unknown): Promise<string> {
  if (isTimeout(error)) throw error;
  try {
    return hex((await client.take("DISCONNECT")).reasonCode);
  } catch (cause) {
    if (isTimeout(cause)) throw cause;
    return "closed";
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message.includes("nothing came in time");
}

export function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, "0")}`;
}
