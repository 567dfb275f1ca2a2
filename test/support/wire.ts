import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";
import type { Address, Credential } from "./deployment.ts";

/** What carries MQTT's bytes: a TLS connection, or a WebSocket over one. */
export interface Wire {
  readonly socket: TLSSocket;
  send(bytes: Buffer): void;
  /** Set by whoever reads; called with the bytes of MQTT, and once when nothing more comes. */
  onBytes: (bytes: Buffer) => void;
  onEnd: () => void;
}

/** A TLS 1.3 connection to a listener with a client certificate, as a subject would open it. */
export async function openTls(address: Address, credential: Credential): Promise<TLSSocket> {
  const socket = connect({
    ...address,
    servername: "localhost",
    key: credential.key,
    cert: credential.cert,
    ca: credential.ca,
    minVersion: "TLSv1.3",
    ALPNProtocols: [],
  });
  socket.setNoDelay(true);
  await once(socket, "secureConnect");
  return socket;
}

/** MQTT's bytes as they are. */
export function tlsWire(socket: TLSSocket): Wire {
  const wire: Wire = { socket, send: (bytes) => socket.write(bytes), onBytes() {}, onEnd() {} };
  socket.on("data", (chunk) => wire.onBytes(chunk));
  watchEnd(wire);
  return wire;
}

/** Calls onEnd once, however the connection ended; a reset is an end like any other to a test. */
export function watchEnd(wire: Wire): void {
  const { socket } = wire;
  socket.on("error", () => {});
  socket.on("end", () => socket.end());
  socket.on("close", () => wire.onEnd());
}
