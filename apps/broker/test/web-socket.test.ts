import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import fc from "fast-check";
import mqtt from "mqtt";
import { TlsTransport } from "../src/door/tls-transport.ts";
import type { Transport, TransportHandler } from "../src/door/transport.ts";
import { acceptWebSocket, type WebSocketOptions } from "../src/door/web-socket.ts";
import { unmask } from "../src/door/web-socket-frame.ts";

const key = "dGhlIHNhbXBsZSBub25jZQ==";
const goodFields = [
  "Host: broker.test:8884",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Version: 13",
  `Sec-WebSocket-Key: ${key}`,
  "Sec-WebSocket-Protocol: mqtt",
];
const goodHead = request(goodFields);

function request(fields: readonly string[], line = "GET /mqtt HTTP/1.1"): string {
  return `${[line, ...fields].join("\r\n")}\r\n\r\n`;
}

/** The good request with one field put in place of the one of the same name, or added. */
function requestWith(field: string): string {
  const name = field.slice(0, field.indexOf(":")).toLowerCase();
  const others = goodFields.filter((good) => !good.toLowerCase().startsWith(`${name}:`));
  return request([...others, field]);
}

function requestWithout(name: string): string {
  return request(goodFields.filter((good) => !good.startsWith(`${name}:`)));
}

interface FrameShape {
  readonly mask?: Buffer | false;
  /** Written as the length in place of the payload's own, in this many bytes (0, 2 or 8) after the short one. */
  readonly length?: number;
  readonly lengthBytes?: 0 | 2 | 8;
}

function frame(first: number, payload: Buffer | string, shape: FrameShape = {}): Buffer {
  const bytes = Buffer.from(payload);
  const length = shape.length ?? bytes.length;
  const lengthBytes = shape.lengthBytes ?? (length < 126 ? 0 : length <= 0xffff ? 2 : 8);
  const header = Buffer.alloc(2 + lengthBytes);
  header[0] = first;
  header[1] = lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127;
  if (lengthBytes === 2) header.writeUInt16BE(length, 2);
  if (lengthBytes === 8) header.writeBigUInt64BE(BigInt(length), 2);
  if (shape.mask === false) return Buffer.concat([header, bytes]);
  const mask = shape.mask ?? Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
  header[1] = (header[1] ?? 0) | 0x80;
  return Buffer.concat([header, mask, bytes.map((byte, i) => byte ^ (mask[i & 3] ?? 0))]);
}

/** What the server sent after its answer, as frames. */
function framesIn(bytes: Buffer): { first: number; payload: Buffer }[] {
  const frames: { first: number; payload: Buffer }[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const short = bytes[at + 1] ?? 0;
    assert.equal(short & 0x80, 0, "a server never masks");
    const start = at + (short === 127 ? 10 : short === 126 ? 4 : 2);
    if (start > bytes.length) break;
    let length = short;
    if (short === 126) length = bytes.readUInt16BE(at + 2);
    if (short === 127) length = Number(bytes.readBigUInt64BE(at + 2));
    if (start + length > bytes.length) break;
    frames.push({ first: bytes[at] ?? 0, payload: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return frames;
}

/** What carries the bytes of a WebSocket, under our hands. */
class FakeTransport implements Transport {
  handler: TransportHandler | undefined;
  sent = Buffer.alloc(0);
  ended = false;
  destroyed = false;
  isBlocked = false;
  readonly pendingBytes = 0;

  write(bytes: Buffer): boolean {
    this.sent = Buffer.concat([this.sent, bytes]);
    return !this.isBlocked;
  }
  end(): void {
    this.ended = true;
  }
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.handler?.closed();
  }
  pause(): void {}
  resume(): void {}
}

/** A WebSocket on a fake transport, with everything that comes out of it. */
function accept(options: Partial<WebSocketOptions> = {}) {
  const socket = new FakeTransport();
  const out = {
    socket,
    received: [] as Buffer[],
    refusals: [] as { check: string; why: string }[],
    transport: undefined as Transport | undefined,
    drained: 0,
    closed: 0,
    feed: (...pieces: (Buffer | string)[]) => {
      // A copy, because it is unmasked in place.
      for (const piece of pieces) socket.handler?.receive(Buffer.from(piece as Buffer));
    },
    answer: () => socket.sent.toString("latin1").split("\r\n\r\n")[0] ?? "",
    frames: () => framesIn(socket.sent.subarray(socket.sent.indexOf("\r\n\r\n") + 4)),
    mqtt: () => Buffer.concat(out.received),
  };
  socket.handler = acceptWebSocket(socket, {
    path: "/mqtt",
    origins: ["https://ward.example"],
    maximumHeaderBytes: 8192,
    maximumMessageBytes: 100_000,
    onRefused: (check, why) => out.refusals.push({ check, why }),
    onOpen: (transport) => {
      out.transport = transport;
      return {
        receive: (bytes) => out.received.push(Buffer.from(bytes)),
        drained: () => (out.drained += 1),
        closed: () => (out.closed += 1),
      };
    },
    ...options,
  });
  return out;
}

/** An open WebSocket, closed again when `use` returns. */
function open<T>(
  use: (opened: ReturnType<typeof accept>) => T,
  options: Partial<WebSocketOptions> = {},
): T {
  const opened = accept(options);
  opened.feed(goodHead);
  assert.match(opened.answer(), /^HTTP\/1\.1 101 /);
  try {
    return use(opened);
  } finally {
    opened.socket.destroy();
  }
}

const refusedHandshakes: readonly [
  name: string,
  head: string | Buffer,
  status: number,
  check: string,
][] = [
  ["POST", request(goodFields, "POST /mqtt HTTP/1.1"), 405, "web-socket-method"],
  ["get in lower case", request(goodFields, "Get /mqtt HTTP/1.1"), 405, "web-socket-method"],
  ["HTTP/1.0", request(goodFields, "GET /mqtt HTTP/1.0"), 505, "web-socket-http-version"],
  ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\n", 505, "web-socket-http-version"],
  ["HTTP/1.10", request(goodFields, "GET /mqtt HTTP/1.10"), 400, "web-socket-request"],
  ["no HTTP version", request(goodFields, "GET /mqtt"), 400, "web-socket-request"],
  [
    "a word after the version",
    request(goodFields, "GET /mqtt HTTP/1.1 x"),
    400,
    "web-socket-request",
  ],
  [
    "two spaces in the request line",
    request(goodFields, "GET  /mqtt HTTP/1.1"),
    400,
    "web-socket-request",
  ],
  [
    "a tab in the request line",
    request(goodFields, "GET\t/mqtt HTTP/1.1"),
    400,
    "web-socket-request",
  ],
  ["an empty line before the request", `\r\n${goodHead}`, 400, "web-socket-request"],
  ["another path", request(goodFields, "GET /other HTTP/1.1"), 404, "web-socket-path"],
  ["a query", request(goodFields, "GET /mqtt?x=1 HTTP/1.1"), 404, "web-socket-path"],
  [
    "a path that resolves to ours",
    request(goodFields, "GET /a/../mqtt HTTP/1.1"),
    404,
    "web-socket-path",
  ],
  ["an encoded path", request(goodFields, "GET /%6dqtt HTTP/1.1"), 404, "web-socket-path"],
  [
    "absolute form",
    request(goodFields, "GET https://broker.test/mqtt HTTP/1.1"),
    404,
    "web-socket-path",
  ],
  ["no Host", requestWithout("Host"), 400, "web-socket-host"],
  ["an empty Host", requestWith("Host: "), 400, "web-socket-host"],
  ["a Host that is no host", requestWith("Host: a b"), 400, "web-socket-host"],
  ["a Host with a user", requestWith("Host: a@broker.test"), 400, "web-socket-host"],
  [
    "two Hosts",
    request([...goodFields, "Host: broker.test:8884"]),
    400,
    "web-socket-duplicate-field",
  ],
  [
    "two Hosts in different case",
    request([...goodFields, "hOST: x"]),
    400,
    "web-socket-duplicate-field",
  ],
  [
    "two keys",
    request([...goodFields, `Sec-WebSocket-Key: ${key}`]),
    400,
    "web-socket-duplicate-field",
  ],
  [
    "two versions",
    request([...goodFields, "Sec-WebSocket-Version: 8"]),
    400,
    "web-socket-duplicate-field",
  ],
  [
    "two Origins",
    request([...goodFields, "Origin: https://ward.example", "Origin: https://ward.example"]),
    400,
    "web-socket-duplicate-field",
  ],
  ["no Upgrade", requestWithout("Upgrade"), 426, "web-socket-upgrade"],
  ["an upgrade to h2c", requestWith("Upgrade: h2c"), 426, "web-socket-upgrade"],
  [
    "an Upgrade that only contains the word",
    requestWith("Upgrade: websockets"),
    426,
    "web-socket-upgrade",
  ],
  ["no Connection", requestWithout("Connection"), 426, "web-socket-upgrade"],
  ["Connection: keep-alive", requestWith("Connection: keep-alive"), 426, "web-socket-upgrade"],
  ["no version", requestWithout("Sec-WebSocket-Version"), 426, "web-socket-version"],
  ["version 8", requestWith("Sec-WebSocket-Version: 8"), 426, "web-socket-version"],
  ["version 13, 8", requestWith("Sec-WebSocket-Version: 13, 8"), 426, "web-socket-version"],
  ["no key", requestWithout("Sec-WebSocket-Key"), 400, "web-socket-key"],
  [
    "a key of 15 bytes",
    requestWith("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"),
    400,
    "web-socket-key",
  ],
  [
    "a key of 17 bytes",
    requestWith("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA="),
    400,
    "web-socket-key",
  ],
  [
    "a key with spare bits",
    requestWith("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB=="),
    400,
    "web-socket-key",
  ],
  [
    "a key in base64url",
    requestWith("Sec-WebSocket-Key: A-AAAAAAAAAAAAAAAAAAAA=="),
    400,
    "web-socket-key",
  ],
  ["no subprotocol", requestWithout("Sec-WebSocket-Protocol"), 400, "web-socket-subprotocol"],
  ["mqttv3.1", requestWith("Sec-WebSocket-Protocol: mqttv3.1"), 400, "web-socket-subprotocol"],
  [
    "MQTT in upper case",
    requestWith("Sec-WebSocket-Protocol: MQTT"),
    400,
    "web-socket-subprotocol",
  ],
  [
    "a subprotocol that is no token",
    requestWith('Sec-WebSocket-Protocol: mqtt, "x"'),
    400,
    "web-socket-subprotocol",
  ],
  ["another Origin", requestWith("Origin: https://evil.example"), 403, "web-socket-origin"],
  [
    "an Origin that begins like ours",
    requestWith("Origin: https://ward.example.evil"),
    403,
    "web-socket-origin",
  ],
  ["our Origin over http", requestWith("Origin: http://ward.example"), 403, "web-socket-origin"],
  ["Origin: null", requestWith("Origin: null"), 403, "web-socket-origin"],
  ["an empty Origin", requestWith("Origin:"), 403, "web-socket-origin"],
  ["a body", requestWith("Content-Length: 5"), 400, "web-socket-body"],
  ["a chunked body", requestWith("Transfer-Encoding: chunked"), 400, "web-socket-body"],
  ["a folded field", requestWith("X: a\r\n b"), 400, "web-socket-request"],
  ["a field folded with a tab", requestWith("X: a\r\n\tb"), 400, "web-socket-request"],
  ["a bare LF", requestWith("X: a\nOrigin: b"), 400, "web-socket-request"],
  ["a bare CR", requestWith("X: a\rOrigin: b"), 400, "web-socket-request"],
  ["a NUL in a value", requestWith("X: a\0b"), 400, "web-socket-request"],
  [
    "a NUL in the request line",
    request(goodFields, "GET /mqtt\0 HTTP/1.1"),
    400,
    "web-socket-request",
  ],
  ["a NUL in a name", requestWith("X\0: b"), 400, "web-socket-request"],
  ["a space before the colon", requestWith("Host : other.test"), 400, "web-socket-request"],
  ["a space before the first name", requestWith(" X: a"), 400, "web-socket-request"],
  ["a field without a name", requestWith(": a"), 400, "web-socket-request"],
  ["a line without a colon", request([...goodFields, "Host"]), 400, "web-socket-request"],
  [
    "a Latin-1 letter in a name",
    Buffer.from(requestWith("H\xf6st: a"), "latin1"),
    400,
    "web-socket-request",
  ],
  [
    "an MQTT CONNECT without WebSocket",
    Buffer.from("101000044d51545405", "hex"),
    400,
    "web-socket-request",
  ],
];

const refusedFrames: readonly [name: string, bytes: Buffer, code: number][] = [
  ["a frame that is not masked", frame(0x82, "x", { mask: false }), 1002],
  ["RSV1, which would be compression", frame(0xc2, "x"), 1002],
  ["RSV2", frame(0xa2, "x"), 1002],
  ["RSV3", frame(0x92, "x"), 1002],
  ["RSV1 on a ping", frame(0xc9, "x"), 1002],
  ["text", frame(0x81, "x"), 1003],
  ["fragmented text", frame(0x01, "x"), 1003],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((code): [string, Buffer, number] => [
    `opcode ${code}`,
    frame(0x80 | code, "x"),
    1002,
  ]),
  ["a fragmented ping", frame(0x09, "x"), 1002],
  ["a fragmented Close frame", frame(0x08, ""), 1002],
  ["a ping of 126 bytes", frame(0x89, Buffer.alloc(126)), 1002],
  ["a ping whose length is in 8 bytes", frame(0x89, "x", { lengthBytes: 8 }), 1002],
  ["a continuation of nothing", frame(0x80, "x"), 1002],
  ["a message inside a message", Buffer.concat([frame(0x02, "x"), frame(0x82, "y")]), 1002],
  ["a continuation after the end", Buffer.concat([frame(0x82, "x"), frame(0x80, "y")]), 1002],
  ["125 in two bytes", frame(0x82, Buffer.alloc(125), { lengthBytes: 2 }), 1002],
  ["0 in two bytes", frame(0x82, "", { lengthBytes: 2 }), 1002],
  ["65535 in eight bytes", frame(0x82, Buffer.alloc(65_535), { lengthBytes: 8 }), 1002],
  ["one byte too many", frame(0x82, "", { length: 100_001 }), 1009],
  ["2^32 bytes", frame(0x82, "", { length: 2 ** 32 }), 1009],
  ["2^53 bytes", frame(0x82, "", { length: 2 ** 53 }), 1009],
  ["the largest 64-bit length", Buffer.from(`82ff${"ff".repeat(8)}00000000`, "hex"), 1009],
  [
    "fragments too large together",
    Buffer.concat([frame(0x02, Buffer.alloc(99_999)), frame(0x80, "xx")]),
    1009,
  ],
  ["a Close frame of one byte", frame(0x88, Buffer.from([3])), 1002],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535].map(
    (code): [string, Buffer, number] => [
      `a Close frame with ${code}`,
      frame(0x88, Buffer.from([code >> 8, code & 255])),
      1002,
    ],
  ),
  ["a Close frame whose reason is not UTF-8", frame(0x88, Buffer.from([3, 232, 0xff])), 1007],
  [
    "more pings in a row than MQTT has use for",
    Buffer.concat(Array(1001).fill(frame(0x89, ""))),
    1008,
  ],
  [
    "a message of endless empty fragments",
    Buffer.concat([frame(0x02, ""), ...Array(1001).fill(frame(0x00, ""))]),
    1008,
  ],
];

describe("the opening handshake", () => {
  for (const [name, head, status, check] of refusedHandshakes) {
    test(`refuses ${name} with ${status}`, () => {
      const refused = accept();
      // The bytes after it must not be read as frames.
      refused.feed(Buffer.concat([Buffer.from(head as Buffer), frame(0x82, "x")]));
      assert.match(refused.answer(), new RegExp(`^HTTP/1\\.1 ${status} [A-Z]`));
      assert.match(refused.answer(), /\r\nConnection: close(\r\n|$)/);
      assert.equal(refused.transport, undefined);
      assert.deepEqual(refused.received, []);
      assert.deepEqual(
        refused.refusals.map((refusal) => refusal.check),
        [check],
      );
      assert.equal(refused.socket.ended, true);
      refused.socket.destroy();
    });
  }

  test("says which version and method it wants", () => {
    for (const [head, field] of [
      [requestWith("Sec-WebSocket-Version: 8"), "Sec-WebSocket-Version: 13"],
      [requestWith("Upgrade: h2c"), "Upgrade: websocket"],
      [request(goodFields, "PUT /mqtt HTTP/1.1"), "Allow: GET"],
    ] as const) {
      const refused = accept();
      refused.feed(head);
      assert.ok(refused.answer().split("\r\n").includes(field), field);
      refused.socket.destroy();
    }
  });

  test("repeats nothing of the request in its answer or its reason", () => {
    const marker = "<script>marker";
    for (const head of [
      request(goodFields, `GET /${marker} HTTP/1.1`),
      requestWith(`Origin: ${marker}`),
      requestWith(`Sec-WebSocket-Protocol: ${marker}`),
      requestWith(`Host: ${marker}`),
      requestWith(`Sec-WebSocket-Key: ${marker}`),
    ]) {
      const refused = accept();
      refused.feed(head);
      assert.ok(!refused.socket.sent.includes("marker"));
      assert.ok(!JSON.stringify(refused.refusals).includes("marker"));
      refused.socket.destroy();
    }
  });

  test("refuses a head that is larger than its limit, however it comes", () => {
    const endless = `GET /mqtt HTTP/1.1\r\nX: ${"a".repeat(9000)}`;
    const atOnce = accept();
    atOnce.feed(endless);
    const byteByByte = accept();
    byteByByte.feed(...[...endless].map((character) => character));
    for (const refused of [atOnce, byteByByte]) {
      assert.match(refused.answer(), /^HTTP\/1\.1 431 /);
      assert.deepEqual(
        refused.refusals.map(({ check }) => check),
        ["web-socket-head-size"],
      );
      refused.socket.destroy();
    }
    const justTooLarge = accept({ maximumHeaderBytes: goodHead.length - 1 });
    justTooLarge.feed(goodHead);
    assert.match(justTooLarge.answer(), /^HTTP\/1\.1 431 /);
    justTooLarge.socket.destroy();
    open(() => {}, { maximumHeaderBytes: goodHead.length });
  });

  test("waits for the rest of a head and says nothing meanwhile", () => {
    const waiting = accept();
    waiting.feed(goodHead.slice(0, -1));
    assert.equal(waiting.socket.sent.length, 0);
    assert.deepEqual(waiting.refusals, []);
    waiting.feed("\n");
    assert.match(waiting.answer(), /^HTTP\/1\.1 101 /);
    waiting.socket.destroy();
    assert.equal(waiting.closed, 1);
  });

  test("answers with the accept key, the subprotocol mqtt and no extension", () => {
    const accepted = accept();
    accepted.feed(
      requestWith("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
    );
    assert.deepEqual(accepted.answer().split("\r\n"), [
      "HTTP/1.1 101 Switching Protocols",
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
      "Sec-WebSocket-Protocol: mqtt",
    ]);
    accepted.socket.destroy();
  });

  for (const [name, head] of [
    ["names in any case", goodHead.replaceAll(/^[A-Za-z-]+:/gm, (field) => field.toUpperCase())],
    ["values without spaces", goodHead.replaceAll(": ", ":")],
    ["values with more spaces", goodHead.replaceAll(/: (.*)\r/g, ": \t $1 \t\r")],
    ["Connection with other tokens", requestWith("Connection: keep-alive, Upgrade")],
    ["Upgrade in another case", requestWith("Upgrade: WebSocket")],
    ["mqtt after other subprotocols", requestWith("Sec-WebSocket-Protocol: mqttv3.1, mqtt")],
    [
      "subprotocols on two lines",
      request([
        ...goodFields.slice(0, -1),
        "Sec-WebSocket-Protocol: a",
        "Sec-WebSocket-Protocol: mqtt",
      ]),
    ],
    ["a listed Origin", requestWith("Origin: https://ward.example")],
    ["an IPv6 Host", requestWith("Host: [::1]:8884")],
    ["a cookie with Latin-1 letters", Buffer.from(requestWith("Cookie: \xe4"), "latin1")],
  ] as const) {
    test(`accepts ${name}`, () => {
      const accepted = accept();
      accepted.feed(head);
      assert.match(accepted.answer(), /^HTTP\/1\.1 101 /);
      assert.deepEqual(accepted.refusals, []);
      accepted.socket.destroy();
    });
  }
});

describe("frames from a client", () => {
  for (const [name, bytes, code] of refusedFrames) {
    test(`refuses ${name} with ${code}`, () =>
      open((opened) => {
        opened.feed(bytes, frame(0x82, "after"));
        const last = opened.frames().at(-1);
        assert.equal(last?.first, 0x88);
        assert.equal(last?.payload.readUInt16BE(0), code);
        assert.deepEqual(
          opened.refusals.map(({ check }) => check),
          ["web-socket-frame"],
        );
        assert.equal(opened.socket.ended, true);
        assert.ok(!opened.mqtt().includes("after"));
      }));
  }

  test("refuses an unmasked frame at its second byte", () =>
    open((opened) => {
      opened.feed(Buffer.from([0x82, 0x05]));
      assert.deepEqual(
        opened.refusals.map(({ why }) => why),
        ["a client frame is not masked"],
      );
    }));

  test("ends quietly when the connection is lost", () =>
    open((opened) => {
      opened.socket.handler?.closed();
      assert.equal(opened.closed, 1);
      assert.deepEqual(opened.refusals, []);
    }));

  test("refuses a large frame at its header, before any payload", () =>
    open((opened) => {
      opened.feed(frame(0x82, "", { length: 100_001 }).subarray(0, 13));
      assert.deepEqual(opened.refusals, []);
      opened.feed(Buffer.from([0]));
      assert.deepEqual(
        opened.frames().map(({ payload }) => payload.readUInt16BE(0)),
        [1009],
      );
    }));

  test("takes the largest message, in one frame or in fragments, and another after it", () =>
    open((opened) => {
      const whole = Buffer.alloc(100_000, "ab");
      opened.feed(
        frame(0x82, whole),
        frame(0x02, whole.subarray(0, 60_000)),
        frame(0x80, whole.subarray(60_000)),
      );
      assert.ok(opened.mqtt().equals(Buffer.concat([whole, whole])));
      assert.deepEqual(opened.refusals, []);
    }));

  test("gives what has come of a large frame without waiting for the rest", () =>
    open((opened) => {
      const bytes = frame(0x82, Buffer.alloc(90_000, 7));
      opened.feed(bytes.subarray(0, 1000));
      assert.ok(opened.mqtt().equals(Buffer.alloc(1000 - 14, 7)));
    }));

  test("reads frames that come with the handshake in one piece", () => {
    const opened = accept();
    opened.feed(Buffer.concat([Buffer.from(goodHead), frame(0x82, "a"), frame(0x82, "b")]));
    assert.equal(opened.mqtt().toString(), "ab");
    opened.socket.destroy();
  });

  test("answers a ping between the fragments of a message with its payload", () =>
    open((opened) => {
      opened.feed(
        frame(0x02, "a"),
        frame(0x89, "beat"),
        frame(0x00, "b"),
        frame(0x8a, "unasked"),
        frame(0x80, "c"),
      );
      assert.equal(opened.mqtt().toString(), "abc");
      assert.deepEqual(
        opened.frames().map(({ first, payload }) => [first, payload.toString()]),
        [[0x8a, "beat"]],
      );
    }));

  test("does not answer pings of a client that does not read", () =>
    open((opened) => {
      opened.socket.isBlocked = true;
      assert.equal(opened.transport?.write(Buffer.from("y")), false);
      opened.feed(frame(0x89, "beat"), frame(0x82, "x"));
      assert.equal(opened.mqtt().toString(), "x");
      opened.socket.isBlocked = false;
      opened.socket.handler?.drained();
      opened.feed(frame(0x89, "again"));
      assert.deepEqual(
        opened.frames().map(({ payload }) => payload.toString()),
        ["y", "again"],
      );
    }));

  test("forgets idle frames when MQTT comes", () =>
    open((opened) => {
      for (let i = 0; i < 3; i += 1)
        opened.feed(...Array(900).fill(frame(0x89, "")), frame(0x82, "x"));
      assert.deepEqual(opened.refusals, []);
    }));

  for (const [name, payload, code] of [
    ["without a code", Buffer.alloc(0), 1000],
    ["with 1000", Buffer.from([3, 232]), 1000],
    ["with 1001 and a reason", Buffer.from("\x03\xe9bye", "latin1"), 1001],
    ["with 4999", Buffer.from([19, 135]), 4999],
  ] as const) {
    test(`answers a Close frame ${name} and reads no more`, () =>
      open((opened) => {
        opened.feed(
          Buffer.concat([frame(0x88, payload), frame(0x82, "after")]),
          frame(0x82, "after"),
        );
        assert.deepEqual(
          opened.frames().map(({ first, payload: p }) => [first, p.readUInt16BE(0)]),
          [[0x88, code]],
        );
        assert.equal(opened.socket.ended, true);
        assert.deepEqual(opened.received, []);
        assert.deepEqual(opened.refusals, []);
        opened.socket.destroy();
        assert.equal(opened.closed, 1);
      }));
  }

  test("gives nothing more to a receiver that has ended or destroyed its transport", () => {
    for (const stop of ["end", "destroy"] as const) {
      const received: string[] = [];
      let closed = 0;
      const opened = accept({
        onOpen: (transport) => ({
          receive: (bytes) => {
            received.push(bytes.toString());
            transport[stop]();
          },
          drained: () => {},
          closed: () => (closed += 1),
        }),
      });
      opened.feed(goodHead, Buffer.concat([frame(0x82, "a"), frame(0x82, "b")]), frame(0x82, "c"));
      assert.deepEqual(received, ["a"]);
      opened.socket.destroy();
      assert.equal(closed, 1);
    }
  });

  test("gives the same MQTT bytes in any segmentation", () => {
    const pieces = fc.array(
      fc.record({
        payload: fc.uint8Array({ maxLength: 300 }),
        mask: fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fragments: fc.integer({ min: 1, max: 4 }),
        ping: fc.boolean(),
      }),
      { maxLength: 8 },
    );
    const cuts = fc.infiniteStream(fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 600 })));
    fc.assert(
      fc.property(pieces, cuts, (messages, cut) => {
        const stream: Buffer[] = [Buffer.from(goodHead)];
        for (const { payload, mask, fragments, ping } of messages) {
          const size = Math.ceil(payload.length / fragments);
          for (let i = 0; i < fragments; i += 1) {
            const first = (i === fragments - 1 ? 0x80 : 0) | (i === 0 ? 2 : 0);
            const part = Buffer.from(payload.slice(i * size, (i + 1) * size));
            stream.push(frame(first, part, { mask: Buffer.from(mask) }));
            if (ping) stream.push(frame(0x89, part.subarray(0, 125)));
          }
        }
        const bytes = Buffer.concat(stream);
        const opened = accept();
        for (let at = 0; at < bytes.length; ) {
          const end = at + (cut.next().value ?? 1);
          opened.feed(bytes.subarray(at, end));
          at = end;
        }
        opened.socket.destroy();
        assert.ok(opened.mqtt().equals(Buffer.concat(messages.map(({ payload }) => payload))));
        assert.deepEqual(opened.refusals, []);
        assert.equal(
          opened.frames().length,
          messages.reduce((sum, m) => sum + (m.ping ? m.fragments : 0), 0),
        );
      }),
    );
  });

  test("never throws, and refuses at most once, whatever comes", () => {
    const anyBytes = fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc
          .tuple(
            fc.integer({ min: 0, max: 255 }),
            fc.uint8Array({ maxLength: 140 }),
            fc.constantFrom(0, 2, 8),
          )
          .map(([first, payload, lengthBytes]) =>
            frame(first, Buffer.from(payload), {
              lengthBytes: payload.length > 125 ? 2 : (lengthBytes as 0),
            }),
          ),
        fc.constant(Buffer.from(goodHead)),
      ),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(fc.boolean(), anyBytes, (handshakeFirst, pieces) => {
        const opened = accept();
        if (handshakeFirst) opened.feed(goodHead);
        opened.feed(...pieces.map((piece) => Buffer.from(piece)));
        opened.socket.destroy();
        assert.ok(opened.refusals.length <= 1);
        assert.equal(opened.closed, opened.transport === undefined ? 0 : 1);
        assert.ok(opened.frames().every(({ first }) => first === 0x8a || first === 0x88));
      }),
      { numRuns: 500 },
    );
  });

  test("unmasks as the plain definition does, at any alignment and offset", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.nat(10_000),
        fc.nat(8),
        (payload, mask, offset, alignment) => {
          const bytes = Buffer.alloc(alignment + payload.length + 3, 0x55);
          bytes.set(payload, alignment);
          unmask(bytes.subarray(alignment, alignment + payload.length), mask, offset);
          const plain = payload.map((byte, i) => byte ^ (mask[(i + offset) % 4] ?? 0));
          assert.deepEqual([...bytes.subarray(alignment, alignment + payload.length)], [...plain]);
          assert.ok(
            [...bytes.subarray(0, alignment), ...bytes.subarray(-3)].every((byte) => byte === 0x55),
          );
        },
      ),
    );
  });
});

describe("frames to a client", () => {
  for (const [length, header] of [
    [1, "8201"],
    [125, "827d"],
    [126, "827e007e"],
    [65_535, "827effff"],
    [65_536, "827f0000000000010000"],
  ] as const) {
    test(`${length} bytes are one frame with the header ${header}`, () =>
      open((opened) => {
        const payload = Buffer.alloc(length, "wave");
        opened.transport?.write(payload);
        const sent = opened.socket.sent.subarray(opened.socket.sent.indexOf("\r\n\r\n") + 4);
        assert.equal(sent.subarray(0, header.length / 2).toString("hex"), header);
        assert.ok(sent.subarray(header.length / 2).equals(payload));
      }));
  }

  test("an empty write sends nothing, and a write after the end sends nothing", () =>
    open((opened) => {
      assert.equal(opened.transport?.write(Buffer.alloc(0)), true);
      assert.equal(opened.socket.sent.length, opened.socket.sent.indexOf("\r\n\r\n") + 4);
      opened.transport?.end();
      opened.transport?.write(Buffer.from("late"));
      opened.transport?.end();
      assert.deepEqual(
        opened.frames().map(({ first, payload }) => [first, payload.readUInt16BE(0)]),
        [[0x88, 1000]],
      );
    }));
});

/** A certificate for the loopback, made for this run. */
const certificate = (() => {
  const folder = mkdtempSync(join(tmpdir(), "wardmq-ws-"));
  const files = ["-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")];
  const extension = ["-addext", "subjectAltName=DNS:broker.test"];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  execFileSync(
    "openssl",
    ["req", "-x509", ...kind, "-subj", "/CN=broker.test", ...extension, ...files],
    { stdio: "ignore" },
  );
  const pair = {
    key: readFileSync(join(folder, "key.pem")),
    cert: readFileSync(join(folder, "cert.pem")),
  };
  rmSync(folder, { recursive: true });
  return pair;
})();

const cleanups: (() => void)[] = [];
after(() => {
  for (const cleanup of cleanups) cleanup();
});

/** Polls until `holds`, at most ten seconds. */
async function until(holds: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1000 && !holds(); i += 1) await new Promise((wake) => setTimeout(wake, 10));
  assert.ok(holds(), what);
}

async function listen(
  version: "TLSv1.2" | "TLSv1.3",
  onSocket: (socket: TLSSocket) => void,
): Promise<number> {
  const server = createServer(
    { ...certificate, minVersion: version, maxVersion: version },
    (socket) => {
      cleanups.push(() => socket.destroy());
      onSocket(socket);
    },
  );
  // As the door does: TLS on a TCP socket.
  const listener = createTcpServer((socket) => server.emit("connection", socket));
  cleanups.push(() => listener.close());
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return (listener.address() as AddressInfo).port;
}

async function dial(port: number, allowHalfOpen = false): Promise<TLSSocket> {
  // Not in the types of `connect`, though it is in its documentation.
  const halfOpen: object = { allowHalfOpen };
  const socket = connect({
    ...halfOpen,
    port,
    host: "127.0.0.1",
    servername: "broker.test",
    ca: certificate.cert,
  });
  socket.on("error", () => {});
  cleanups.push(() => socket.destroy());
  await once(socket, "secureConnect");
  return socket;
}

function overSocket(socket: TLSSocket, onOpen: WebSocketOptions["onOpen"]): void {
  const under = new TlsTransport(socket);
  under.attach(
    acceptWebSocket(under, {
      path: "/mqtt",
      origins: [],
      maximumHeaderBytes: 8192,
      maximumMessageBytes: 2 ** 30,
      onRefused: (check) => assert.fail(check),
      onOpen,
    }),
  );
}

/** A WebSocket over TLS: our end with what came out of it, and the client's socket after the handshake. */
async function overTls(options: { allowHalfOpen?: boolean } = {}) {
  const ours = {
    socket: undefined as TLSSocket | undefined,
    transport: undefined as Transport | undefined,
    received: 0,
    drained: 0,
    closed: 0,
  };
  const port = await listen("TLSv1.3", (socket) => {
    ours.socket = socket;
    overSocket(socket, (transport) => {
      ours.transport = transport;
      return {
        receive: (bytes) => (ours.received += bytes.length),
        drained: () => (ours.drained += 1),
        closed: () => (ours.closed += 1),
      };
    });
  });
  const client = await dial(port, options.allowHalfOpen);
  client.write(goodHead);
  const [answer] = (await once(client, "data")) as [Buffer];
  client.pause();
  assert.match(answer.toString("latin1"), /^HTTP\/1\.1 101 /);
  assert.ok(answer.subarray(-4).equals(Buffer.from("\r\n\r\n")));
  const { socket, transport } = ours;
  assert.ok(socket !== undefined && transport !== undefined);
  const got: Buffer[] = [];
  const read = () => client.on("data", (bytes: Buffer) => got.push(Buffer.from(bytes))).resume();
  return { ours, socket, transport, client, read, frames: () => framesIn(Buffer.concat(got)) };
}

describe("a WebSocket over TLS", () => {
  test("says to stop when the client does not read, and goes on when it does", async () => {
    const { ours, transport, client, read, frames } = await overTls();
    const buffer = Buffer.alloc(32 * 1024);
    let writes = 0;
    let open = true;
    for (; writes < 2000 && open; writes += 1) {
      buffer.fill(writes & 255); // The one buffer is used again and again.
      open = transport.write(buffer);
      if (writes % 8 === 7) await new Promise((wake) => setImmediate(wake));
    }
    assert.equal(open, false);
    assert.ok(
      transport.pendingBytes > 0 && transport.pendingBytes <= 8 * 33 * 1024,
      `${transport.pendingBytes}`,
    );
    assert.equal(ours.drained, 0);
    read();
    await until(
      () => frames().length === writes && ours.drained === 1,
      "all frames arrive and drained is called",
    );
    assert.equal(transport.pendingBytes, 0);
    assert.ok(frames().every(({ payload }, i) => payload.every((byte) => byte === (i & 255))));
    client.destroy();
  });

  test("keeps few answers for a client that pings and does not read", async () => {
    const { ours, socket, client } = await overTls();
    const burst = Buffer.concat([
      ...Array(900).fill(frame(0x89, Buffer.alloc(125))),
      frame(0x82, "x"),
    ]);
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, socket.writableLength)), 1);
    for (let i = 0; i < 100; i += 1) client.write(burst);
    await until(() => ours.received === 100, "the frames between the pings arrive");
    clearInterval(watch);
    // Its high-water mark, and the one answer that passes it.
    assert.ok(most <= socket.writableHighWaterMark + 127, `${most}`);
    client.destroy();
  });

  test("reads nothing while it is paused, and everything afterwards", async () => {
    const { ours, socket, transport, client } = await overTls();
    transport.pause();
    const payload = Buffer.alloc(1 << 20);
    for (let i = 0; i < 32; i += 1) client.write(frame(0x82, payload));
    let before = -1;
    for (let calm = 0; calm < 20; calm += 1) {
      if (socket.bytesRead !== before) calm = 0;
      before = socket.bytesRead;
      await new Promise((wake) => setTimeout(wake, 10));
    }
    assert.ok(ours.received < 2 << 20, `${ours.received}`);
    transport.resume();
    await until(() => ours.received === 32 << 20, "all payload arrives");
    client.destroy();
  });

  test("sends what is pending before it closes with 1000", async () => {
    const { ours, transport, read, frames } = await overTls();
    for (let i = 0; i < 40; i += 1) transport.write(Buffer.alloc(64 * 1024, i));
    transport.end();
    read();
    await until(() => ours.closed === 1, "the connection closes");
    assert.deepEqual(
      frames().map(({ first, payload }) => [first, payload[0]]),
      [...Array.from({ length: 40 }, (_, i) => [0x82, i]), [0x88, 3]],
    );
  });

  test("closes a client that neither reads nor closes", async () => {
    const { ours, transport } = await overTls({ allowHalfOpen: true });
    transport.end();
    await until(() => ours.closed === 1, "the connection closes");
  });

  test("closes once when the client is gone or when it is destroyed", async () => {
    for (const whose of ["client", "transport"] as const) {
      const both = await overTls();
      both[whose].destroy();
      await until(() => both.ours.closed > 0, "the connection closes");
      both.transport.end();
      both.transport.destroy();
      both.transport.pause();
      both.transport.resume();
      both.transport.write(Buffer.from("x"));
      await new Promise((wake) => setImmediate(wake));
      assert.equal(both.ours.closed, 1);
    }
  });

  test("opens for MQTT.js", async () => {
    let transport: Transport | undefined;
    const received: Buffer[] = [];
    const port = await listen("TLSv1.3", (socket) =>
      overSocket(socket, (opened) => {
        transport = opened;
        return {
          receive: (bytes) => {
            if (received.push(Buffer.from(bytes)) === 1)
              opened.write(Buffer.from([0x20, 3, 0, 0, 0]));
          },
          drained: () => {},
          closed: () => {},
        };
      }),
    );
    const tls = { servername: "broker.test", ca: certificate.cert };
    const client = mqtt.connect(`wss://127.0.0.1:${port}/mqtt`, {
      protocolVersion: 5,
      reconnectPeriod: 0,
      wsOptions: tls,
    });
    cleanups.push(() => client.end(true));
    await new Promise((connected) => client.once("connect", connected));
    assert.equal(received[0]?.[0], 0x10);
    await client.endAsync();
    transport?.destroy();
  });
});

describe("what src/door/transport.ts says of a TLSSocket", () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    test(`a buffer written on an idle socket is free at once, whether the peer reads or not (${version})`, async () => {
      const sizes = [100, 1400, 16_384, 16_385, 300_000, 1 << 20];
      const total = 60;
      const port = await listen(version, (socket) => {
        const buffer = Buffer.alloc(1 << 20);
        let writes = 0;
        const next = () => {
          if (writes === total) return void socket.end();
          assert.equal(socket.writableLength, 0);
          const bytes = buffer.subarray(0, sizes[writes % sizes.length]).fill(writes);
          writes += 1;
          socket.write(bytes, next);
          assert.ok(socket.writableLength > 0, "and writableLength never says so");
          buffer.fill(0xee);
        };
        next();
      });
      const client = await dial(port);
      const hash = createHash("sha256");
      let length = 0;
      let nextStall = 0;
      client.on("data", (bytes: Buffer) => {
        hash.update(bytes);
        length += bytes.length;
        if (length < nextStall) return;
        nextStall = length + (1 << 20);
        client.pause();
        setTimeout(() => client.resume(), 20);
      });
      await once(client, "close");
      const expected = createHash("sha256");
      for (let i = 0; i < total; i += 1)
        expected.update(Buffer.alloc(sizes[i % sizes.length] ?? 0, i));
      assert.equal(hash.digest("hex"), expected.digest("hex"));
    });
  }
});
