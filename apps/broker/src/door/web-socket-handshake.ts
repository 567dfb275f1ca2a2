import { createHash } from "node:crypto";

/** Who may open a WebSocket here. */
export interface UpgradeRules {
  readonly path: string;
  readonly origins: readonly string[];
}

/** The answer to an opening handshake: the text of a 101, or of a refusal with the check that failed. */
export type UpgradeAnswer =
  | { readonly accepted: true; readonly response: string }
  | {
      readonly accepted: false;
      readonly response: string;
      readonly check: string;
      readonly why: string;
    };

type Fields = ReadonlyMap<string, readonly string[]>;
type Check = { readonly name: string; readonly status: string; readonly why: string };

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Base64 of exactly 16 bytes, in its one canonical spelling. */
const sixteenBytes = /^[A-Za-z0-9+/]{21}[AQgw]==$/;
const host = /^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(:[0-9]{1,5})?$/;
/** Fields that must not be there twice, because two readers could then choose differently. */
const single = ["host", "origin", "sec-websocket-key", "sec-websocket-version"];

const headCheck: Check = {
  name: "web-socket-request",
  status: "400 Bad Request",
  why: "the opening handshake is not a well-formed HTTP/1.1 request head",
};
const tooLarge: Check = {
  name: "web-socket-head-size",
  status: "431 Request Header Fields Too Large",
  why: "the head of the opening handshake is larger than this listener reads",
};

/** What RFC 6455 section 4.2.1 and MQTT section 6 ask of a request, in the order in which it is asked. */
const checks: readonly (Check & {
  passes(
    request: { method: string; target: string; version: string; fields: Fields },
    rules: UpgradeRules,
  ): boolean;
})[] = [
  {
    name: "web-socket-http-version",
    status: "505 HTTP Version Not Supported",
    why: "a WebSocket is opened with HTTP/1.1",
    passes: ({ version }) => version === "HTTP/1.1",
  },
  {
    name: "web-socket-method",
    status: "405 Method Not Allowed\r\nAllow: GET",
    why: "a WebSocket is opened with GET",
    passes: ({ method }) => method === "GET",
  },
  {
    name: "web-socket-path",
    status: "404 Not Found",
    why: "MQTT over WebSocket is served at one path only, /mqtt by default",
    passes: ({ target }, rules) => target === rules.path,
  },
  {
    name: "web-socket-host",
    status: "400 Bad Request",
    why: "the request needs one Host field with a host name or address",
    passes: ({ fields }) => host.test(fields.get("host")?.[0] ?? ""),
  },
  {
    name: "web-socket-duplicate-field",
    status: "400 Bad Request",
    why: "Host, Origin, Sec-WebSocket-Key and Sec-WebSocket-Version may be there once",
    passes: ({ fields }) => single.every((name) => (fields.get(name)?.length ?? 0) <= 1),
  },
  {
    name: "web-socket-body",
    status: "400 Bad Request",
    why: "the opening handshake has no body, so neither Content-Length nor Transfer-Encoding",
    passes: ({ fields }) => !fields.has("content-length") && !fields.has("transfer-encoding"),
  },
  {
    name: "web-socket-upgrade",
    status: "426 Upgrade Required\r\nUpgrade: websocket",
    why: "the request must ask for an upgrade to websocket",
    passes: ({ fields }) =>
      listed(fields, "upgrade").some((entry) => entry.toLowerCase() === "websocket") &&
      listed(fields, "connection").some((entry) => entry.toLowerCase() === "upgrade"),
  },
  {
    name: "web-socket-version",
    status: "426 Upgrade Required\r\nSec-WebSocket-Version: 13",
    why: "Sec-WebSocket-Version must be 13",
    passes: ({ fields }) => fields.get("sec-websocket-version")?.[0] === "13",
  },
  {
    name: "web-socket-key",
    status: "400 Bad Request",
    why: "Sec-WebSocket-Key must be 16 bytes in base64",
    passes: ({ fields }) => sixteenBytes.test(fields.get("sec-websocket-key")?.[0] ?? ""),
  },
  {
    name: "web-socket-origin",
    status: "403 Forbidden",
    why: "the Origin is not one of webSocketOrigins in wardmq.yaml",
    // A browser always sends Origin; a request without it does not come from a page.
    passes: ({ fields }, { origins }) =>
      fields.get("origin")?.every((origin) => origins.includes(origin)) ?? true,
  },
  {
    name: "web-socket-subprotocol",
    status: "400 Bad Request",
    why: "Sec-WebSocket-Protocol must offer mqtt",
    // 5.0 and 3.1.1 [MQTT-6.0.0-3]
    passes: ({ fields }) => {
      const offered = listed(fields, "sec-websocket-protocol");
      return offered.includes("mqtt") && offered.every((name) => token.test(name));
    },
  },
];

/** Answers the head of an opening handshake, given as latin1 text up to and with its empty line. */
export function answerUpgrade(head: string, rules: UpgradeRules): UpgradeAnswer {
  const request = parseRequest(head);
  if (request === undefined) return refuse(headCheck);
  const failed = checks.find((check) => !check.passes(request, rules));
  if (failed !== undefined) return refuse(failed);
  const key = request.fields.get("sec-websocket-key")?.[0] ?? "";
  const accept = createHash("sha1")
    .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
  return {
    accepted: true,
    // 5.0 and 3.1.1 [MQTT-6.0.0-4]; no extension is ever negotiated, so compression is off.
    response: `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`,
  };
}

/** The refusal of a head that grew past its limit. */
export function refuseLargeHead(): UpgradeAnswer {
  return refuse(tooLarge);
}

/** Nothing of the request is repeated: the answer is made of our own words only. */
function refuse({ name, status, why }: Check): UpgradeAnswer {
  const response = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${why.length + 1}\r\n\r\n${why}\n`;
  return { accepted: false, response, check: name, why };
}

function parseRequest(head: string) {
  const lines = head.slice(0, -4).split("\r\n");
  const [method, target, version, ...rest] = (lines.shift() ?? "").split(" ");
  if (method === undefined || target === undefined || version === undefined || rest.length > 0)
    return undefined;
  if (
    !token.test(method) ||
    !/^[\x21-\x7e]+$/.test(target) ||
    !/^HTTP\/[0-9]\.[0-9]$/.test(version)
  )
    return undefined;
  const fields = new Map<string, string[]>();
  for (const line of lines) {
    // A folded line begins with a space and a bare CR or LF is left in a value: neither passes the patterns.
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
    const value = line.slice(colon + 1);
    if (!token.test(name) || !fieldValue.test(value)) return undefined;
    const trimmed = value.replace(/^[\t ]+|[\t ]+$/g, "");
    const values = fields.get(name);
    if (values === undefined) fields.set(name, [trimmed]);
    else values.push(trimmed);
  }
  return { method, target, version, fields };
}

function listed(fields: Fields, name: string): string[] {
  const values = fields.get(name) ?? [];
  return values
    .flatMap((value) => value.split(","))
    .map((entry) => entry.replace(/^[\t ]+|[\t ]+$/g, ""));
}
