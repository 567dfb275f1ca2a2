/** `flood.ts PORT TOKEN-FILE CA-FILE`: 1,000 clients that each send five tokens a second with a bad signature. */
import { readFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { encodePacket } from "@wardmq/mqtt";

const connections = 1_000;
const tokensPerSecond = 5_000;
const atOnce = 16;
const tickMs = 10;

const [port = "", tokenFile = "", caFile = ""] = process.argv.slice(2);
const good = readFileSync(tokenFile, "utf8").trim();
const ca = readFileSync(caFile, "utf8");
/** Everything of it is right but the signature, so that all checks are made. */
const bad = good.replace(
  /\.[^.]*$/,
  (signature) => `.${[...signature.slice(1)].reverse().join("")}`,
);
const publish = encodePacket(
  {
    type: "PUBLISH",
    topic: "$token/renew",
    payload: Buffer.from(bad),
    ...{ qos: 0, retain: false, dup: false, packetId: undefined, properties: {} },
  },
  5,
);

/** Each from an address of its own: nobody is banned for what another one does. */
function logIn(i: number): Promise<TLSSocket> {
  const localAddress = `127.1.${i >> 8}.${i & 255 || 1}`;
  const socket = connect({
    socket: connectTcp({ host: "127.0.0.1", port: Number(port), localAddress }),
    servername: "localhost",
    ca,
    ALPNProtocols: ["mqtt"],
  });
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("the broker let nobody in")));
    socket.once("secureConnect", () => {
      const password = Buffer.from(good);
      const properties = {};
      const rest = {
        cleanStart: true,
        will: undefined,
        keepAlive: 0,
        username: "",
        password,
        properties,
      };
      socket.write(
        encodePacket({ type: "CONNECT", version: 5, clientId: `flood-${i}`, ...rest }, 5),
      );
    });
    socket.once("data", (bytes: Buffer) => {
      if (bytes[0] === 0x20 && bytes[3] === 0) resolve(socket);
      else reject(new Error("the broker refused a good token"));
    });
  });
}

const sockets: TLSSocket[] = [];
for (let i = 0; i < connections; i += atOnce) {
  const some = Array.from({ length: Math.min(atOnce, connections - i) }, (_, k) => logIn(i + k));
  for (const socket of await Promise.all(some)) {
    socket.removeAllListeners("close");
    socket.removeAllListeners("error");
    socket.on("error", () => {});
    socket.resume();
    sockets.push(socket);
  }
}

let sent = 0;
const startedAt = performance.now();
setInterval(() => {
  const due = ((performance.now() - startedAt) * tokensPerSecond) / 1000;
  for (; sent < due; sent += 1) sockets[sent % connections]?.write(publish);
}, tickMs);
process.once("SIGTERM", () => {
  const perSecond = (sent * 1000) / (performance.now() - startedAt);
  const open = sockets.filter(({ destroyed }) => !destroyed).length;
  process.stdout.write(`${JSON.stringify({ perSecond, open })}\n`, () => process.exit(0));
});
process.stdout.write("ready\n");
