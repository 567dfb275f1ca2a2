import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { Limits } from "@wardmq/feed";
import { type Issued, issue } from "./door-certificates.ts";
import {
  attempt,
  type DoorOptions,
  dialTcp,
  dialTls,
  echoes,
  endAll,
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

/** Handshakes with a good certificate that fail all the same. `check` is what both runtimes call it, or each of them. */
const refusedHandshakes: readonly [
  name: string,
  tls: DoorOptions["tls"],
  args: readonly string[],
][] = [
  ["TLS 1.0", with12, version10],
  ["TLS 1.1", with12, version11],
  ["TLS 1.2 where it is not written out", strict, ["-tls1_2"]],
  ["CBC with SHA-256", with12, ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"]],
  ["CBC with SHA-1", with12, ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA"]],
  ["CCM", with12, ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM"]],
  ["CCM in TLS 1.3", strict, ["-ciphersuites", "TLS_AES_128_CCM_SHA256"]],
  ["ChaCha20 in TLS 1.2", with12, ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"]],
  ["ChaCha20 in TLS 1.3", strict, ["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"]],
  ["RSA key exchange", with12, ["-tls1_2", "-cipher", "AES256-GCM-SHA384"]],
  ["DHE key exchange", with12, ["-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384"]],
  ["no encryption", with12, ["-tls1_2", "-cipher", "NULL:@SECLEVEL=0"]],
  ["X25519 alone", strict, ["-curves", "X25519"]],
  ["X25519 alone in TLS 1.2", with12, ["-tls1_2", "-curves", "X25519"]],
  ["P-521", strict, ["-curves", "P-521"]],
  ["finite-field groups", strict, ["-curves", "ffdhe2048"]],
  ["no server name", strict, ["-noservername"]],
  ["no server name in TLS 1.2", with12, ["-tls1_2", "-noservername"]],
  ["another server name", strict, ["-servername", "evil.test"]],
  ["another server name in TLS 1.2", with12, ["-tls1_2", "-servername", "evil.test"]],
  ["a server name under ours", strict, ["-servername", `a.broker.test`]],
  ["a server name that ends like a wildcard", strict, ["-servername", "*.test"]],
  ["a server name with a NUL's neighbour", strict, ["-servername", "broker.test\u0001"]],
  ["a server name of 255 bytes", strict, ["-servername", `${"a".repeat(244)}.broker.test`]],
  ["ALPN h2", strict, ["-alpn", "h2"]],
  ["ALPN http/1.1 on the port of MQTT", strict, ["-alpn", "http/1.1"]],
  ["ALPN MQTT in upper case", strict, ["-alpn", "MQTT"]],
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

  for (const [name, tls, args] of refusedHandshakes) {
    test(`refuses ${name}`, async () => {
      const under = await doorFor(tls);
      const { opened, refused, output } = await attempt(under, args, device);
      assert.equal(opened, undefined);
      assert.equal(refused?.type, "handshake-refused", output);
      assert.equal(refused.address, "127.0.0.1");
      assert.equal(refused.listener, "mqtts");
      assert.ok(
        (refused.check ?? "") !== "" && (refused.why ?? "") !== "",
        JSON.stringify(refused),
      );
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
      const { mkdtempSync, existsSync, rmSync } = await import("node:fs");
      const folder = mkdtempSync("/tmp/wardmq-session-");
      const file = `${folder}/session`;
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
    const { opened, output } = await attempt(under, ["-tls1_2"], device, ["R", "still here?"]);
    assert.match(output, /RENEGOTIATING/);
    await until(
      () => opened?.isClosed === true,
      () => output,
    );
    assert.doesNotMatch(output, /still here/);
  });
});
