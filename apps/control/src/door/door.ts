import type { X509Certificate } from "node:crypto";
import type { RequestListener } from "node:http";
import type { Socket } from "node:net";
import {
  createSecureContext,
  createServer,
  type SecureContext,
  type Server,
  type TLSSocket,
} from "node:tls";
import { type ControlListenerName, printable, type SecurityEvent } from "@wardmq/events";
import type { ListenerSettings } from "@wardmq/feed";
import {
  Admission,
  type AdmissionLimits,
  type Arrival,
  type Credentials,
  describeCertificate,
  explainHandshake,
  type HandshakeLimit,
  handshakeTimedOut,
  listenerOptions,
  networkOf,
  type Refusal,
  refuseNegotiated,
  secureContextOptions,
  type TlsSettings,
  tcpSocketOf,
  tlsErrorText,
} from "@wardmq/tls";
import { httpServer } from "./http-server.ts";
import { RequestRate } from "./request-rate.ts";
import type { Requesters } from "./requester.ts";

/** What a listener is for, asked anew for every handshake. */
export interface Listener {
  readonly tls: () => TlsSettings;
  /** PEM: where the path of a client's certificate ends. */
  readonly trustAnchors: () => readonly string[];
  /** Whether a client may come without a certificate; what it may do then is the handler's to judge. */
  readonly clientCertificate: () => "required" | "optional";
  /** Why the holder of a certificate with a good path is let in nowhere; it may have been bound, or not. */
  readonly refuse: (certificate: X509Certificate) => Refusal | undefined;
  readonly handler: RequestListener;
}

export interface DoorParts {
  readonly hosts: () => readonly string[];
  readonly limits: () => AdmissionLimits & { readonly connectTimeoutMs: number };
  readonly credentials: () => Omit<Credentials, "trustAnchors">;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  readonly requesters: Requesters;
  readonly monotonic: () => number;
}

const watchMs = 10;
/** Of one certificate, or of one address without. */
const requestsPerSecond = 100;
const alpn = "http/1.1";

/**
 * Control's listeners. A connection passes, in this order: admission (limits, before TLS), the TLS handshake (versions,
 * suites, ALPN), SNI and suite, the client's certificate; then HTTP. Whatever fails is closed and said in an event.
 */
export class Door {
  readonly #parts: DoorParts;
  readonly #listeners: Readonly<Record<ControlListenerName, Listener>>;
  readonly #admission: Admission;
  readonly #servers = new Map<ControlListenerName, Server>();
  readonly #contexts = new Map<ControlListenerName, SecureContext>();
  readonly #rate: RequestRate;
  readonly #arrivals = new WeakMap<Socket, Arrival>();
  readonly #sockets = new Set<Socket>();
  #watch: NodeJS.Timeout | undefined;

  constructor(parts: DoorParts, listeners: Readonly<Record<ControlListenerName, Listener>>) {
    this.#parts = parts;
    this.#listeners = listeners;
    this.#admission = new Admission(parts.limits, parts.monotonic);
    this.#rate = new RequestRate(requestsPerSecond, requestsPerSecond, parts.monotonic);
  }

  /** Opens a listener; resolves to its address and port. */
  async listen(
    name: ControlListenerName,
    at: Pick<ListenerSettings, "address" | "port">,
  ): Promise<string> {
    const http = this.#httpServer(name);
    this.#contexts.set(name, createSecureContext(secureContextOptions(...this.#contextOf(name))));
    const server = createServer({
      ...this.#options(name),
      // As in the broker: Node heeds trust in an issuing CA alone in the context of a host only.
      SNICallback: (_serverName, answer) => answer(null, this.#contexts.get(name)),
    });
    server.on("connection", (socket: Socket) => this.#arrived(socket, name));
    server.on("tlsClientError", (error, socket) => this.#handshakeFailed(error, socket, name));
    server.on("secureConnection", (socket) => {
      if (this.#isLetIn(socket, name)) http.emit("connection", socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: at.address, port: at.port, backlog: 1024 }, resolve);
    });
    server.on("error", ignore); // accept errors (no file descriptors left): the next accept is tried again
    this.#servers.set(name, server);
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no address after listen");
    return address.family === "IPv6"
      ? `[${address.address}]:${address.port}`
      : `${address.address}:${address.port}`;
  }

  /** New certificate or trust anchors count for the handshakes to come. */
  renewContexts(): void {
    for (const [name, server] of this.#servers) {
      this.#contexts.set(name, createSecureContext(secureContextOptions(...this.#contextOf(name))));
      server.setSecureContext(this.#options(name));
    }
  }

  /** Ends everything. */
  close(): void {
    clearInterval(this.#watch);
    for (const server of this.#servers.values()) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #httpServer(name: ControlListenerName) {
    const { record, requesters, limits } = this.#parts;
    const { handler } = this.#listeners[name];
    return httpServer({
      handler: (request, response) => {
        const { address, certificate } = requesters.of(request);
        const taken = this.#rate.take(certificate?.fingerprint256 ?? networkOf(address));
        if (taken === "ok") return handler(request, response);
        if (taken === "first beyond")
          record({ type: "limit-reached", listener: name, address, limit: "requestsPerSecond" });
        const text = "too many requests";
        const headers = { "retry-after": "1", "content-length": text.length, connection: "close" };
        response.writeHead(429, headers).end(text);
      },
      requestTimeoutMs: () => limits().connectTimeoutMs,
      refused: (socket, check, why) => {
        const address = this.#addressOf(socket);
        record({ type: "request-refused", listener: name, address, check, why });
      },
    });
  }

  #contextOf(name: ControlListenerName): [TlsSettings, Credentials] {
    const { tls, trustAnchors } = this.#listeners[name];
    return [tls(), { ...this.#parts.credentials(), trustAnchors: trustAnchors() }];
  }

  #options(name: ControlListenerName) {
    return listenerOptions(...this.#contextOf(name), alpn, this.#parts.limits().connectTimeoutMs);
  }

  #arrived(socket: Socket, listener: ControlListenerName): void {
    const address = socket.remoteAddress ?? "unknown";
    socket.on("error", ignore);
    const limit = this.#admission.arrived(address);
    if (limit !== undefined) {
      socket.destroy();
      this.#parts.record({ type: "connection-shed", address, listener, limit });
      return;
    }
    const close = (limit: HandshakeLimit) => {
      this.#parts.record({ type: "handshake-refused", address, listener, limit });
      socket.destroy();
    };
    const arrival = this.#admission.handshakeBegins(address, close, socket);
    this.#watch ??= setInterval(() => this.#watchHandshakes(), watchMs);
    this.#arrivals.set(socket, arrival);
    this.#sockets.add(socket);
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.#admission.handshakeEnded(arrival);
      this.#admission.left(address);
    });
  }

  #watchHandshakes(): void {
    this.#admission.endLargeHandshakes();
    if (this.#admission.handshakes > 0) return;
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  #handshakeFailed(
    error: Error & { code?: string },
    socket: TLSSocket,
    listener: ControlListenerName,
  ): void {
    // The runtimes only report a handshake that takes too long, and leave its socket open.
    socket.destroy();
    const arrival = this.#arrivals.get(tcpSocketOf(socket));
    if (arrival === undefined || arrival.isShed) return; // said already
    this.#parts.record({
      type: "handshake-refused",
      address: arrival.address,
      listener,
      check: printable(error.code ?? "tls", 80),
      why: explainHandshake(error.code),
      ...(error.code === handshakeTimedOut ? { limit: "connectTimeoutMs" } : {}),
      ...sniOf(socket),
    });
  }

  #isLetIn(socket: TLSSocket, listener: ControlListenerName): boolean {
    socket.on("error", ignore);
    const arrival = this.#arrivals.get(tcpSocketOf(socket));
    if (arrival === undefined || arrival.isShed) {
      socket.destroy();
      return false;
    }
    this.#admission.handshakeEnded(arrival);
    const { address } = arrival;
    const certificate = socket.getPeerX509Certificate();
    const refusal = this.#refusalOf(socket, certificate, this.#listeners[listener]);
    if (refusal === undefined) {
      if (certificate !== undefined) this.#admission.becomesFamiliar(address);
      socket.setNoDelay(true);
      this.#parts.requesters.introduce(socket, { address, listener, certificate });
      return true;
    }
    socket.destroy();
    this.#parts.record({
      type: "handshake-refused",
      address,
      listener,
      ...refusal,
      ...(certificate === undefined ? {} : { certificate: describeCertificate(certificate) }),
      ...sniOf(socket),
    });
    return false;
  }

  #refusalOf(
    socket: TLSSocket,
    certificate: X509Certificate | undefined,
    { tls, clientCertificate, refuse }: Listener,
  ): Refusal | undefined {
    const serverName = typeof socket.servername === "string" ? socket.servername : undefined;
    const negotiated = { serverName, cipherSuite: socket.getCipher().name };
    const refused = refuseNegotiated(negotiated, { hosts: this.#parts.hosts(), tls: tls() });
    if (refused !== undefined) return refused;
    if (certificate === undefined) {
      if (clientCertificate() === "optional") return undefined;
      return { check: "client-certificate", why: "the client presented no certificate" };
    }
    if (socket.authorized !== true) {
      const reason = printable(tlsErrorText(socket.authorizationError) ?? "no reason given", 80);
      const why = `the certificate was not accepted: ${reason}`;
      return { check: "certification-path", why };
    }
    return refuse(certificate);
  }

  #addressOf(socket: Socket): string {
    return this.#arrivals.get(tcpSocketOf(socket))?.address ?? "unknown";
  }
}

function sniOf({ servername }: TLSSocket): { readonly sni?: string } {
  return typeof servername === "string" ? { sni: printable(servername, 80) } : {};
}

/** The `close` that follows an error says all we need. */
function ignore(): void {}
