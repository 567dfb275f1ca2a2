import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { TLSSocket } from "node:tls";
import type { Limits } from "@wardmq/feed";
import { environmentFaults } from "@wardmq/tls";
import { type Issued, issue } from "../../../test/support/certificates.ts";
import {
  attempt,
  type DoorOptions,
  dialRaw,
  dialTcp,
  dialTls,
  echoes,
  endAll,
  goneOf,
  issueServer,
  makePki,
  opensslIsMissing,
  record,
  spiffe,
  startDoor,
  type TestDoor,
  until,
  uuid,
} from "./door-under-test.ts";

const pki = await makePki();
const device = await pki.device(1);
after(endAll);

/** A door that knows the device 1. */
async function doorWithDevice(options: DoorOptions = {}): Promise<TestDoor> {
  const under = await startDoor(pki, options);
  under.subjects.put(record(1, device));
  return under;
}

const strict = { profile: "nist", minVersion: "TLSv1.3" } as const;
const with12 = { profile: "nist", minVersion: "TLSv1.2" } as const;
const modern = { profile: "modern", minVersion: "TLSv1.2" } as const;
const version10 = ["-tls1", "-cipher", "ALL:@SECLEVEL=0"];
const version11 = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];

// Node and Bun stand on OpenSSL and BoringSSL, which give some refusals different names.
const version = /^ERR_SSL_UNSUPPORTED_PROTOCOL$/;
const suite = /^ERR_SSL_(NO_SHARED_CIPHER|WRONG_CURVE)$/;
// BoringSSL has no choice of the suites of TLS 1.3, so there the door refuses after the handshake.
const suite13 = /^(ERR_SSL_NO_SHARED_CIPHER|cipher-suite)$/;
const group =
  /^ERR_SSL_(NO_SUITABLE_KEY_SHARE|NO_SHARED_GROUP|NO_SHARED_CIPHER|WRONG_CURVE|NO_SUITABLE_GROUPS)$/;
const sni = /^sni$/;
const alpn = /^ERR_SSL_NO_APPLICATION_PROTOCOL$/;
/** Several names fit a path that leads nowhere, and BoringSSL does not always say the same; Node lacks one of OpenSSL's. */
const noPath =
  /DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(_LOCALLY)?)|INVALID_CA|UNSPECIFIED/;

/** Handshakes with a good certificate that fail all the same. */
const refusedHandshakes: readonly [
  name: string,
  tls: DoorOptions["tls"],
  args: readonly string[],
  check: RegExp,
][] = [
  ["TLS 1.0", with12, version10, version],
  ["TLS 1.1", with12, version11, version],
  ["TLS 1.2 where it is not written out", strict, ["-tls1_2"], version],
  ["CBC with SHA-256", with12, ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"], suite],
  ["CBC with SHA-1", with12, ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA"], suite],
  ["CCM", with12, ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM"], suite],
  ["CCM in TLS 1.3", strict, ["-ciphersuites", "TLS_AES_128_CCM_SHA256"], suite],
  ["ChaCha20 in TLS 1.2", with12, ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], suite],
  ["ChaCha20 in TLS 1.3", strict, ["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], suite13],
  ["RSA key exchange", with12, ["-tls1_2", "-cipher", "AES256-GCM-SHA384"], suite],
  ["DHE key exchange", with12, ["-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384"], suite],
  ["no encryption", with12, ["-tls1_2", "-cipher", "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0"], suite],
  ["X25519 alone", strict, ["-curves", "X25519"], group],
  ["X25519 alone in TLS 1.2", with12, ["-tls1_2", "-curves", "X25519"], group],
  ["P-521", strict, ["-curves", "P-521"], group],
  ["finite-field groups", strict, ["-curves", "ffdhe2048"], group],
  ["no server name", strict, ["-noservername"], sni],
  ["no server name in TLS 1.2", with12, ["-tls1_2", "-noservername"], sni],
  ["another server name", strict, ["-servername", "evil.test"], sni],
  ["another server name in TLS 1.2", with12, ["-tls1_2", "-servername", "evil.test"], sni],
  ["a server name under ours", strict, ["-servername", "a.broker.test"], sni],
  ["a wildcard as a server name", strict, ["-servername", "*.test"], sni],
  ["a server name with a control character", strict, ["-servername", "broker.test\u0001"], sni],
  ["a server name of 255 bytes", strict, ["-servername", `${"a".repeat(243)}.broker.test`], sni],
  ["ALPN h2", strict, ["-alpn", "h2"], alpn],
  ["ALPN http/1.1 on the port of MQTT", strict, ["-alpn", "http/1.1"], alpn],
  ["ALPN MQTT in upper case", strict, ["-alpn", "MQTT"], alpn],
];

const acceptedHandshakes: readonly [
  name: string,
  tls: DoorOptions["tls"],
  args: readonly string[],
][] = [
  ["TLS 1.3 without ALPN", strict, ["-tls1_3"]],
  ["ALPN mqtt", strict, ["-alpn", "mqtt"]],
  ["ALPN mqtt after another", strict, ["-alpn", "h2,mqtt"]],
  ["AES-128-GCM", strict, ["-ciphersuites", "TLS_AES_128_GCM_SHA256"]],
  ["AES-256-GCM", strict, ["-ciphersuites", "TLS_AES_256_GCM_SHA384"]],
  ["P-256", strict, ["-curves", "P-256"]],
  ["P-384", strict, ["-curves", "P-384"]],
  ["TLS 1.2 where it is written out", with12, ["-tls1_2"]],
  ["AES-128-GCM in TLS 1.2", with12, ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]],
  ["TLS 1.3 beside TLS 1.2", with12, ["-tls1_3"]],
  ["X25519 in the profile modern", modern, ["-curves", "X25519"]],
  ["ChaCha20 in the profile modern", modern, ["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"]],
  [
    "ChaCha20 in TLS 1.2 in the profile modern",
    modern,
    ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
  ],
  ["the other configured host", strict, ["-servername", "other.test"]],
  ["a server name in upper case", strict, ["-servername", "BROKER.test"]],
];

describe("the handshake", { skip: opensslIsMissing }, () => {
  const doors = new Map<DoorOptions["tls"], Promise<TestDoor>>();
  const doorFor = (tls: DoorOptions["tls"]) => {
    const open = doors.get(tls) ?? doorWithDevice({ ...(tls === undefined ? {} : { tls }) });
    doors.set(tls, open);
    return open;
  };

  for (const [name, tls, args, check] of refusedHandshakes) {
    test(`refuses ${name}`, async () => {
      const under = await doorFor(tls);
      const { opened, refused, output } = await attempt(under, args, device);
      assert.equal(opened, undefined);
      assert.equal(refused?.type, "handshake-refused", output);
      assert.equal(refused.address, "127.0.0.1");
      assert.equal(refused.listener, "mqtts");
      assert.match(refused.check ?? "", check);
      assert.notEqual(refused.why ?? "", "");
      assert.notEqual(refused.why, "the TLS handshake failed");
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is left is what is asserted
      assert.doesNotMatch(JSON.stringify(refused), /[\x00-\x1f]|\\u00/);
    });
  }

  for (const [name, tls, args] of acceptedHandshakes) {
    test(`accepts ${name}`, async () => {
      const under = await doorFor(tls);
      const { opened, refused, output } = await attempt(under, args, device);
      assert.equal(refused, undefined);
      assert.equal(opened?.peer.subject.id, `device:${uuid(1)}`, output);
      assert.equal(opened.peer.fingerprint, device.fingerprint);
      assert.equal(opened.peer.address, "127.0.0.1");
      assert.equal(opened.peer.listener, "mqtts");
      assert.equal(opened.peer.notAfter, Date.parse(device.x509.validTo));
    });
  }

  test("answers ALPN with mqtt", async () => {
    // With a key share it can use: on Node a context chosen by SNI loses the answer when OpenSSL has to ask for another.
    const { output } = await attempt(
      await doorFor(strict),
      ["-alpn", "mqtt", "-curves", "P-256"],
      device,
    );
    assert.match(output, /ALPN protocol: mqtt/);
  });

  test("says which name was asked for, made printable", async () => {
    const { refused } = await attempt(await doorFor(strict), ["-servername", "evil.test"], device);
    assert.equal(refused?.sni, "evil.test");
  });

  test("refuses RSA key exchange where the server key is RSA, and accepts ECDHE with it", async () => {
    const server = await issueServer(pki.issuing, "RSA");
    const under = await doorWithDevice({ tls: with12, server });
    const rsa = await attempt(under, ["-tls1_2", "-cipher", "AES256-GCM-SHA384"], device);
    assert.equal(rsa.opened, undefined, rsa.output);
    const ecdhe = await attempt(
      under,
      ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"],
      device,
    );
    assert.ok(ecdhe.opened !== undefined, ecdhe.output);
  });

  for (const version of ["-tls1_2", "-tls1_3"]) {
    test(`never resumes a session of ${version.slice(1)}`, async () => {
      const under = await doorFor(with12);
      const folder = mkdtempSync(join(tmpdir(), "wardmq-session-"));
      const file = join(folder, "session");
      const first = await attempt(under, [version, "-sess_out", file], device);
      assert.match(first.output, /^New, TLSv1\.[23]/m);
      if (existsSync(file)) {
        const second = await attempt(under, [version, "-sess_in", file], device);
        assert.match(second.output, /^New, TLSv1\.[23]/m);
        assert.doesNotMatch(second.output, /^Reused/m);
        // And what the ticket's owner has lost since counts.
        under.subjects.put(record(1));
        const third = await attempt(under, [version, "-sess_in", file], device);
        under.subjects.put(record(1, device));
        assert.equal(third.opened, undefined);
        assert.equal(third.refused?.check, "certificate-bound");
      }
      rmSync(folder, { recursive: true });
    });
  }

  test("ends a connection that renegotiates", async () => {
    const under = await doorFor(with12);
    const { opened, output, wasKilled } = await attempt(under, ["-tls1_2"], device, ["R"]);
    assert.match(output, /RENEGOTIATING/);
    assert.equal(wasKilled, false, "s_client would stay as long as the connection does");
    await until(
      () => opened?.isClosed === true,
      () => output,
    );
  });
});

const upgradeRequest = [
  "GET /mqtt HTTP/1.1",
  "Host: broker.test",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Protocol: mqtt",
  "\r\n",
].join("\r\n");

const clientUsages = ["clientAuth"] as const;
const hour = 3_600_000;
const names = (...uris: readonly string[]) => uris.map((uri) => ({ uri }));
const foreignIssuing = await issue(pki.foreignRoot, {
  commonName: "Issuing",
  isAuthority: true,
  usages: ["serverAuth", "clientAuth"],
});
const good = { commonName: uuid(1), names: names(spiffe(1)), usages: clientUsages };

/** What a device may present; `bound` certificates stand in the record of device 1, so only the named rule is broken. */
const refusedCertificates: readonly {
  readonly name: string;
  readonly check: string;
  readonly why: RegExp;
  readonly bound: boolean;
  readonly make: () => Promise<Issued | undefined>;
}[] = [
  {
    name: "no certificate",
    check: "client-certificate",
    why: /presented no certificate/,
    bound: false,
    make: async () => undefined,
  },
  {
    name: "a certificate of a foreign CA with our names",
    check: "certification-path",
    why: noPath,
    bound: true,
    make: () => issue(foreignIssuing, good),
  },
  {
    name: "a self-signed certificate",
    check: "certification-path",
    why: noPath,
    bound: true,
    make: () => issue(undefined, good),
  },
  {
    name: "a certificate signed with a device's key",
    check: "certification-path",
    why: noPath,
    bound: true,
    make: async () => issue(await issue(pki.issuing, good), good),
  },
  {
    name: "an expired certificate",
    check: "certification-path",
    why: /CERT_HAS_EXPIRED/,
    bound: true,
    make: () => issue(pki.issuing, { ...good, notBefore: -2 * hour, notAfter: -hour }),
  },
  {
    name: "a certificate that is not yet valid",
    check: "certification-path",
    why: /CERT_NOT_YET_VALID/,
    bound: true,
    make: () => issue(pki.issuing, { ...good, notBefore: hour }),
  },
  {
    name: "a certificate for servers only",
    check: "certification-path",
    why: /INVALID_PURPOSE/,
    bound: true,
    make: () => issue(pki.issuing, { ...good, usages: ["serverAuth"] }),
  },
  {
    name: "a certificate with two URIs",
    check: "subject-alt-name",
    why: /not exactly the SPIFFE ID/,
    bound: true,
    make: () => issue(pki.issuing, { ...good, names: names(spiffe(1), spiffe(2)) }),
  },
  {
    name: "a certificate with its URI twice",
    check: "subject-alt-name",
    why: /not exactly the SPIFFE ID/,
    bound: true,
    make: () => issue(pki.issuing, { ...good, names: names(spiffe(1), spiffe(1)) }),
  },
  {
    name: "a certificate with a host beside its URI",
    check: "subject-alt-name",
    why: /not exactly the SPIFFE ID/,
    bound: true,
    make: () => issue(pki.issuing, { ...good, names: [{ uri: spiffe(1) }, { dns: "a.test" }] }),
  },
  {
    name: "a certificate whose URI looks like two",
    check: "subject-alt-name",
    why: /not exactly the SPIFFE ID/,
    bound: true,
    make: () => issue(pki.issuing, { ...good, names: names(`${spiffe(1)}, URI:${spiffe(2)}`) }),
  },
  {
    name: "a host that is written like our URI",
    check: "subject-alt-name",
    why: /not exactly the SPIFFE ID/,
    bound: true,
    make: () => issue(pki.issuing, { ...good, names: [{ dns: `URI:${spiffe(1)}` }] }),
  },
  {
    name: "a certificate without subjectAltName",
    check: "subject-alt-name",
    why: /not exactly the SPIFFE ID/,
    bound: true,
    make: () => issue(pki.issuing, { commonName: uuid(1), usages: clientUsages }),
  },
  {
    name: "a certificate with another subject's SPIFFE ID",
    check: "subject-alt-name",
    why: /not exactly the SPIFFE ID/,
    bound: true,
    make: () => issue(pki.issuing, { ...good, names: names(spiffe(2)) }),
  },
  {
    name: "a certificate of another trust domain",
    check: "subject-alt-name",
    why: /not exactly the SPIFFE ID/,
    bound: true,
    make: () => issue(pki.issuing, { ...good, names: names(spiffe(1).replace("test.", "prod.")) }),
  },
  {
    name: "a certificate whose URI differs in case",
    check: "subject-alt-name",
    why: /not exactly the SPIFFE ID/,
    bound: true,
    make: () =>
      issue(pki.issuing, { ...good, names: names(spiffe(1).replace("device", "Device")) }),
  },
  {
    name: "a certificate of ours that is bound to no record",
    check: "certificate-bound",
    why: /not bound to any record/,
    bound: false,
    make: () => issue(pki.issuing, good),
  },
  {
    name: "the certificate of the server",
    check: "certification-path",
    why: /INVALID_PURPOSE/,
    bound: false,
    make: async () => pki.server,
  },
];

describe("the identity of a client", () => {
  for (const listener of ["mqtts", "wss"] as const) {
    test(`lets in a device with the certificate of its record (${listener})`, async () => {
      const under = await doorWithDevice();
      const socket = await dialTls(under[listener], pki, device);
      if (listener === "wss") socket.write(upgradeRequest);
      await until(
        () => under.opened.length === 1,
        () => JSON.stringify(under.events),
      );
      assert.deepEqual(under.events, []);
      assert.equal(under.opened[0]?.peer.subject.id, `device:${uuid(1)}`);
      assert.equal(under.opened[0]?.peer.listener, listener);
    });

    for (const { name, check, why, bound, make } of refusedCertificates) {
      test(`refuses ${name} (${listener})`, async () => {
        const under = await doorWithDevice();
        const client = await make();
        if (bound && client !== undefined) under.subjects.put(record(1, device, client));
        const { closed } = await dialRefused(under[listener], client);
        await closed;
        assert.equal(under.opened.length, 0);
        assert.equal(under.events.length, 1, JSON.stringify(under.events));
        assertRefusal(under, { check, why, listener, client });
      });
    }
  }

  test("refuses a revoked certificate and leaves the subject's other one alone", async () => {
    const under = await startDoor(pki);
    const other = await pki.device(1);
    const [first, ...rest] = record(1, device, other).certificates;
    assert.ok(first !== undefined);
    const revoked = {
      ...record(1),
      certificates: [{ ...first, state: "revoked" as const }, ...rest],
    };
    under.subjects.put(revoked);
    await (await dialRefused(under.mqtts, device)).closed;
    assertRefusal(under, {
      check: "certificate-active",
      why: /revoked/,
      listener: "mqtts",
      client: device,
    });
    await dialTls(under.mqtts, pki, other);
    await until(
      () => under.opened.length === 1,
      () => JSON.stringify(under.events),
    );
  });

  test("refuses a revoked subject and one that was removed", async () => {
    const under = await startDoor(pki);
    under.subjects.put({ ...record(1, device), state: "revoked" });
    await (await dialRefused(under.mqtts, device)).closed;
    assertRefusal(under, {
      check: "subject-active",
      why: /revoked/,
      listener: "mqtts",
      client: device,
    });
    under.subjects.remove(`device:${uuid(1)}`);
    await (await dialRefused(under.mqtts, device)).closed;
    assert.equal(under.events.at(-1)?.check, "certificate-bound");
    assert.equal(under.opened.length, 0);
  });

  test("trusts the issuing CA it was given, and nothing else under the root", async () => {
    const under = await startDoor(pki);
    under.door.useCredentials(under.credentials({ trustAnchors: [pki.issuing.pem] }));
    const sibling = await issue(pki.root, {
      commonName: "Sibling",
      isAuthority: true,
      usages: ["serverAuth", "clientAuth"],
    });
    const theirs = await issue(sibling, good);
    under.subjects.put(record(1, device, theirs));
    await (await dialRefused(under.mqtts, theirs)).closed;
    assert.equal(under.events.at(-1)?.check, "certification-path");
    assert.equal(under.opened.length, 0);
    assert.ok(await echoes(await dialTls(under.mqtts, pki, device), "ours"));
  });

  test("refuses everybody while the revocation data is too old", async () => {
    const under = await doorWithDevice();
    under.state.isStale = true;
    await (await dialRefused(under.mqtts, device)).closed;
    assertRefusal(under, {
      check: "revocation-data",
      why: /too old/,
      listener: "mqtts",
      client: device,
    });
    under.state.isStale = false;
    await dialTls(under.mqtts, pki, device);
    await until(
      () => under.opened.length === 1,
      () => JSON.stringify(under.events),
    );
  });

  test("reads nothing of what a refused client sends", async () => {
    const under = await doorWithDevice();
    const stranger = await issue(pki.issuing, good);
    const { socket, closed } = await dialRefused(under.mqtts, stranger);
    let answered = 0;
    socket.on("data", (bytes: Buffer) => {
      answered += bytes.length;
    });
    socket.write(Buffer.alloc(10_000, "CONNECT"));
    await closed;
    assert.equal(answered, 0);
    assert.equal(under.opened.length, 0);
  });
});

/** Dials where a refusal is expected: in TLS 1.3 it may come before or after the client is content. */
async function dialRefused(port: number, client: Issued | undefined) {
  const socket = dialRaw(port, pki, client);
  return { socket, closed: goneOf(socket) };
}

interface ExpectedRefusal {
  readonly check: string;
  readonly why: RegExp;
  readonly listener: "mqtts" | "wss";
  readonly client: Issued | undefined;
}

function assertRefusal(under: TestDoor, { check, why, listener, client }: ExpectedRefusal): void {
  const { why: said = "", ...event } = under.events.at(-1) ?? { type: undefined };
  assert.match(said, why);
  assert.deepEqual(event, {
    type: "handshake-refused",
    address: "127.0.0.1",
    listener,
    check,
    ...(client === undefined
      ? {}
      : {
          certificate: {
            subject: `O=Hospital, CN=${client.x509.subject.split("CN=")[1]}`,
            issuer: `O=Hospital, CN=${client.x509.issuer.split("CN=")[1]}`,
            serialNumber: client.x509.serialNumber.toLowerCase(),
            fingerprint: client.fingerprint,
          },
        }),
    sni: "broker.test",
  });
}

/** First bytes of peers that do not speak TLS, or speak it wrong. */
const strangeBytes: readonly [name: string, bytes: Buffer][] = [
  ["a plain MQTT CONNECT", Buffer.from("101000044d5154540502003c032100140000", "hex")],
  ["plain HTTP", Buffer.from("GET / HTTP/1.1\r\nHost: broker.test\r\n\r\n")],
  ["a plain WebSocket handshake", Buffer.from(upgradeRequest)],
  ["an SSH banner", Buffer.from("SSH-2.0-OpenSSH_9.2\r\n")],
  ["an SSLv2 hello", Buffer.from(`802e0100020015001000000010010080${"00".repeat(32)}`, "hex")],
  ["a TLS record that is larger than any", Buffer.from(`160301ffff${"01".repeat(64)}`, "hex")],
  ["application data before a handshake", Buffer.from(`1703030010${"00".repeat(16)}`, "hex")],
  ["an empty handshake record", Buffer.from("1603010000", "hex")],
  ["a ServerHello", Buffer.from(`160303002c02000028${"0303"}${"00".repeat(38)}`, "hex")],
  [
    "a ClientHello with a length beyond its record",
    Buffer.from(`160301000901ffffff${"03".repeat(5)}`, "hex"),
  ],
  ["zeros", Buffer.alloc(4_096)],
  ["line feeds", Buffer.alloc(4_096, "\n")],
];

describe("clients that are slow, strange or many", () => {
  for (const [name, bytes] of strangeBytes) {
    test(`refuses ${name}`, async () => {
      const under = await doorWithDevice({ limits: { connectTimeoutMs: 500 } });
      const socket = dialTcp(under.mqtts);
      const closed = goneOf(socket);
      socket.write(bytes);
      await closed;
      await until(
        () => under.events.length === 1,
        () => "an event",
      );
      const [event] = under.events;
      assert.equal(event?.type, "handshake-refused");
      assert.equal(event.address, "127.0.0.1");
      assert.equal(event.listener, "mqtts");
      assert.notEqual(event.why ?? "", "");
      assert.equal(under.opened.length, 0);
    });
  }

  test("says so when plain MQTT or plain HTTP comes", async () => {
    for (const [name, why] of [
      ["a plain MQTT CONNECT", "the client does not speak TLS"],
      ["plain HTTP", "the client speaks HTTP without TLS"],
    ] as const) {
      const under = await doorWithDevice();
      dialTcp(under.mqtts).write(strangeBytes.find(([named]) => named === name)?.[1] ?? "");
      await until(
        () => under.events.length === 1,
        () => name,
      );
      assert.equal(under.events[0]?.why, why);
    }
  });

  test("names the address of a client that leaves during the handshake", async () => {
    const under = await doorWithDevice();
    const half = (await clientHello()).subarray(0, 40);
    for (const leave of [
      (socket: Socket) => socket.end(half),
      (socket: Socket) => socket.write(half, () => socket.resetAndDestroy()),
    ]) {
      const socket = dialTcp(under.mqtts);
      await once(socket, "connect");
      leave(socket);
    }
    await until(
      () => under.events.length === 2,
      () => JSON.stringify(under.events),
    );
    for (const event of under.events) {
      assert.equal(event.type, "handshake-refused");
      assert.equal(event.check, "ECONNRESET");
      assert.equal(event.address, "127.0.0.1");
    }
  });

  for (const [name, send] of [
    ["says nothing", () => {}],
    [
      "sends half of a ClientHello",
      (socket: Socket, hello: Buffer) => socket.write(hello.subarray(0, 100)),
    ],
    ["sends its ClientHello byte by byte", trickle],
    [
      "sends a whole ClientHello and no more",
      (socket: Socket, hello: Buffer) => socket.write(hello),
    ],
  ] as const) {
    test(`closes a client that ${name}`, async () => {
      const under = await doorWithDevice({ limits: { connectTimeoutMs: 300 } });
      const hello = await clientHello();
      const socket = dialTcp(under.mqtts);
      const closed = goneOf(socket);
      send(socket, hello);
      await closed;
      await until(
        () => under.events.length === 1,
        () => "an event",
      );
      const { type, check, why, address } = under.events[0] ?? { type: undefined };
      assert.deepEqual(
        { type, check, why, address },
        {
          type: "handshake-refused",
          check: "ERR_TLS_HANDSHAKE_TIMEOUT",
          why: "the handshake took too long",
          address: "127.0.0.1",
        },
      );
      // Nothing is left: who waits keeps no place.
      await until(
        () => under.door.openSockets === 0,
        () => `${under.door.openSockets} sockets`,
      );
    });
  }

  for (const [name, first] of [
    ["says nothing after TLS", ""],
    ["sends half of a WebSocket handshake", upgradeRequest.slice(0, 60)],
  ] as const) {
    test(`closes a WebSocket client that ${name}`, async () => {
      const under = await doorWithDevice({ limits: { connectTimeoutMs: 300 } });
      const socket = await dialTls(under.wss, pki, device);
      const closed = goneOf(socket);
      if (first !== "") socket.write(first);
      await closed;
      const [event] = under.events;
      assert.equal(event?.type, "connect-refused");
      assert.equal(event.subject, `device:${uuid(1)}`);
      assert.equal(event.listener, "wss");
      assert.equal(event.check, "connect-timeout");
      assert.equal(under.opened.length, 0);
    });
  }

  test("says why it refused a WebSocket handshake, and to whom", async () => {
    const under = await doorWithDevice();
    const socket = await dialTls(under.wss, pki, device);
    const closed = goneOf(socket);
    socket.write(upgradeRequest.replace("/mqtt", "/other"));
    await closed;
    assert.deepEqual(
      under.events.map(({ type, subject, address, check }) => ({ type, subject, address, check })),
      [
        {
          type: "connect-refused",
          subject: `device:${uuid(1)}`,
          address: "127.0.0.1",
          check: "web-socket-path",
        },
      ],
    );
  });

  test("lets a subject in while 200 half-open connections of strangers wait", async () => {
    const under = await doorWithDevice({ limits: { handshakes: 100 } });
    const before = await dialTls(under.mqtts, pki, device);
    assert.ok(await echoes(before, "here before"));
    before.destroy();
    const strangers = Array.from({ length: 200 }, () => dialTcp(under.mqtts, "127.0.0.2"));
    await until(
      () => under.events.length >= 100,
      () => `${under.events.length} are shed`,
    );
    assert.ok(
      under.events.every(
        ({ type, limit, address }) =>
          type === "connection-shed" && limit === "handshakes" && address === "127.0.0.2",
      ),
      JSON.stringify(under.events[0]),
    );
    // A new stranger finds no place; the address of a subject takes one.
    const shed = under.events.length;
    const another = dialTcp(under.mqtts, "127.0.0.3");
    await goneOf(another);
    assert.equal(under.events.length, shed + 1);
    const socket = await dialTls(under.mqtts, pki, device);
    assert.ok(await echoes(socket, "let in"));
    // One event for each that had to go, the one that made way included, and it does not count as a failed handshake.
    assert.equal(under.events.length, shed + 2);
    assert.ok(under.events.every(({ type }) => type === "connection-shed"));
    for (const stranger of strangers) stranger.destroy();
    socket.destroy();
    await until(
      () => under.door.openSockets === 0,
      () => `${under.door.openSockets} sockets`,
    );
  });

  test("makes way for a subject's address at a stranger's cost, never at another subject's", async () => {
    const under = await doorWithDevice({ limits: { handshakes: 3 } });
    const before = await dialTls(under.mqtts, pki, device);
    assert.ok(await echoes(before, "here before"));
    const waiting: Socket[] = [];
    for (const address of ["127.0.0.1", "127.0.0.2", "127.0.0.3"]) {
      waiting.push(dialTcp(under.mqtts, address).resume());
      await until(
        () => under.door.openSockets === 1 + waiting.length,
        () => address,
      );
    }
    assert.ok(await echoes(await dialTls(under.mqtts, pki, device), "let in"));
    assert.deepEqual(
      under.events.map(({ type, limit, address }) => ({ type, limit, address })),
      [{ type: "connection-shed", limit: "handshakes", address: "127.0.0.2" }],
    );
    assert.deepEqual(
      waiting.map((socket) => socket.destroyed),
      [false, true, false],
    );
  });

  test("counts a handshake no longer when it has ended, well or not", async () => {
    const under = await doorWithDevice({ limits: { handshakes: 2 } });
    for (let i = 0; i < 5; i += 1) {
      assert.ok(await echoes(await dialTls(under.mqtts, pki, device), "stays"));
      await (await dialRefused(under.mqtts, undefined)).closed;
    }
    assert.ok(under.events.every(({ type }) => type === "handshake-refused"));
  });

  for (const [limit, others] of [
    ["connections", "127.0.0.2"],
    ["connectionsPerAddress", "127.0.0.1"],
  ] as const) {
    test(`closes what comes beyond ${limit}, and has place again when one leaves`, async () => {
      const under = await doorWithDevice({ limits: { [limit]: 3 } as Partial<Limits> });
      const three = [1, 2, 3].map(() => dialTcp(under.mqtts, others));
      await until(
        () => under.door.openSockets === 3,
        () => "three are open",
      );
      await goneOf(dialTcp(under.mqtts));
      assert.deepEqual(under.events, [
        { type: "connection-shed", address: "127.0.0.1", listener: "mqtts", limit },
      ]);
      three[0]?.destroy();
      await until(
        () => under.door.openSockets === 2,
        () => "one has left",
      );
      assert.ok(await echoes(await dialTls(under.mqtts, pki, device), "let in"));
    });
  }

  test("closes whoever is banned before TLS where only tokens are taken, and nobody else", async () => {
    const under = await doorWithDevice();
    under.state.banned = "127.0.0.1";
    await goneOf(dialTcp(under.tokenMqtts));
    const why = "tokens of address 127.0.0.1 are refused until 2023-11-14T22:13:20.000Z";
    assert.deepEqual(under.events, [
      {
        type: "connection-shed",
        address: "127.0.0.1",
        listener: "tokenMqtts",
        check: "token-banned",
        why,
      },
    ]);
    assert.equal(under.door.openSockets, 0);
    assert.ok(await echoes(await dialTls(under.mqtts, pki, device), "a device, from there"));
    dialTcp(under.tokenMqtts, "127.0.0.2");
    await until(
      () => under.door.openSockets === 2,
      () => "one from elsewhere is let in",
    );
  });

  test("counts addresses apart", async () => {
    const under = await doorWithDevice({ limits: { connectionsPerAddress: 1 } });
    dialTcp(under.mqtts, "127.0.0.2");
    await until(
      () => under.door.openSockets === 1,
      () => "one is open",
    );
    assert.ok(await echoes(await dialTls(under.mqtts, pki, device), "let in"));
  });

  test("closes what comes faster than acceptsPerSecond", async () => {
    let now = 0;
    const under = await doorWithDevice({ limits: { acceptsPerSecond: 2 }, monotonic: () => now });
    const two = [1, 2].map(() => dialTcp(under.mqtts));
    await until(
      () => under.door.openSockets === 2,
      () => "two are open",
    );
    await goneOf(dialTcp(under.mqtts));
    assert.equal(under.events[0]?.limit, "acceptsPerSecond");
    now += 1_000;
    assert.ok(await echoes(await dialTls(under.mqtts, pki, device), "let in"));
    for (const socket of two) socket.destroy();
  });

  test("serves a good client through 300 bad handshakes", async () => {
    const under = await doorWithDevice({ limits: { connectTimeoutMs: 2_000 } });
    const socket = await dialTls(under.mqtts, pki, device);
    const stranger = await issue(pki.issuing, good);
    const foreign = await issue(foreignIssuing, good);
    const kinds: readonly (() => Socket)[] = [
      () => dialRaw(under.mqtts, pki, undefined),
      () => dialRaw(under.mqtts, pki, foreign),
      () => dialRaw(under.mqtts, pki, stranger),
      () => dialRaw(under.mqtts, pki, device, { servername: "evil.test" }),
      () => dialRaw(under.mqtts, pki, device, { ALPNProtocols: ["h2"] }),
      () => dialTcp(under.mqtts).end(Buffer.from("hello, is this MQTT?")),
    ];
    for (let round = 0; round < 10; round += 1) {
      const bad = Array.from({ length: 30 }, (_, i) => kinds[i % kinds.length]?.());
      const gone = bad.map((one) => one && goneOf(one));
      assert.ok(await echoes(socket, `round ${round}`));
      await Promise.all(gone);
    }
    await until(
      () => under.events.length === 300,
      () => `${under.events.length} events`,
    );
    assert.ok(under.events.every(({ type }) => type === "handshake-refused"));
    assert.ok(await echoes(socket, "still here"));
    assert.ok(await echoes(await dialTls(under.mqtts, pki, device), "and again"));
    assert.equal(under.opened.length, 2);
  });
});

describe("what changes while the door is open", () => {
  test("a new certificate is shown to new clients, and nobody is dropped", async () => {
    const under = await doorWithDevice();
    const before = await dialTls(under.mqtts, pki, device);
    const renewed = await issueServer(pki.issuing);
    under.door.useCredentials(under.credentials({ key: renewed.key, certificate: renewed.chain }));
    const afterwards = await dialTls(under.mqtts, pki, device);
    const shown = (socket: TLSSocket) => socket.getPeerCertificate().fingerprint256;
    assert.equal(shown(before), pki.server.x509.fingerprint256);
    assert.equal(shown(afterwards), renewed.x509.fingerprint256);
    assert.ok(await echoes(before, "kept"));
    assert.ok(await echoes(afterwards, "new"));
  });

  test("a removed trust anchor lets nobody new in and drops nobody; an added one lets its own in", async () => {
    const under = await doorWithDevice();
    const foreign = await issue(foreignIssuing, good);
    under.subjects.put(record(1, device, foreign));
    const before = await dialTls(under.mqtts, pki, device);
    assert.ok(await echoes(before, "before"));
    await (await dialRefused(under.mqtts, foreign)).closed;

    const theirs = [pki.foreignRoot.pem, foreignIssuing.pem];
    under.door.useCredentials(under.credentials({ trustAnchors: theirs }));
    await (await dialRefused(under.mqtts, device)).closed;
    assert.equal(under.events.at(-1)?.check, "certification-path");
    assert.ok(await echoes(await dialTls(under.mqtts, pki, foreign), "added"));
    assert.ok(await echoes(before, "kept"));
  });

  for (const [name, bad] of [
    ["a key of another certificate", { key: device.key }],
    [
      "a key that is none",
      { key: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" },
    ],
    ["a certificate that is none", { certificate: "no certificate" }],
  ] as const) {
    test(`${name} is refused, and the old one serves on`, async () => {
      const under = await doorWithDevice();
      assert.throws(() => under.door.useCredentials(under.credentials(bad)));
      const socket = await dialTls(under.mqtts, pki, device);
      assert.equal(socket.getPeerCertificate().fingerprint256, pki.server.x509.fingerprint256);
      assert.ok(await echoes(socket, "served"));
    });
  }

  test("no trust anchors trust nobody, the public roots least", async () => {
    const under = await doorWithDevice();
    under.door.useCredentials(under.credentials({ trustAnchors: [] }));
    await (await dialRefused(under.mqtts, device)).closed;
    assert.equal(under.opened.length, 0);
    assert.equal(under.events.at(-1)?.check, "certification-path");
  });

  test("every option outlives the change", { skip: opensslIsMissing }, async () => {
    for (const tls of [strict, with12]) {
      const under = await doorWithDevice({ tls });
      under.door.useCredentials(under.credentials());
      under.door.useCredentials(under.credentials());
      for (const [name, at, args] of refusedHandshakes) {
        if (at !== tls) continue;
        const { opened, output } = await attempt(under, args, device);
        assert.equal(opened, undefined, `${name}: ${output}`);
      }
      const foreign = await issue(foreignIssuing, good);
      under.subjects.put(record(1, device, foreign));
      for (const client of [undefined, foreign]) {
        assert.equal((await attempt(under, [], client)).opened, undefined);
      }
      const { opened, output } = await attempt(under, ["-alpn", "mqtt"], device);
      assert.ok(opened !== undefined && /^New, TLSv1.3/m.test(output), output);
    }
  });
});

describe("the environment the broker is started in", () => {
  const variables = [
    "NODE_OPTIONS",
    "BUN_OPTIONS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "NODE_EXTRA_CA_CERTS",
    "NODE_USE_SYSTEM_CA",
    "NODE_DEBUG",
    "SSLKEYLOGFILE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "OPENSSL_CONF",
    "OPENSSL_MODULES",
  ];
  for (const name of variables) {
    test(`is refused with ${name}`, () => {
      const [fault = "", ...more] = environmentFaults({ PATH: "/bin", [name]: "0" }, []);
      assert.ok(fault.startsWith(name), fault);
      assert.deepEqual(more, []);
    });
  }

  for (const flag of [
    "--tls-min-v1.0",
    "--tls-max-v1.2",
    "--tls-keylog=/tmp/keys",
    "--tls-cipher-list=ALL",
    "--trace-tls",
    "--openssl-legacy-provider",
    "--openssl-config=/tmp/openssl.cnf",
    "--use-openssl-ca",
    "--use-system-ca",
    "--security-revert=CVE-2023-46809",
    "--inspect",
    "--inspect-brk=0.0.0.0:9229",
    "--require",
    "--require=./evil.cjs",
    "-r",
    "--import",
    "--import=./evil.mjs",
    "--loader=./evil.mjs",
    "--preload=./evil.ts",
  ]) {
    test(`is refused with ${flag}`, () => {
      assert.equal(environmentFaults({}, [flag]).length, 1);
    });
  }

  test("is accepted without them", () => {
    const flags = ["--max-old-space-size=512", "--smol", "--enable-source-maps"];
    assert.deepEqual(environmentFaults({ PATH: "/bin", NODE_ENV: "production" }, flags), []);
    assert.deepEqual(environmentFaults({ NODE_OPTIONS: "" }, []), []);
  });

  test("never shows a value", () => {
    assert.doesNotMatch(
      environmentFaults({ NODE_OPTIONS: "marker" }, ["--import=marker"]).join(),
      /marker/,
    );
  });

  for (const [name, value] of [
    ["NODE_TLS_REJECT_UNAUTHORIZED", "0"],
    ["SSLKEYLOGFILE", "/dev/null"],
    ["NODE_EXTRA_CA_CERTS", "/dev/null"],
  ] as const) {
    test(`ends the broker with 2 and a sentence where it has ${name}`, async () => {
      const { PATH } = process.env;
      const main = join(import.meta.dirname, "../src/main.ts");
      const env = { PATH, [name]: value };
      const { status, stdout, stderr } = spawnSync(process.execPath, [main, tmpdir()], {
        env,
        timeout: 30_000,
      });
      assert.equal(status, 2);
      assert.equal(String(stdout), "");
      const said = String(stderr)
        .split("\n")
        .filter((line) => line.startsWith("wardmq: "));
      assert.deepEqual(said, [`wardmq: ${name} is set, and can weaken or expose TLS: unset it`]);
    });
  }
});

describe("key exchange", () => {
  test("is the hybrid of X25519 and ML-KEM where the client can, and never required", async () => {
    const under = await doorWithDevice();
    for (const ecdhCurve of ["X25519MLKEM768", "P-256", "P-384"]) {
      assert.ok(await echoes(await dialTls(under.mqtts, pki, device, { ecdhCurve }), ecdhCurve));
    }
  });
});

/** The first bytes a TLS client of this runtime sends. */
async function clientHello(): Promise<Buffer> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, "connection");
  const client = dialRaw(port, pki, device);
  const [socket] = (await accepted) as [Socket];
  const [hello] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return hello;
}

/** A byte every few milliseconds, for as long as the other side lets us. */
function trickle(socket: Socket, bytes: Buffer): void {
  let at = 0;
  const timer = setInterval(() => {
    if (at === bytes.length) clearInterval(timer);
    else socket.write(bytes.subarray(at, ++at));
  }, 20);
  socket.on("close", () => clearInterval(timer));
}
