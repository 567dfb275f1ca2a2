import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { after } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { bytes } from "../support/bytes.ts";
import { startDeployment } from "../support/deployment.ts";
import { bothListeners, limitTest, onlyV5 } from "./limit-test.ts";
import { goneOf, until } from "./waiting.ts";

const [timed, sized] = await Promise.all([
  startDeployment({ devices: 0, settings: { "limits.connectTimeoutMs": 1_000 } }),
  startDeployment({
    devices: 0,
    settings: { "limits.preAuthBytes": 4_096, "limits.preAuthBytesTotal": 16_384 },
  }),
]);
after(() => Promise.all([timed, sized].map((deployment) => deployment.stop())));

const connectTimeout = { type: "connect-refused", limit: "connectTimeoutMs" } as const;

/** Sends the bytes one at a time until the socket is gone; `true` says it went before they were all sent. */
async function trickle(
  socket: TLSSocket,
  what: Buffer,
  send: (byte: Buffer) => void = (byte) => socket.write(byte),
) {
  let isGone = false;
  void goneOf(socket).then(() => {
    isGone = true;
  });
  for (let i = 0; i < what.length && !isGone; i += 1) {
    send(what.subarray(i, i + 1));
    await new Promise((wake) => setTimeout(wake, 50));
  }
  return isGone;
}

/** The socket, but for what is written beyond so many bytes: that is never sent. */
function sendingOnly(bytes: number, socket: Socket): Duplex {
  let left = bytes;
  const partial = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      socket.write(chunk.subarray(0, left));
      left = Math.max(0, left - chunk.length);
      done();
    },
  });
  socket.on("data", (chunk) => partial.push(chunk));
  return partial;
}

/** A CONNECT with this many bytes in all. */
function connectOf(length: number, version: 4 | 5): Buffer {
  const make = (padding: number) =>
    bytes(
      `10 ~ 'MQTT' V c2 003c {} 'padded' '${"u".repeat(60)}' '${"p".repeat(padding)}'`,
      version,
    );
  const short = make(length - 120);
  return make(length - 120 + length - short.length);
}

limitTest(
  "connectTimeoutMs",
  "ends a TCP connection that says nothing, and one that trickles its handshake",
  timed,
  async (clients) => {
    const [silent, slow] = [clients.from(1), clients.from(2)];
    const hello = bytes("16 0301 0200 01 0001fc 0303 00x506");
    let sent = 0;
    const sockets = [await clients.dial({ from: silent }), await clients.dial({ from: slow })];
    const timer = setInterval(() => sockets[1]?.write(hello.subarray(sent, ++sent)), 50);
    await Promise.all(sockets.map(goneOf)).finally(() => clearInterval(timer));
    await clients.events.first({ ...connectTimeout, type: "handshake-refused", address: silent });
    await clients.events.first({ type: "handshake-refused", address: slow });
  },
  { ways: bothListeners, atOnce: true },
);

limitTest(
  "connectTimeoutMs",
  "ends a subject that sends no CONNECT",
  timed,
  async (clients) => {
    const from = clients.from(1);
    const silent = await clients.open({ from });
    await silent.expectEnd();
    await clients.events.first({ ...connectTimeout, address: from, subject: "service:tester" });
  },
  { atOnce: true },
);

limitTest(
  "connectTimeoutMs",
  "ends a subject that sends half a CONNECT",
  timed,
  async (clients) => {
    const from = clients.from(1);
    const half = await clients.open({ from });
    half.send(connectOf(200, clients.version).subarray(0, 100));
    await half.expectEnd();
    await clients.events.first({ ...connectTimeout, address: from });
  },
  { atOnce: true },
);

limitTest(
  "connectTimeoutMs",
  "ends a subject that sends its CONNECT byte by byte",
  timed,
  async (clients) => {
    const from = clients.from(1);
    const slow = await clients.open({ from });
    const packet = connectOf(1_000, clients.version);
    assert.ok(await trickle(slow.wire.socket, packet, (byte) => slow.wire.send(byte)));
    await clients.events.first({ ...connectTimeout, address: from });
  },
  { atOnce: true },
);

limitTest(
  "connectTimeoutMs",
  "ends a subject that sends its WebSocket handshake byte by byte",
  timed,
  async (clients) => {
    const from = clients.from(1);
    const head = `GET /mqtt HTTP/1.1\r\nHost: localhost\r\n${"X: y\r\n".repeat(50)}\r\n`;
    assert.ok(await trickle(await clients.openTls({ from }), Buffer.from(head)));
    await clients.events.first({ ...connectTimeout, address: from });
  },
  { ways: [{ version: 5, via: "wss" }], atOnce: true },
);

limitTest(
  "connectTimeoutMs",
  "counts from the accept: a handshake that took long leaves less for the CONNECT",
  timed,
  async (clients) => {
    const { from, waitFor } = { from: clients.from(1), waitFor: clients.from(2) };
    const raw = await clients.dial({ from });
    // A connection that came 600 ms later stands for the time: the slow one has to go before it.
    await new Promise((wake) => setTimeout(wake, 600));
    const later = await clients.dial({ from: waitFor });
    const slow = await clients.secure(raw);
    let isLaterGone = false;
    void goneOf(later).then(() => {
      isLaterGone = true;
    });
    await goneOf(slow);
    assert.equal(isLaterGone, false);
    await goneOf(later);
  },
  { ways: bothListeners, atOnce: true },
);

limitTest(
  "connectTimeoutMs",
  "leaves alone who connected in time",
  timed,
  async (clients) => {
    const client = await clients.connect();
    const silent = await clients.open();
    await silent.expectEnd();
    await client.expectQuiet();
  },
  { atOnce: true },
);

limitTest(
  "preAuthBytes",
  "refuses a CONNECT that is larger as soon as it says so, and takes one that is not",
  sized,
  async (clients) => {
    const from = clients.from(1);
    const large = await clients.open({ from });
    large.send(connectOf(4_097, clients.version).subarray(0, 5));
    await large.expectEnd();
    await clients.events.first({ type: "protocol-error", limit: "preAuthBytes", address: from });
    const fits = await clients.open();
    fits.send(connectOf(4_096, clients.version));
    assert.equal((await fits.expect("CONNACK")).reasonCode, 0);
    await fits.publish(clients.topic("a"), Buffer.alloc(10_000), { qos: 1 });
  },
);

limitTest(
  "preAuthBytes",
  "ends a handshake that sends more, which a TLS library would keep",
  sized,
  async (clients) => {
    const from = clients.from(1);
    const socket = await clients.dial({ from });
    // The first bytes of a ClientHello of 60,000 bytes, in records of 1,000 bytes.
    socket.write(bytes("16 0301 03e8 01 00ea60 0303 00x994"));
    for (let i = 0; i < 5; i += 1) socket.write(bytes("16 0301 03e8 00x1000"));
    await goneOf(socket);
    await clients.events.first({ type: "handshake-refused", limit: "preAuthBytes", address: from });
    await clients.connect({ from });
  },
  { ways: bothListeners },
);

limitTest(
  "preAuthBytes",
  "ends a handshake whose long client certificate comes in part",
  sized,
  async (clients) => {
    const from = clients.from(1);
    const raw = await clients.dial({ from });
    const { key, cert, ca } = clients.deployment.credential("tester");
    const socket = sendingOnly(10_000, raw);
    const options = { servername: "localhost", key, cert: cert.repeat(40), ca };
    clients.keep(connectTls({ socket, ...options }));
    await goneOf(raw);
    await clients.events.first({ type: "handshake-refused", limit: "preAuthBytes", address: from });
    await clients.connect({ from });
  },
  { ways: bothListeners },
);

limitTest(
  "preAuthBytes",
  "ends a handshake that announces more than a TLS library may keep",
  sized,
  async (clients) => {
    const from = clients.from(1);
    const socket = await clients.dial({ from });
    socket.write(bytes("16 0301 03e8 01 030000 0303 00x994"));
    for (let i = 0; i < 5; i += 1) socket.write(bytes("16 0301 03e8 00x1000"));
    await goneOf(socket);
    await clients.events.first({ type: "handshake-refused", address: from });
  },
  { ways: bothListeners },
);

limitTest(
  "preAuthBytesTotal",
  "closes the connection whose unfinished CONNECT goes beyond, and only it",
  sized,
  async (clients) => {
    const from = clients.from(1);
    const unfinished = [];
    for (let i = 0; i < 4; i += 1) {
      const client = await clients.open();
      client.send(connectOf(4_096, clients.version).subarray(0, 4_000));
      unfinished.push(client);
    }
    const fifth = await clients.open({ from });
    fifth.send(connectOf(4_096, clients.version).subarray(0, 4_000));
    await fifth.expectEnd();
    await clients.events.first({
      type: "connect-refused",
      limit: "preAuthBytesTotal",
      address: from,
    });
    for (const client of unfinished) {
      client.send(connectOf(4_096, clients.version).subarray(4_000));
      assert.equal((await client.expect("CONNACK")).reasonCode, 0);
    }
    await until("room again", async () => {
      const again = await clients.open();
      again.send(connectOf(4_096, clients.version).subarray(0, 4_000));
      again.send(connectOf(4_096, clients.version).subarray(4_000));
      return (await again.expect("CONNACK")).reasonCode === 0 ? true : undefined;
    });
  },
  { ways: onlyV5 },
);
