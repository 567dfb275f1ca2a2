import { createServer as createTcpServer, type Socket, type Server as TcpServer } from "node:net";
import {
  createSecureContext,
  createServer,
  type SecureContext,
  type Server,
  type TLSSocket,
} from "node:tls";
import type { ListenerName, SecurityEvent } from "@wardmq/events";
import type { BrokerSettings, ListenerSettings } from "@wardmq/feed";
import {
  Arrivals,
  type Credentials,
  describeCertificate,
  listenerOptions,
  secureContextOptions,
  sniOf,
  tlsErrorText,
} from "@wardmq/tls";
import { type Ban, explainBan } from "@wardmq/tokens/verify";
import type { Peer } from "../connection/context.ts";
import type { Subjects } from "../enforcement/subjects.ts";
import { named } from "../enforcement/subjects.ts";
import type { ForeignCas } from "./foreign-cas.ts";
import { identify } from "./identity.ts";
import { TlsTransport } from "./tls-transport.ts";
import type { Transport, TransportHandler } from "./transport.ts";
import { acceptWebSocket } from "./web-socket.ts";

export interface DoorParts {
  readonly settings: () => BrokerSettings;
  readonly subjects: Subjects;
  readonly foreign: ForeignCas;
  /** Somebody was let in with a certificate of a foreign CA that no record knows yet. */
  readonly onForeign: (certificate: Uint8Array) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly monotonic: () => number;
  /** Whether the revocation data is too old to let anybody in. */
  readonly isStale: () => boolean;
  /** What keeps tokens from there from being judged now; undefined while they are. */
  readonly banOf: (address: string) => Ban | undefined;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  /** Takes over a connection whose peer is known. */
  readonly onConnection: (transport: Transport, peer: Peer) => TransportHandler;
}

const webSocketPath = "/mqtt";
const maximumHeaderBytes = 8_192;
/** Nothing of a message is kept, so it may hold many packets. */
const maximumMessageBytes = 2 ** 31;

/**
 * The one door: every byte from outside comes through these listeners. A connection passes, in this order: admission
 * (bans and limits, before TLS), the TLS handshake (versions, suites, ALPN, SNI), the identity of its certificate; then it is
 * handed on with a known peer. Whatever fails is closed and said in an event.
 */
export class Door {
  readonly #parts: DoorParts;
  readonly #arrivals: Arrivals;
  readonly #listeners: TcpServer[] = [];
  readonly #servers = new Map<ListenerName, Server>();
  #context: SecureContext;
  #credentials: Credentials;

  constructor(parts: DoorParts, credentials: Credentials) {
    this.#parts = parts;
    const { monotonic, record } = parts;
    const limits = () => parts.settings().limits;
    this.#arrivals = new Arrivals({ limits, monotonic, record, timers: globalThis });
    this.#context = createSecureContext(secureContextOptions(parts.settings().tls, credentials));
    this.#credentials = credentials;
  }

  /** What the handshakes to come are answered with. */
  get credentials(): Credentials {
    return this.#credentials;
  }

  /** New key, certificate or trust anchors for the handshakes to come. Throws, and changes nothing, if they are bad. */
  useCredentials(credentials: Credentials): void {
    const { tls } = this.#parts.settings();
    const context = createSecureContext(secureContextOptions(tls, credentials));
    for (const [name, server] of this.#servers) {
      const { limits } = this.#parts.settings();
      server.setSecureContext(
        listenerOptions(tls, credentials, alpnOf[name], limits.connectTimeoutMs),
      );
    }
    this.#context = context;
    this.#credentials = credentials;
  }

  /** Opens a listener; resolves to its address and port. */
  async listen(name: ListenerName, at: ListenerSettings): Promise<string> {
    const { tls, limits } = this.#parts.settings();
    const server = createServer({
      ...listenerOptions(tls, this.#credentials, alpnOf[name], limits.connectTimeoutMs),
      // Node heeds trust in an issuing CA alone in the context of a host only. Every name gets one: which were asked
      // for in vain is said after the handshake, with everything known.
      SNICallback: (_serverName, answer) => answer(null, this.#context),
    });
    server.on("secureConnection", (socket) => this.#secured(socket, name));
    server.on("tlsClientError", (error, socket) =>
      this.#arrivals.handshakeFailed(error, socket, name),
    );
    // TLS is put on a TCP socket of ours and does not listen itself: only so Bun counts the bytes of a handshake.
    const listener = createTcpServer((socket) => {
      if (this.#isBanned(socket, name) || !this.#arrivals.admit(socket, name)) return;
      server.emit("connection", socket);
    });
    await new Promise<void>((resolve, reject) => {
      listener.once("error", reject);
      listener.listen({ host: at.address, port: at.port, backlog: 1024 }, resolve);
    });
    listener.on("error", () => {}); // accept errors (no file descriptors left): the next accept is tried again
    this.#listeners.push(listener);
    this.#servers.set(name, server);
    const address = listener.address();
    if (address === null || typeof address === "string") throw new Error("no address after listen");
    return address.family === "IPv6"
      ? `[${address.address}]:${address.port}`
      : `${address.address}:${address.port}`;
  }

  /** TCP connections that have not gone yet. */
  get openSockets(): number {
    return this.#arrivals.open;
  }

  /** Accepts nobody any more; open connections stay. */
  close(): void {
    for (const listener of this.#listeners) listener.close();
  }

  /** Where nothing but a token lets anybody in, who is banned is not worth a handshake, which costs most of a CONNECT. */
  #isBanned(socket: Socket, listener: ListenerName): boolean {
    const { banOf, record, settings } = this.#parts;
    if (settings().listeners[listener].accept !== "token") return false;
    const address = socket.remoteAddress ?? "unknown";
    const ban = banOf(address);
    if (ban === undefined) return false;
    socket.on("error", ignore);
    socket.destroy();
    record({
      type: "connection-shed",
      address,
      listener,
      check: "token-banned",
      why: explainBan(ban),
    });
    return true;
  }

  #secured(socket: TLSSocket, listener: ListenerName): void {
    if (socket.listenerCount("error") === 0) socket.on("error", ignore);
    const arrival = this.#arrivals.handshakeDone(socket);
    if (arrival === undefined) return;
    const { address } = arrival;
    const proof = this.#parts.settings().listeners[listener].accept;
    const der = () => socket.getPeerX509Certificate()?.raw ?? new Uint8Array();
    const found = this.#parts.isStale()
      ? {
          check: "revocation-data",
          why: "the revocation data is too old: control has been away for too long",
        }
      : identify(
          {
            certificate: socket.getPeerCertificate(false),
            der,
            cipherSuite: socket.getCipher().name,
            isAuthorized: socket.authorized === true,
            authorizationError: tlsErrorText(socket.authorizationError),
            serverName: typeof socket.servername === "string" ? socket.servername : undefined,
          },
          this.#parts.settings(),
          this.#parts.subjects,
          proof,
          this.#parts.foreign,
        );
    if ("check" in found) {
      const certificate = socket.getPeerX509Certificate();
      socket.destroySoon(); // says goodbye in TLS first, or a client could take it for an attack on the connection
      this.#parts.record({
        type: "handshake-refused",
        address,
        listener,
        check: found.check,
        why: found.why,
        ...(certificate === undefined ? {} : { certificate: describeCertificate(certificate) }),
        ...sniOf(socket),
      });
      return;
    }
    const { subject, bound } = found;
    const foreign = "foreign" in found ? found.foreign : undefined;
    if (foreign !== undefined && subject.certificate(bound?.fingerprint ?? "") === undefined) {
      this.#parts.onForeign(der());
    }
    if (bound !== undefined) this.#arrivals.becomesFamiliar(address);
    socket.setNoDelay(true);
    this.#handOn(socket, arrival.at, {
      subject,
      holder: bound && subject,
      fingerprint: bound?.fingerprint,
      notAfter: bound?.notAfter ?? Number.POSITIVE_INFINITY,
      foreign,
      address,
      listener,
      proof,
    });
  }

  #handOn(socket: TLSSocket, arrivedAt: number, who: Peer): void {
    const { onConnection, record, settings, monotonic } = this.#parts;
    const waitedMs = monotonic() - arrivedAt;
    const peer: Peer = { ...who, waitedMs };
    const transport = new TlsTransport(socket);
    if (alpnOf[peer.listener] === "mqtt") {
      transport.attach(onConnection(transport, peer));
      return;
    }
    const upgrade = setTimeout(() => {
      socket.destroy();
      refused("connect-timeout", "no WebSocket handshake arrived in time", "connectTimeoutMs");
    }, settings().limits.connectTimeoutMs - waitedMs);
    const refused = (check: string, why: string, limit?: string) => {
      clearTimeout(upgrade);
      record({
        type: check === "web-socket-frame" ? "protocol-error" : "connect-refused",
        ...named(peer.subject),
        address: peer.address,
        listener: peer.listener,
        check,
        why,
        ...(limit === undefined ? {} : { limit }),
      });
    };
    socket.once("close", () => clearTimeout(upgrade));
    transport.attach(
      acceptWebSocket(transport, {
        path: webSocketPath,
        origins: settings().webSocketOrigins,
        maximumHeaderBytes,
        maximumMessageBytes,
        onOpen: (inFrames) => {
          clearTimeout(upgrade);
          return onConnection(inFrames, { ...who, waitedMs: monotonic() - arrivedAt });
        },
        onRefused: refused,
      }),
    );
  }
}

const alpnOf: Readonly<Record<ListenerName, "mqtt" | "http/1.1">> = {
  mqtts: "mqtt",
  wss: "http/1.1",
  tokenMqtts: "mqtt",
  tokenWss: "http/1.1",
};

/** The `close` that follows an error says all we need. */
function ignore(): void {}
