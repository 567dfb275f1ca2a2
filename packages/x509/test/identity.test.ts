import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  formatSpiffeId,
  hostGeneralName,
  ipAddressOctets,
  isConstrainableTrustDomain,
  parseAttribute,
  parseSpiffeId,
  X509Error,
} from "../src/index.ts";
import { hex } from "./keys.ts";

const uuid = "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";
const refuses = (work: () => unknown) => assert.throws(work, X509Error);

describe("a SPIFFE ID", () => {
  const refused = [
    "",
    "spiffe://",
    `spiffe://prod.hospital/device/${uuid.toUpperCase()}`,
    `spiffe://prod.hospital/device/${uuid.slice(1)}`,
    `spiffe://prod.hospital/device/${uuid}/`,
    `spiffe://prod.hospital/device/${uuid}?x`,
    `spiffe://prod.hospital/device/${uuid}#x`,
    `spiffe://prod.hospital/device/${uuid}\n`,
    `spiffe://prod.hospital/device/${uuid}\0`,
    `spiffe://prod.hospital//device/${uuid}`,
    `spiffe://prod.hospital/x/device/${uuid}`,
    `spiffe://prod.hospital/person/${uuid}`,
    `spiffe://prod.hospital:443/device/${uuid}`,
    `spiffe://user@prod.hospital/device/${uuid}`,
    `spiffe://Prod.hospital/device/${uuid}`,
    `spiffe://hospital/device/${uuid}`,
    `spiffe://prod..hospital/device/${uuid}`,
    `spiffe:///device/${uuid}`,
    `SPIFFE://prod.hospital/device/${uuid}`,
    `https://prod.hospital/device/${uuid}`,
    "spiffe://prod.hospital/service/",
    "spiffe://prod.hospital/service/a%2fb",
    "spiffe://prod.hospital/service/../device",
    `spiffe://prod.hospital/service/${"a".repeat(65)}`,
  ];
  for (const text of refused)
    test(`refuses ${JSON.stringify(text)}`, () => refuses(() => parseSpiffeId(text)));

  test("names a device or a service of a trust domain, and is written back as it was", () => {
    for (const [text, kind] of [
      [`spiffe://prod.hospital_1/device/${uuid}`, "device"],
      ["spiffe://test.clinic.example/service/dashboard", "service"],
    ] as const) {
      const spiffeId = parseSpiffeId(text);
      assert.equal(spiffeId.kind, kind);
      assert.equal(formatSpiffeId(spiffeId), text);
    }
  });

  test("is never written from parts that could not be read", () =>
    refuses(() => formatSpiffeId({ trustDomain: "prod.hospital", kind: "service", id: "a/b" })));

  test("is a value or an X509Error for any text, and has one spelling", () => {
    const near = fc.string().map((text) => `spiffe://prod.hospital/service/${text}`);
    fc.assert(
      fc.property(fc.oneof(fc.string(), near), (text) => {
        try {
          assert.equal(formatSpiffeId(parseSpiffeId(text)), text);
        } catch (error) {
          assert.ok(error instanceof X509Error, String(error));
        }
      }),
    );
  });
});

describe("a trust domain", () => {
  for (const text of [
    "prod.hospital_1",
    "prod.1",
    "prod.-a",
    "prod.a-",
    "hospital",
    `prod.${"a".repeat(64)}`,
    "prod.a.",
    ".a",
    "",
  ]) {
    test(`${JSON.stringify(text.slice(0, 20))} is no host that every TLS library can constrain`, () =>
      assert.equal(isConstrainableTrustDomain(text), false));
  }
  for (const text of ["prod.hospital", "prod.st-elsewhere", "1.a", `prod.${"a".repeat(63)}`]) {
    test(`${JSON.stringify(text.slice(0, 20))} is a host that every TLS library can constrain`, () =>
      assert.equal(isConstrainableTrustDomain(text), true));
  }
});

describe("an attribute", () => {
  for (const text of ["", "a b", "a/b", "+", "#", "{id}", "a.b", "ä", "a\n", "a".repeat(65)]) {
    test(`refuses ${JSON.stringify(text.slice(0, 9))}`, () => refuses(() => parseAttribute(text)));
  }
  test("takes its alphabet up to 64 characters", () => {
    for (const text of ["a", "ICU-2_b", "-", "Z".repeat(64)])
      assert.equal(parseAttribute(text), text);
  });
});

describe("a host", () => {
  for (const text of [
    "",
    "a..b",
    "-a.b",
    "a-.b",
    "*.b",
    "a b",
    "a/b",
    "ä.b",
    "a\0b",
    "1:2",
    `${"a".repeat(64)}.b`,
  ]) {
    test(`refuses ${JSON.stringify(text.slice(0, 9))}`, () => refuses(() => hostGeneralName(text)));
  }
  test("is an IP address where it reads as one, else a DNS name", () => {
    assert.deepEqual(hostGeneralName("127.0.0.1"), { ip: "127.0.0.1" });
    assert.deepEqual(hostGeneralName("::1"), { ip: "::1" });
    assert.deepEqual(hostGeneralName("mqtt.hospital.example"), { dns: "mqtt.hospital.example" });
  });
});

describe("an IP address", () => {
  for (const text of [
    "",
    "1.2.3",
    "1.2.3.4.5",
    "01.2.3.4",
    "256.1.1.1",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "12345::",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "::1.2.3",
    "1.2.3.4::",
    "fe80::1%eth0",
  ]) {
    test(`is not ${JSON.stringify(text)}`, () => assert.equal(ipAddressOctets(text), undefined));
  }
  const taken: readonly (readonly [string, string])[] = [
    ["0.0.0.0", "00000000"],
    ["192.168.1.255", "c0a801ff"],
    ["::", "0".repeat(32)],
    ["::1", `${"0".repeat(31)}1`],
    ["fe80::1:2", "fe800000000000000000000000010002"],
    ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
    ["1:2:3:4:5:6:7::", "00010002000300040005000600070000"],
    ["::ffff:1.2.3.4", "00000000000000000000ffff01020304"],
  ];
  for (const [text, octets] of taken) {
    test(`reads ${text}`, () =>
      assert.equal(hex(ipAddressOctets(text) ?? new Uint8Array()), octets));
  }
});
