import type { X509Certificate } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { ControlListenerName } from "@wardmq/events";

/** Who is at the other end of a connection. */
export interface Requester {
  readonly address: string;
  readonly listener: ControlListenerName;
  /** With a path to one of the listener's trust anchors; absent where the client came without. */
  readonly certificate: X509Certificate | undefined;
}

/** Who sent a request: the door notes it for each connection. */
export class Requesters {
  readonly #bySocket = new WeakMap<Socket, Requester>();

  introduce(socket: Socket, requester: Requester): void {
    this.#bySocket.set(socket, requester);
  }

  of({ socket }: IncomingMessage): Requester {
    const found = this.#bySocket.get(socket);
    if (found === undefined) throw new Error("a request came past the door");
    return found;
  }
}
