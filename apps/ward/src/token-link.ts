import { request } from "node:https";
import { isIP } from "node:net";
import { printable } from "@wardmq/events";
import { connectWithToken } from "@wardmq/mqtt-js";
import { connect, type MqttClient } from "mqtt";
import { delayBefore, type Link, type LinkOptions } from "./link.ts";
import type { Login } from "./ward-file.ts";

const timeoutMs = 10_000;
const longestAnswer = 65_536;

/** A link whose client logs in with tokens: the helper of sdk/mqtt-js fetches them, and renews them in the session. */
export function openTokenLink(options: LinkOptions, login: Login): Link {
  const { host, credential, onState } = options;
  let client: MqttClient | undefined;
  let timer: NodeJS.Timeout | undefined;
  let attempt = 0;
  let isClosed = false;
  let why = "the connection was closed";

  const dial = async () => {
    onState({ is: "connecting" });
    const opened = await connectWithToken({
      connect,
      url: `wss://${host}:${login.port}/mqtt`,
      fetchToken: () => fetchToken(login),
      onTroubles: (error) => {
        why = printable(error.message, 100);
      },
      options: {
        ca: credential.ca,
        clientId: options.clientId,
        ...(isIP(host) === 0 ? { servername: host } : {}),
        rejectUnauthorized: true,
        clean: true,
        keepalive: 30,
        queueQoSZero: false,
      },
    });
    client = opened;
    if (isClosed) return void opened.end(true);
    opened.on("connect", () => {
      onState({ is: "open", how: "access token, WebSocket over TLS" });
      options.onOpen?.();
    });
    opened.on("message", (topic, payload) => options.onMessage?.(topic, payload));
    opened.on("close", () => {
      if (!isClosed) onState({ is: "waiting", why });
    });
  };
  /** The helper comes again by itself once it has had a token; before that it is for us to. */
  const begin = () => {
    dial().catch((error: unknown) => {
      if (isClosed) return;
      attempt += 1;
      why = printable(error instanceof Error ? error.message : "no token", 100);
      onState({ is: "waiting", why });
      timer = setTimeout(begin, delayBefore(attempt, options.random()));
    });
  };
  begin();
  return {
    publish: (topic, payload, qos) => {
      if (client?.connected) client.publish(topic, payload, { qos }, () => {});
    },
    subscribe: (filters) => {
      client?.subscribe([...filters], { qos: 1 }, (error, granted = []) => {
        const isRefused = granted.some(({ qos }) => qos >= 0x80);
        if (!error && !isRefused) return;
        why = "the broker refused the subscription";
        client?.stream.destroy();
      });
    },
    close: async () => {
      isClosed = true;
      clearTimeout(timer);
      await client?.endAsync(!client.connected);
    },
  };
}

/** Client credentials, RFC 6749 section 4.4, for the resource that is the broker's audience (RFC 8707). */
function fetchToken({ issuer, clientId, secret, audience, issuerCa }: Login): Promise<string> {
  const form = new URLSearchParams({
    grant_type: "client_credentials",
    client_id: clientId,
    client_secret: secret,
    resource: audience,
  }).toString();
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`the identity provider gave no token: ${why}`));
    const asked = request(`${issuer.replace(/\/$/, "")}/token`, {
      method: "POST",
      ca: issuerCa,
      agent: false,
      timeout: timeoutMs,
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        "content-length": Buffer.byteLength(form),
      },
    });
    asked.on("timeout", () => asked.destroy(new Error("it did not answer in time")));
    asked.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    asked.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
        if (text.length > longestAnswer) asked.destroy();
      });
      response.on("error", () => fail("its answer broke off"));
      response.on("end", () => {
        const token = tokenIn(text);
        if (response.statusCode === 200 && token !== undefined) resolve(token);
        else fail(`it answered ${response.statusCode}`);
      });
    });
    asked.end(form);
  });
}

function tokenIn(text: string): string | undefined {
  try {
    const { access_token: token } = Object(JSON.parse(text)) as { access_token?: unknown };
    return typeof token === "string" ? token : undefined;
  } catch {
    return undefined;
  }
}
