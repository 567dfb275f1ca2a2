import { isIP } from "node:net";
import { type SecureContextOptions, TLSSocket } from "node:tls";
import { printable } from "@wardmq/events";
import { connect, type IClientOptions, type MqttClient, ReasonCodes } from "mqtt";
import type { Credential } from "./ward-file.ts";

export interface LinkOptions {
  readonly host: string;
  readonly port: number;
  readonly clientId: string;
  readonly credential: Credential;
  /** Called for each new connection, when it can be used. */
  readonly onOpen?: () => void;
  readonly onMessage?: (topic: string, payload: Uint8Array) => void;
  readonly onState: (state: LinkState) => void;
  /** [0, 1). */
  readonly random: () => number;
}

export type LinkState =
  | { readonly is: "connecting" }
  /** `how` the two ends know each other, and what protects what they say. */
  | { readonly is: "open"; readonly how: string }
  | { readonly is: "waiting"; readonly why: string };

/** One client's connection to the broker, opened again for as long as it is not closed. */
export interface Link {
  /** Hands a message to the connection if there is one; a message that nobody would get now is not kept. */
  publish(topic: string, payload: string, qos: 0 | 1): void;
  subscribe(filters: readonly string[]): void;
  close(): Promise<void>;
}

const firstDelayMs = 500;
const longestDelayMs = 10_000;

/** How long to wait before the n-th attempt in a row: doubling, and spread so that a ward does not come back at once. */
export function delayBefore(attempt: number, random: number): number {
  const full = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(attempt - 1, 10));
  return full * (0.5 + random / 2);
}

/**
 * Opens a link. States: connecting -> open -> waiting -> connecting ...; `close` ends it in any of them.
 * Each attempt has a client object of its own, so nothing of a lost connection reaches into the next.
 */
export function openLink(options: LinkOptions): Link {
  let client: MqttClient | undefined;
  let timer: NodeJS.Timeout | undefined;
  let attempt = 0;
  let isClosed = false;
  let why: string | undefined; // what was said last, since a broker does not repeat it to a client it does not let in

  const dial = () => {
    options.onState({ is: "connecting" });
    const current = connect(clientOptions(options));
    client = current;
    current.on("connect", () => {
      attempt = 0;
      why = undefined;
      options.onState({ is: "open", how: describeTls(current.stream) });
      options.onOpen?.();
    });
    current.on("message", (topic, payload) => options.onMessage?.(topic, payload));
    current.on("disconnect", ({ reasonCode = 0 }) => {
      why = `${describeReason(reasonCode)} (ended by the broker)`;
    });
    current.on("error", (error) => {
      if (!isReset(error)) why = describeError(error);
      current.end(true);
    });
    current.on("close", () => {
      if (isClosed || client !== current) return;
      client = undefined;
      current.end(true);
      attempt += 1;
      options.onState({ is: "waiting", why: why ?? "the connection was closed" });
      timer = setTimeout(dial, delayBefore(attempt, options.random()));
    });
  };

  dial();
  return {
    publish: (topic, payload, qos) => {
      if (client?.connected) client.publish(topic, payload, { qos }, () => {});
    },
    subscribe: (filters) => {
      client?.subscribe([...filters], { qos: 1 }, (error, granted = []) => {
        const isRefused = granted.some(({ qos }) => qos >= 0x80);
        if (error || isRefused) {
          client?.emit("error", new Error("the broker refused the subscription"));
        }
      });
    },
    close: async () => {
      isClosed = true;
      clearTimeout(timer);
      await client?.endAsync(!client.connected);
    },
  };
}

function clientOptions({
  host,
  port,
  clientId,
  credential,
}: LinkOptions): IClientOptions & SecureContextOptions {
  return {
    protocol: "mqtts",
    protocolVersion: 5,
    host,
    port,
    clientId,
    ...(isIP(host) === 0 ? { servername: host } : {}), // RFC 6066: a name, never an address
    ...credential,
    minVersion: "TLSv1.3",
    ALPNProtocols: ["mqtt"],
    rejectUnauthorized: true,
    clean: true,
    keepalive: 30,
    connectTimeout: 10_000,
    reconnectPeriod: 0,
    queueQoSZero: false,
  };
}

/** What was agreed, as in `TLSv1.3 TLS_AES_256_GCM_SHA384`. */
function describeTls(stream: unknown): string {
  if (!(stream instanceof TLSSocket)) return "";
  return printable(
    `mutual ${stream.getProtocol() ?? "TLS"} ${stream.getCipher()?.name ?? ""}`.trim(),
    60,
  );
}

function describeReason(code: number): string {
  const name = (ReasonCodes as Readonly<Record<number, string>>)[code];
  return `0x${code.toString(16).padStart(2, "0")}${name ? ` ${name}` : ""}`;
}

const isReset = (error: Error): boolean =>
  "code" in error && (error.code === "ECONNRESET" || error.code === "EPIPE");

function describeError(error: Error): string {
  const code = "code" in error ? error.code : undefined;
  if (typeof code === "number") return `${describeReason(code)} (refused by the broker)`;
  if (code === "ECONNREFUSED") return "ECONNREFUSED, nothing listens there";
  return printable([code, error.message].filter(Boolean).join(" ") || "the connection failed", 100);
}
