/** How many may come, in all and from one address, before and during the handshake. */
export interface AdmissionLimits {
  readonly connections: number;
  readonly connectionsPerAddress: number;
  readonly acceptsPerSecond: number;
  readonly handshakes: number;
  readonly preAuthBytes: number;
}

/** A TCP connection whose handshake has not ended. */
export interface Arrival {
  readonly address: string;
  /** A subject authenticated from this address before. */
  readonly isFamiliar: boolean;
  /** When it came, in monotonic milliseconds. */
  readonly at: number;
  readonly socket: { readonly bytesRead: number } | undefined;
  /** Closed by the door because of a limit, and said so. */
  isShed: boolean;
  readonly close: (limit: HandshakeLimit) => void;
}

/** What ends a handshake that runs. */
export type HandshakeLimit = "handshakes" | "preAuthBytes";

const rememberedAddresses = 4_096;

/**
 * Who may begin a handshake: counted, never stored. When too many run at once, strangers give way to addresses a
 * subject has authenticated from before.
 */
export class Admission {
  readonly #limits: () => AdmissionLimits;
  readonly #now: () => number;
  readonly #pending = new Set<Arrival>();
  readonly #byAddress = new Map<string, number>();
  readonly #familiar = new Set<string>();
  #open = 0;
  #tokens: number;
  #refilledAt: number;

  constructor(limits: () => AdmissionLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
    this.#tokens = limits().acceptsPerSecond;
    this.#refilledAt = now();
  }

  /** TCP connections that count. */
  get open(): number {
    return this.#open;
  }

  /** The limit that forbids the connection, or nothing: then it counts until `left`. */
  arrived(address: string): string | undefined {
    const limits = this.#limits();
    const network = networkOf(address);
    if (!this.#takeToken(limits.acceptsPerSecond)) return "acceptsPerSecond";
    if (this.#open >= limits.connections) return "connections";
    if ((this.#byAddress.get(network) ?? 0) >= limits.connectionsPerAddress) {
      return "connectionsPerAddress";
    }
    if (this.#pending.size >= limits.handshakes && !this.#makeWay(address)) return "handshakes";
    this.#open += 1;
    this.#byAddress.set(network, (this.#byAddress.get(network) ?? 0) + 1);
    return undefined;
  }

  /** How many handshakes run. */
  get handshakes(): number {
    return this.#pending.size;
  }

  handshakeBegins(address: string, close: Arrival["close"], socket?: Arrival["socket"]): Arrival {
    const arrival = {
      address,
      isFamiliar: this.#familiar.has(address),
      at: this.#now(),
      socket,
      isShed: false,
      close,
    };
    this.#pending.add(arrival);
    return arrival;
  }

  handshakeEnded(arrival: Arrival): void {
    this.#pending.delete(arrival);
  }

  /** A subject has authenticated from there. */
  becomesFamiliar(address: string): void {
    if (this.#familiar.has(address)) return;
    if (this.#familiar.size >= rememberedAddresses) {
      for (const oldest of this.#familiar) {
        this.#familiar.delete(oldest);
        break;
      }
    }
    this.#familiar.add(address);
  }

  left(address: string): void {
    this.#open -= 1;
    const network = networkOf(address);
    const others = (this.#byAddress.get(network) ?? 1) - 1;
    if (others === 0) this.#byAddress.delete(network);
    else this.#byAddress.set(network, others);
  }

  /** Ends every handshake that has sent more than a peer without an identity may. */
  endLargeHandshakes(): void {
    const { preAuthBytes } = this.#limits();
    for (const arrival of this.#pending) {
      if ((arrival.socket?.bytesRead ?? 0) > preAuthBytes) this.#end(arrival, "preAuthBytes");
    }
  }

  /** Ends the oldest handshake of a stranger in favour of a familiar address. */
  #makeWay(address: string): boolean {
    if (!this.#familiar.has(address)) return false;
    for (const arrival of this.#pending) {
      if (arrival.isFamiliar) continue;
      this.#end(arrival, "handshakes");
      return true;
    }
    return false;
  }

  #end(arrival: Arrival, limit: HandshakeLimit): void {
    this.#pending.delete(arrival);
    arrival.isShed = true;
    arrival.close(limit);
  }

  #takeToken(perSecond: number): boolean {
    const now = this.#now();
    this.#tokens = Math.min(
      perSecond,
      this.#tokens + ((now - this.#refilledAt) * perSecond) / 1000,
    );
    this.#refilledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** What counts as one address: whoever has one IPv6 address has the 2^64 of its network. */
export function networkOf(address: string): string {
  if (!address.includes(":") || address.includes(".")) return address; // IPv4, also mapped into IPv6
  const [head = "", tail = ""] = address.split("::");
  const before = head.split(":").filter((group) => group !== "");
  const after = tail.split(":").filter((group) => group !== "");
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => "0");
  return `${[...before, ...zeros, ...after].slice(0, 4).join(":")}::/64`;
}
