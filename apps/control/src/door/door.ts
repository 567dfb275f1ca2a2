import type { X509Certificate } from "node:crypto";
import type { RequestListener } from "node:http";
import { createServer as createTcpServer, type Socket, type Server as TcpServer } from "node:net";
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
  type AdmissionLimits,
  Arrivals,
  type Credentials,
  describeCertificate,
  listenerOptions,
  networkOf,
  type Refusal,
  refuseNegotiated,
  secureContextOptions,
  sniOf,
  type TlsSettings,
  tlsErrorText,
} from "@wardmq/tls";
import { Failure, systemCode } from "../failure.ts";
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
  readonly #arrivals: Arrivals;
  readonly #listening: TcpServer[] = [];
  readonly #servers = new Map<ControlListenerName, Server>();
  readonly #contexts = new Map<ControlListenerName, SecureContext>();
  readonly #rate: RequestRate;
  readonly #sockets = new Set<Socket>();

  constructor(parts: DoorParts, listeners: Readonly<Record<ControlListenerName, Listener>>) {
    this.#parts = parts;
    this.#listeners = listeners;
    const { limits, monotonic, record } = parts;
    this.#arrivals = new Arrivals({ limits, monotonic, record, timers: globalThis });
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
    server.on("tlsClientError", (error, socket) =>
      this.#arrivals.handshakeFailed(error, socket, name),
    );
    server.on("secureConnection", (socket) => {
      if (this.#isLetIn(socket, name)) http.emit("connection", socket);
    });
    // As in the broker: only where TLS is put on a TCP socket of ours Bun counts the bytes of a handshake.
    const listener = createTcpServer((socket) => {
      if (!this.#arrivals.admit(socket, name)) return;
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      server.emit("connection", socket);
    });
    await new Promise<void>((resolve, reject) => {
      listener.once("error", (error) => reject(cannotListen(name, at, error)));
      listener.listen({ host: at.address, port: at.port, backlog: 1024 }, resolve);
    });
    listener.on("error", ignore); // accept errors (no file descriptors left): the next accept is tried again
    this.#listening.push(listener);
    this.#servers.set(name, server);
    const address = listener.address();
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
    for (const listener of this.#listening) listener.close();
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

  #isLetIn(socket: TLSSocket, listener: ControlListenerName): boolean {
    socket.on("error", ignore);
    const arrival = this.#arrivals.handshakeDone(socket);
    if (arrival === undefined) return false;
    const { address } = arrival;
    const certificate = socket.getPeerX509Certificate();
    const refusal = this.#refusalOf(socket, certificate, this.#listeners[listener]);
    if (refusal === undefined) {
      if (certificate !== undefined) this.#arrivals.becomesFamiliar(address);
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
    return this.#arrivals.of(socket)?.address ?? "unknown";
  }
}

/** The `close` that follows an error says all we need. */
function ignore(): void {}

function cannotListen(
  name: ControlListenerName,
  { address, port }: Pick<ListenerSettings, "address" | "port">,
  error: Error,
): Failure {
  const why = systemCode(error) === "EADDRINUSE" ? "another program does" : error.message;
  return new Failure("ERR_LISTEN", `can not listen on ${address} port ${port}: ${why}`, {
    hint: `end it, or name another one in listeners.${name} of wardmq.yaml`,
  });
}
