import { printable, type SecurityEvent } from "@wardmq/events";
import { Admission, type AdmissionLimits, type Arrival, type HandshakeLimit } from "./admission.ts";
import { explainHandshake, handshakeTimedOut, tcpSocketOf } from "./handshake.ts";

/** A TCP socket as `node:net` has it, or one with TLS on it. */
export interface DoorSocket {
  readonly remoteAddress?: string | undefined;
  readonly bytesRead: number;
  readonly servername?: unknown;
  on(event: "close" | "error", listener: () => void): unknown;
  destroy(): unknown;
}

type Listener = NonNullable<SecurityEvent["listener"]>;

export interface ArrivalsParts {
  readonly limits: () => AdmissionLimits;
  readonly monotonic: () => number;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  readonly timers: Pick<typeof globalThis, "setInterval" | "clearInterval">;
}

/** How often handshakes that run are looked at: TLS libraries keep up to 128 kB of one that does not end. */
const watchMs = 10;

const shedWhy: Readonly<Record<HandshakeLimit, string>> = {
  handshakes: "an address of a subject took its place",
  preAuthBytes: "the handshake is larger than a peer without an identity may send",
};

/**
 * What every door of ours does with a connection until its handshake has ended: it counts against the limits of
 * admission, is closed when it breaks one, and why is said in an event, once.
 *
 *     admit --> handshake runs --handshakeDone--> known to the door, which goes on with its address
 *       | a limit   | too large, gave way, failed: closed
 */
export class Arrivals {
  readonly #parts: ArrivalsParts;
  readonly #admission: Admission;
  /** Who sent each TCP connection that was let in. */
  readonly #arrivals = new WeakMap<DoorSocket, Arrival>();
  #watching: NodeJS.Timeout | undefined;

  constructor(parts: ArrivalsParts) {
    this.#parts = parts;
    this.#admission = new Admission(parts.limits, parts.monotonic);
  }

  /** TCP connections that have not gone yet. */
  get open(): number {
    return this.#admission.open;
  }

  /** Whether a new TCP connection may begin its handshake; it is closed when not. */
  admit(socket: DoorSocket, listener: Listener): boolean {
    const { record } = this.#parts;
    const address = socket.remoteAddress ?? "unknown";
    socket.on("error", ignore);
    const limit = this.#admission.arrived(address);
    if (limit !== undefined) {
      socket.destroy();
      record({ type: "connection-shed", address, listener, limit });
      return false;
    }
    const close = (limit: HandshakeLimit) => {
      const type = limit === "handshakes" ? "connection-shed" : "handshake-refused";
      record({ type, address, listener, limit, why: shedWhy[limit] });
      socket.destroy();
    };
    const arrival = this.#admission.handshakeBegins(address, close, socket);
    this.#watching ??= this.#parts.timers.setInterval(() => this.#watch(), watchMs);
    this.#arrivals.set(socket, arrival);
    socket.on("close", () => {
      this.#admission.handshakeEnded(arrival);
      this.#admission.left(address);
    });
    return true;
  }

  /** The handshake failed, or took too long: the runtimes report that, and leave the socket open. */
  handshakeFailed(error: Error & { code?: string }, socket: DoorSocket, listener: Listener): void {
    socket.destroy();
    const arrival = this.of(socket);
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

  /** The handshake has ended well; undefined, and closed, when the connection was shed meanwhile. */
  handshakeDone(socket: DoorSocket): Arrival | undefined {
    const arrival = this.of(socket);
    if (arrival === undefined || arrival.isShed) {
      socket.destroy();
      return undefined;
    }
    this.#admission.handshakeEnded(arrival);
    return arrival;
  }

  /** Of a connection, or of the TLS on it. */
  of(socket: DoorSocket): Arrival | undefined {
    return this.#arrivals.get(tcpSocketOf(socket));
  }

  /** A subject has authenticated from there. */
  becomesFamiliar(address: string): void {
    this.#admission.becomesFamiliar(address);
  }

  #watch(): void {
    this.#admission.endLargeHandshakes();
    if (this.#admission.handshakes > 0) return;
    this.#parts.timers.clearInterval(this.#watching);
    this.#watching = undefined;
  }
}

/** The host a client asked for, for an event. */
export function sniOf({ servername }: Pick<DoorSocket, "servername">): { readonly sni?: string } {
  return typeof servername === "string" ? { sni: printable(servername, 80) } : {};
}

/** The `close` that follows an error says all we need. */
function ignore(): void {}
