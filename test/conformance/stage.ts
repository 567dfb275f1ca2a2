import type { TLSSocket } from "node:tls";
import type { ConnackPacket, ProtocolVersion } from "@wardmq/mqtt";
import type { Deployment } from "../support/deployment.ts";
import { type ConnectOptions, RawClient } from "../support/raw-client.ts";
import { type HandshakeOptions, openWebSocket, type WebSocketWire } from "../support/web-socket.ts";
import { openTls, tlsWire } from "../support/wire.ts";

export interface OpenOptions {
  /** The subject whose credential is used: a service's name or a device's uuid. */
  readonly as?: string;
  readonly via?: "mqtts" | "wss";
  readonly version?: ProtocolVersion;
}

export type ConnectedClient = RawClient & { readonly connack: ConnackPacket };

let stages = 0;

/** Where the clients of one test stand: it names their topics apart from every other test's and ends them all. */
export class Stage {
  readonly version: ProtocolVersion;
  readonly deployment: Deployment;
  readonly #prefix: string;
  readonly #sockets: TLSSocket[] = [];
  #names = 0;

  constructor(deployment: Deployment, version: ProtocolVersion) {
    this.deployment = deployment;
    this.version = version;
    stages += 1;
    this.#prefix = `t${stages}`;
  }

  /** A topic, or filter, of this test alone. */
  topic(name: string): string {
    return `${this.#prefix}/${name}`;
  }

  /** A client id of this test alone. */
  clientId(): string {
    this.#names += 1;
    return `${this.#prefix}x${this.#names}`;
  }

  /** A connection on which nothing was sent yet. */
  async open({
    as = "tester",
    via = "mqtts",
    version = this.version,
  }: OpenOptions = {}): Promise<RawClient> {
    const socket = await this.#openTls(via, as);
    const wire = via === "wss" ? await openWebSocket(socket) : tlsWire(socket);
    return new RawClient(wire, version);
  }

  /** A WebSocket whose handshake a test words itself; no MQTT was sent yet. */
  async openWebSocket(options: HandshakeOptions = {}): Promise<WebSocketWire> {
    return await openWebSocket(await this.#openTls("wss", "tester"), options);
  }

  /** A client that was accepted; a client id of its own where none is asked for. */
  async connect(options: OpenOptions & ConnectOptions = {}): Promise<ConnectedClient> {
    const client = await this.open(options);
    const connack = await client.connect({ clientId: this.clientId(), ...options });
    if (connack.reasonCode !== 0)
      throw new Error(`the CONNECT was refused with ${connack.reasonCode}`);
    return Object.assign(client, { connack });
  }

  /** A CONNECT that is refused: its code, and the connection has ended. */
  async connectRefused(options: OpenOptions & ConnectOptions): Promise<ConnackPacket> {
    const client = await this.open(options);
    const connack = await client.connect({ clientId: this.clientId(), ...options });
    await client.expectEnd();
    return connack;
  }

  end(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async #openTls(via: "mqtts" | "wss", as: string): Promise<TLSSocket> {
    const socket = await openTls(this.deployment[via], this.deployment.credential(as));
    this.#sockets.push(socket);
    return socket;
  }
}
