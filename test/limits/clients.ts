import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { ConnackPacket, ProtocolVersion } from "@wardmq/mqtt";
import type { Address, Deployment } from "../support/deployment.ts";
import { type ConnectOptions, RawClient } from "../support/raw-client.ts";
import { openWebSocket } from "../support/web-socket.ts";
import { openTls, tlsWire } from "../support/wire.ts";
import { EventWatch } from "./event-watch.ts";
import { goneOf } from "./waiting.ts";

export type Listener = "mqtts" | "wss";

export interface OpenOptions {
  /** The subject whose credential is used: a service's name or a device's uuid. */
  readonly as?: string;
  /** The address of this machine to come from; by itself one of this test alone, so that its events are told apart. */
  readonly from?: string;
  readonly via?: Listener;
  readonly version?: ProtocolVersion;
}

export type ConnectedClient = RawClient & {
  readonly clientId: string;
  readonly connack: ConnackPacket;
};

export type UserProperty = [name: string, value: string];

let tests = 0;

/** The clients of one test: it names their topics and client ids apart from other tests' and ends them all. */
export class Clients {
  readonly deployment: Deployment;
  readonly version: ProtocolVersion;
  readonly via: Listener;
  /** What the broker has recorded since this test began. */
  readonly events: EventWatch;
  readonly #number: number;
  readonly #prefix: string;
  readonly #sockets: Socket[] = [];
  #names = 0;

  constructor(deployment: Deployment, version: ProtocolVersion, via: Listener) {
    this.deployment = deployment;
    this.version = version;
    this.via = via;
    this.events = new EventWatch(deployment.directory);
    tests += 1;
    this.#number = tests;
    this.#prefix = `l${tests}`;
  }

  /** A topic, or filter, of this test alone. */
  topic(name: string): string {
    return `${this.#prefix}/${name}`;
  }

  /** An address of this machine that no other test comes from. */
  from(host: number): string {
    return `127.${1 + (this.#number >> 8)}.${this.#number & 255}.${host}`;
  }

  clientId(): string {
    this.#names += 1;
    return `${this.#prefix}x${this.#names}`;
  }

  address({ from = this.from(100), via = this.via }: OpenOptions = {}): Address {
    const at = { ...this.deployment[via], localAddress: from };
    return at;
  }

  /** A TCP connection on which nothing was sent yet. */
  async dial(options: OpenOptions = {}): Promise<Socket> {
    const socket = this.keep(connectTcp(this.address(options)));
    await once(socket, "connect");
    return socket.resume();
  }

  /** The TLS handshake, on a connection that waited for it. */
  async secure(socket: Socket, subject = "tester"): Promise<TLSSocket> {
    const { key, cert, ca } = this.deployment.credential(subject);
    const secured = connectTls({ socket, servername: "localhost", key, cert, ca });
    await once(this.keep(secured), "secureConnect");
    return secured;
  }

  /** A TLS connection on which nothing was sent yet. */
  async openTls(options: OpenOptions = {}): Promise<TLSSocket> {
    const credential = this.deployment.credential(options.as ?? "tester");
    return this.keep(await openTls(this.address(options), credential));
  }

  /** A connection on which no MQTT was sent yet. */
  async open(options: OpenOptions = {}): Promise<RawClient> {
    const socket = await this.openTls(options);
    const wire =
      (options.via ?? this.via) === "wss" ? await openWebSocket(socket) : tlsWire(socket);
    return new RawClient(wire, options.version ?? this.version);
  }

  /** A client that was accepted; with a client id of its own where none is asked for. */
  async connect(options: OpenOptions & ConnectOptions = {}): Promise<ConnectedClient> {
    const client = await this.open(options);
    const { clientId = this.#idFor(options.as) } = options;
    const connack = await client.connect({ ...options, clientId });
    if (connack.reasonCode !== 0) {
      throw new Error(`the CONNECT was refused with ${connack.reasonCode}`);
    }
    return Object.assign(client, { clientId, connack });
  }

  /** A CONNECT that is refused: its code, and the connection has ended. */
  async connectRefused(options: OpenOptions & ConnectOptions = {}): Promise<number> {
    const client = await this.open(options);
    const connack = await client.connect({ clientId: this.#idFor(options.as), ...options });
    await client.expectEnd();
    return connack.reasonCode;
  }

  keep<S extends Socket>(socket: S): S {
    socket.on("error", () => {});
    this.#sockets.push(socket);
    return socket;
  }

  /** Resolves when all of them are gone, so that the next test finds none of their connections counted. */
  async end(): Promise<void> {
    const gone = this.#sockets.map(goneOf);
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(gone);
  }

  #idFor(subject: string | undefined): string {
    const isDevice = subject !== undefined && this.deployment.devices.includes(subject);
    return isDevice ? subject : this.clientId();
  }
}
