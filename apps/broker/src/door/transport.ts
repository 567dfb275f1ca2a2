// Measured on Bun 1.4.5 and Node 24.21, TLS 1.2 and 1.3 (test/web-socket.test.ts repeats it): a TLSSocket takes the bytes
// of a write during the call when its `writableLength` was 0 before, even if the peer has stopped reading, so the
// buffer is free again. Any later write is kept by reference until its callback. `writableLength` is never 0 right
// after a write, and `drain` comes only when `write` returned false.

/** What carries MQTT bytes: TLS directly, or WebSocket frames in TLS. */
export interface Transport {
  /**
   * Passes the bytes on; false asks to stop until `drained`. The buffer may be reused after the call if, and only if,
   * `pendingBytes` was 0 before it.
   */
  write(bytes: Buffer): boolean;
  /** Bytes accepted by write and not yet passed to the system. */
  readonly pendingBytes: number;
  /** Reads no more from the system; what was already read may still be received. */
  pause(): void;
  resume(): void;
  /** Sends what is pending, then closes. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

/** Who receives them. Bytes are only valid during the call. */
export interface TransportHandler {
  receive(bytes: Buffer): void;
  drained(): void;
  /** Called once, when the network connection is gone. */
  closed(): void;
}
