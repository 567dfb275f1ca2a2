import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import {
  eventually,
  newDeployment,
  RunningControl,
  type TestFolder,
} from "./control-under-test.ts";
import { ask, type Credential, newOperator, tlsTo } from "./https-client.ts";

let folder: TestFolder;
let control: RunningControl;
let credential: Credential;
before(async () => {
  folder = await newDeployment();
  const limit = ["--set", "limits.connectTimeoutMs=1000"];
  control = await RunningControl.start(folder.deployment, ...limit);
  credential = await newOperator(control, "nurse", "viewer");
});
after(async () => {
  await control?.end();
  folder?.[Symbol.dispose]();
});

type Door = "est" | "api";
const paths = { est: "/.well-known/est/cacerts", api: "/v1/subjects" } as const;

function tcp(door: Door): Promise<Socket> {
  const socket = connectTcp(control.port(door), "127.0.0.1").on("error", () => {});
  return once(socket, "connect").then(() => socket);
}

function tls(door: Door): Promise<Socket> {
  const socket = connectTls(tlsTo(control, door, door === "api" ? { credential } : {}));
  socket.on("error", () => {}); // what is said with a reset does not matter, only that the connection has gone
  return once(socket, "secureConnect").then(() => socket);
}

const head = (door: Door, method: string, ...more: readonly string[]) =>
  [`${method} ${paths[door]} HTTP/1.1`, "Host: localhost", ...more].join("\r\n");

/** The first bytes of a ClientHello of 512 bytes. */
const halfHello = Buffer.from("1603010200010001fc0303", "hex");

interface Slow {
  readonly open: (door: Door) => Promise<Socket>;
  /** What is sent at once, and what follows byte by byte for as long as the door lets it. */
  readonly sends: (door: Door) => string | Buffer;
  readonly drips?: string | Buffer;
  /** What the event says: the check that was failed. */
  readonly check: string;
}

const slow: Readonly<Record<string, Slow>> = {
  "connects and says nothing": { open: tcp, sends: () => "", check: "ERR_TLS_HANDSHAKE_TIMEOUT" },
  "never ends its handshake": {
    open: tcp,
    sends: () => halfHello,
    drips: Buffer.of(0),
    check: "ERR_TLS_HANDSHAKE_TIMEOUT",
  },
  "asks for nothing": { open: tls, sends: () => "", check: "request-timeout" },
  "never ends the header of its request": {
    open: tls,
    sends: (door) => `${head(door, "GET")}\r\nX-Long: `,
    drips: "a",
    check: "request-timeout",
  },
  "never ends the body of its request": {
    open: tls,
    sends: (door) =>
      `${head(door, "POST", "Content-Type: application/pkcs10", "Content-Length: 4000")}\r\n\r\n`,
    drips: "a",
    check: "request-timeout",
  },
  "never ends a body in pieces": {
    open: tls,
    sends: (door) =>
      `${head(door, "POST", "Content-Type: application/pkcs10", "Transfer-Encoding: chunked")}\r\n\r\nfff\r\n`,
    drips: "a",
    check: "request-timeout",
  },
  "asks once, and never ends its second request": {
    open: tls,
    sends: (door) => `${head(door, "GET")}\r\n\r\n${head(door, "GET")}`,
    check: "request-timeout",
  },
};

/** Settles when the door has closed the connection. */
async function closed(socket: Socket, drips: string | Buffer | undefined): Promise<void> {
  socket.resume();
  const drip = setInterval(() => drips && !socket.destroyed && socket.write(drips), 20);
  try {
    await eventually(() => socket.closed);
  } finally {
    clearInterval(drip);
    socket.destroy();
  }
}

async function isServed(door: Door): Promise<void> {
  const asked = door === "api" ? { credential } : {};
  assert.equal((await ask(control, door, paths[door], asked)).status, 200);
}

for (const door of ["est", "api"] as const) {
  describe(`at the door ${door}, a client that`, () => {
    for (const [name, { open, sends, drips, check }] of Object.entries(slow)) {
      test(`${name} is closed, others are served meanwhile, and an event says why`, async () => {
        const startedAt = Date.now();
        const sockets = await Promise.all(Array.from({ length: 5 }, () => open(door)));
        const closing = sockets.map((socket) => {
          socket.write(sends(door));
          return closed(socket, drips);
        });
        await isServed(door);
        await Promise.all(closing);
        const { events } = await control.result("events", { last: 200 });
        const said = (events as Record<string, unknown>[]).filter(
          ({ at, listener, ...event }) =>
            Number(at) >= startedAt && listener === door && event["check"] === check,
        );
        assert.ok(said.length >= sockets.length, `${said.length} times ${check}`);
        await isServed(door);
      });
    }
  });
}
