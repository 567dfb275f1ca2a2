import type { IClientOptions, MqttClient } from "mqtt";

/** What a token endpoint answers, RFC 6749 section 5.1; of a token that was kept meanwhile, the seconds still left. */
export interface TokenAnswer {
  readonly access_token: string;
  readonly expires_in?: number;
}

/**
 * Gives a token that is good now; asked again for each connection and in time before each end. One without
 * `expires_in` is taken for issued just now.
 */
export type FetchToken = () => Promise<string | TokenAnswer>;

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
/** The pause after the first renewal that is refused. */
const firstRenewalPauseMs = 5_000;
/** A token is followed by the next one when this much of it is left, and at least ten seconds, or half of a shorter one. */
const renewedAtShare = 0.25;
const leastLeftMs = 10_000;
/** For what nobody says the life of: an opaque token without `expires_in`. */
const unknownLifeMs = 60_000;
const longestTimer = 0x7fff_ffff;

/**
 * An MQTT.js client that logs in with access tokens: each attempt to connect has a fresh one, and a connection that
 * lasts is given the next one before the end of the former. Ends are reckoned from a token's life, since the client's
 * clock may differ from the issuer's. `end` of the client ends this too.
 *
 * A renewal that is refused, or has no token, is tried again after 5 s, then after twice that each time, but no more
 * than half of what is left of the token in use. With that one the broker ends the connection, and it is made anew with
 * a fresh token. So it is on 3.1.1 after each refusal, because its PUBACK does not tell one.
 */
export async function connectWithToken({
  connect,
  url,
  fetchToken,
  options = {},
  onTroubles = () => {},
}: TokenClientOptions): Promise<MqttClient> {
  const fetchNext = async () => {
    const fetched = await fetchToken();
    const answer = typeof fetched === "string" ? { access_token: fetched } : fetched;
    return { token: answer.access_token, endsAt: performance.now() + lifeMs(answer) };
  };
  let inUse = await fetchNext();
  const client = connect(url, {
    protocolVersion: 5,
    ...options,
    username: "",
    password: inUse.token,
    reconnectPeriod: 0, // it would come again with the token that was refused
  });
  let pauseMs = firstPauseMs;
  let renewalPauseMs = firstRenewalPauseMs;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let hasEnded = false;
  const later = (ms: number, act: () => Promise<void>) => {
    clearTimeout(timer);
    timer = setTimeout(() => void act().catch(onTroubles), Math.min(ms, longestTimer));
  };

  const reconnect = async () => {
    if (hasEnded) return;
    try {
      inUse = await fetchNext();
    } catch (error) {
      waitAndReconnect();
      throw error;
    }
    client.options.password = inUse.token;
    const { incomingStore, outgoingStore } = client; // or what is in flight would be forgotten, its promises with it
    if (!hasEnded) client.reconnect({ incomingStore, outgoingStore });
  };
  const waitAndReconnect = () => {
    if (hasEnded || client.disconnecting) return;
    later(pauseMs, reconnect);
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  };
  const leftMs = () => inUse.endsAt - performance.now();
  /** Not without a connection: the timer is for the next one then, which has a token of its own. */
  const renewLater = (ms: number) => {
    if (client.connected) later(Math.max(firstPauseMs, ms), renew);
  };
  const renew = async () => {
    try {
      const next = await fetchNext();
      if (!client.connected) return;
      await client.publishAsync(renewalTopic, next.token, { qos: 1 });
      inUse = next;
      renewInTime();
    } catch (error) {
      const longest = leftMs() / 2;
      if (longest >= firstPauseMs) renewLater(Math.min(renewalPauseMs, longest));
      renewalPauseMs *= 2;
      throw error;
    }
  };
  const renewInTime = () => {
    renewalPauseMs = firstRenewalPauseMs;
    const left = leftMs();
    renewLater(left - Math.min(left / 2, Math.max(leastLeftMs, left * renewedAtShare)));
  };

  client.on("connect", () => {
    pauseMs = firstPauseMs;
    renewInTime();
  });
  client.on("close", waitAndReconnect);
  client.on("error", onTroubles);
  client.on("end", () => {
    hasEnded = client.disconnecting;
    if (hasEnded) clearTimeout(timer);
  });
  return client;
}

/** The milliseconds that are left of a token: as its issuer said, else the whole life of a JWT. */
function lifeMs({ access_token: token, expires_in: seconds }: TokenAnswer): number {
  if (Number(seconds) > 0) return Number(seconds) * 1000;
  try {
    const { iat, exp } = JSON.parse(
      atob((token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/")),
    );
    if (typeof iat === "number" && typeof exp === "number") return (exp - iat) * 1000;
  } catch {
    // opaque: only the broker and the issuer know
  }
  return unknownLifeMs;
}
