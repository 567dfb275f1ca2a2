import type { IClientOptions, MqttClient } from "mqtt";

/** Gives a token that is good now; asked again for each connection and in time before each end. */
export type FetchToken = () => Promise<string>;

export interface TokenClientOptions {
  /** MQTT.js's own `connect`. */
  readonly connect: (url: string, options: IClientOptions) => MqttClient;
  /** `wss://...` or `mqtts://...` */
  readonly url: string;
  readonly fetchToken: FetchToken;
  readonly options?: IClientOptions;
  /** Hears why no token could be had, or why one was refused; another attempt follows by itself. */
  readonly onTroubles?: (error: Error) => void;
}

/** Where the next token is published, and the least and longest pause between attempts. */
const renewalTopic = "$token/renew";
const firstPauseMs = 1_000;
const longestPauseMs = 60_000;
/** A token is followed by the next one when this much of its life is left, and at least ten seconds. */
const renewedAtShare = 0.25;
const longestTimer = 0x7fff_ffff;

/**
 * An MQTT.js client that logs in with access tokens: each attempt to connect has a fresh one, and a connection that
 * lasts is given the next one before the end of the former. `end` of the client ends this too.
 */
export async function connectWithToken({
  connect,
  url,
  fetchToken,
  options = {},
  onTroubles = () => {},
}: TokenClientOptions): Promise<MqttClient> {
  const client = connect(url, {
    protocolVersion: 5,
    ...options,
    username: "",
    password: await fetchToken(),
    reconnectPeriod: 0, // it would come again with the token that was refused
  });
  let pauseMs = firstPauseMs;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let hasEnded = false;
  const later = (ms: number, act: () => Promise<void>) => {
    clearTimeout(timer);
    timer = setTimeout(() => void act().catch(onTroubles), Math.min(ms, longestTimer));
  };

  const reconnect = async () => {
    if (hasEnded) return;
    try {
      client.options.password = await fetchToken();
    } catch (error) {
      waitAndReconnect();
      throw error;
    }
    if (!hasEnded) client.reconnect();
  };
  const waitAndReconnect = () => {
    if (hasEnded || client.disconnecting) return;
    later(pauseMs, reconnect);
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  };
  const renew = async () => {
    if (hasEnded || !client.connected) return;
    try {
      const token = await fetchToken();
      await client.publishAsync(renewalTopic, token, { qos: 1 });
      renewBefore(expiryOf(token));
    } catch (error) {
      later(firstPauseMs * 5, renew); // the former token counts on
      throw error;
    }
  };
  const renewBefore = (expiresAt: number) => {
    const left = expiresAt - Date.now();
    later(Math.max(firstPauseMs, left - Math.max(10_000, left * renewedAtShare)), renew);
  };

  client.on("connect", ({ properties }) => {
    pauseMs = firstPauseMs;
    const told = properties?.userProperties?.["token-expires"];
    const expiresAt = Date.parse(Array.isArray(told) ? (told[0] ?? "") : (told ?? ""));
    const { password } = client.options;
    renewBefore(Number.isNaN(expiresAt) ? expiryOf(String(password)) : expiresAt);
  });
  client.on("close", waitAndReconnect);
  client.on("error", onTroubles);
  client.on("end", () => {
    hasEnded = client.disconnecting;
    if (hasEnded) clearTimeout(timer);
  });
  return client;
}

/** `exp` of a JWT, in milliseconds; what cannot be read ends soon. */
function expiryOf(token: string): number {
  try {
    const { exp } = JSON.parse(
      atob((token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/")),
    );
    if (typeof exp === "number") return exp * 1000;
  } catch {
    // opaque: only the broker and the issuer know
  }
  return Date.now() + 60_000;
}
