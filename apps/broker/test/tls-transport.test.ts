import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { after, test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import { TlsTransport } from "../src/door/tls-transport.ts";
import { host, makePki } from "./door-under-test.ts";

const pki = await makePki();
const opened: (Server | TLSSocket)[] = [];
after(() => {
  for (const each of opened) "destroy" in each ? each.destroy() : each.close();
});

/** A client's connection to a listener that puts TLS on a TCP socket, as the door does. */
async function dial(onSocket: (socket: TLSSocket) => void): Promise<TLSSocket> {
  const { key, pem: cert } = pki.server;
  const server = createServer({ key, cert, minVersion: "TLSv1.3" }, (socket) => {
    opened.push(socket);
    onSocket(socket);
  });
  const listener = createTcpServer((socket) => server.emit("connection", socket));
  opened.push(listener.listen(0, "127.0.0.1"));
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const socket = connect({ port, host: "127.0.0.1", servername: host, rejectUnauthorized: false });
  opened.push(socket);
  await once(socket, "secureConnect");
  return socket;
}

const pause = () => new Promise((wake) => setTimeout(wake, 10));

test("takes nothing while it is paused, and everything in order over many pauses", async () => {
  const hash = createHash("sha256");
  let length = 0;
  let pauses = 0;
  let takenWhilePaused = 0;
  const client = await dial((socket) => {
    const transport = new TlsTransport(socket);
    let isPaused = false;
    const resume = () => {
      isPaused = false;
      transport.resume();
    };
    transport.attach({
      receive(bytes) {
        if (isPaused) takenWhilePaused += 1;
        hash.update(bytes);
        length += bytes.length;
        // Some pauses are over before more comes, some only when the stream is full.
        isPaused = true;
        pauses += 1;
        transport.pause();
        if (pauses % 3 === 0) resume();
        else if (pauses % 3 === 1) setImmediate(resume);
        else setTimeout(resume, 5);
      },
      drained() {},
      closed() {},
    });
  });
  const expected = createHash("sha256");
  let sent = 0;
  for (let i = 0; i < 200; i += 1) {
    const part = Buffer.alloc(1 + ((i * 7_919) % 20_000), i);
    expected.update(part);
    sent += part.length;
    if (!client.write(part)) await once(client, "drain");
  }
  for (let i = 0; i < 1_000 && length < sent; i += 1) await pause();
  assert.equal(length, sent);
  assert.equal(hash.digest("hex"), expected.digest("hex"));
  assert.ok(pauses > 3, "it paused more than once in each way");
  assert.equal(takenWhilePaused, 0);
});

test("takes no byte more from the system once it is paused while it receives", async () => {
  const { promise: accepted, resolve } = Promise.withResolvers<[TLSSocket, TlsTransport]>();
  let received = 0;
  const client = await dial((socket) => {
    const transport = new TlsTransport(socket);
    transport.attach({
      receive(bytes) {
        received += bytes.length;
        transport.pause();
      },
      drained() {},
      closed() {},
    });
    resolve([socket, transport]);
  });
  client.write("a");
  const [socket, transport] = await accepted;
  const { promise: tried, resolve: isTried } = Promise.withResolvers<void>();
  for (let i = 0; i < 1_000 && received === 0; i += 1) await pause();
  client.write("b", () => isTried());
  await tried;
  for (let i = 0; i < 5; i += 1) await pause();
  assert.deepEqual([received, socket.readableLength], [1, 0]);
  transport.resume();
  for (let i = 0; i < 1_000 && received < 2; i += 1) await pause();
  assert.equal(received, 2);
});

test("hears of the end when the peer goes", async () => {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const client = await dial((socket) => {
    new TlsTransport(socket).attach({ receive() {}, drained() {}, closed: resolve });
    socket.write("hello");
  });
  await once(client, "data");
  client.destroy();
  await closed;
});
