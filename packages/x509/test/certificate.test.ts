import assert from "node:assert/strict";
import { verify } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import {
  type CertificateProfileName,
  certificate,
  certificateFields,
  certificateProfiles,
  decodeCertificate,
  encodeName,
  encodePem,
  extendedKeyUsage,
  extensionOids,
  type GeneralName,
  type Signer,
  signatureAlgorithmOf,
  subjectAltName,
  subjectKeyIdentifierOf,
  tbsCertificate,
  X509Error,
} from "../src/index.ts";
import {
  bytes,
  keyIdentifier,
  newKey,
  openssl,
  opensslIsMissing,
  signerOf,
  someFields,
} from "./keys.ts";

const uuid = "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";
const device: GeneralName = { uri: `spiffe://prod.hospital_1/device/${uuid}` };
const service: GeneralName = { uri: "spiffe://prod.hospital_1/service/dashboard" };
const operator: GeneralName = { uri: "spiffe://prod.hospital_1/operator/anna" };
const host: GeneralName = { dns: "mqtt.hospital.example" };
const dayMs = 86_400_000;
const now = Date.now();

interface Authority {
  readonly signer: Signer;
  readonly name: Uint8Array;
  readonly notAfter?: number;
}

function authority(commonName: string): Authority {
  return {
    signer: signerOf(newKey()),
    name: encodeName({ organizationName: "Hospital_1", commonName }),
  };
}

function fieldsFor(
  profile: CertificateProfileName,
  by: Authority,
  of: Authority,
  names: readonly GeneralName[] = [],
  lifetimeShare = 1,
) {
  return certificateFields(profile, {
    serialNumber: bytes("f0e1d2c3b4a5968778695a4b3c2d1e0f"),
    issuer: by.name,
    authorityKeyIdentifier: keyIdentifier(by.signer.publicKey),
    subject: of.name,
    subjectKeyIdentifier: keyIdentifier(of.signer.publicKey),
    publicKey: of.signer.publicKey,
    now,
    lifetimeShare,
    subjectAltName: names,
    ...(profile === "issuingCa" ? { permittedUriHost: "prod.hospital_1" } : {}),
    ...(by.notAfter === undefined ? {} : { issuerNotAfter: by.notAfter }),
  });
}

const root = authority("root");
const issuing = authority("issuing");
const leaf = authority("leaf");

describe("a profile", () => {
  const refused: readonly (readonly [string, CertificateProfileName, readonly GeneralName[]])[] = [
    ["a device without a name", "device", []],
    ["a device with two", "device", [device, device]],
    ["a device with a host", "device", [host]],
    ["a device with a host beside its identity", "device", [device, host]],
    ["a device with the identity of a service", "device", [service]],
    ["a service with the identity of a device", "service", [device]],
    ["a device with another URI", "device", [{ uri: "https://hospital.example" }]],
    ["a server without a name", "server", []],
    ["a server with an identity", "server", [host, device]],
    ["an operator with the identity of a service", "operator", [service]],
    ["an issuing CA with a name", "issuingCa", [host]],
    ["an OCSP responder with a name", "ocspResponder", [host]],
  ];
  for (const [name, profile, names] of refused) {
    test(`refuses ${name}`, () =>
      assert.throws(() => fieldsFor(profile, issuing, leaf, names), X509Error));
  }

  const lifetimes = {
    rootCa: { least: 3650, most: 3650, names: [] },
    issuingCa: { least: 1095, most: 1095, names: [] },
    server: { least: 30, most: 30, names: [host] },
    ocspResponder: { least: 30, most: 30, names: [] },
    device: { least: 45, most: 90, names: [device] },
    service: { least: 45, most: 90, names: [service] },
    operator: { least: 45, most: 90, names: [operator] },
  } as const satisfies Record<CertificateProfileName, object>;
  for (const [profile, { least, most, names }] of Object.entries(lifetimes)) {
    test(`${profile} lasts ${least} to ${most} days and no second more`, () => {
      for (const [share, days] of [
        [0, least],
        [1, most],
        [0.5, (least + most) / 2],
      ] as const) {
        const fields = fieldsFor(profile as CertificateProfileName, issuing, leaf, names, share);
        const { notBefore, notAfter } = fields.validity;
        assert.equal(notAfter + 1000 - notBefore, days * dayMs);
        assert.ok(notBefore <= now && notAfter > now);
      }
    });
  }

  test("says where its CRL and its OCSP responder are when they are published, and only then", () => {
    const fields = fieldsFor("device", issuing, leaf, [device]);
    const has = (extensions: typeof fields.extensions) =>
      extensions.some(({ oid }) => oid === extensionOids.crlDistributionPoints);
    assert.equal(has(fields.extensions), false);
    const published = { crl: ["http://a/c"], ocsp: ["http://a/o"], caIssuers: ["http://a/i"] };
    const issuance = {
      serialNumber: bytes("01"),
      issuer: issuing.name,
      authorityKeyIdentifier: bytes("02"),
      subject: leaf.name,
      subjectKeyIdentifier: bytes("03"),
      publicKey: leaf.signer.publicKey,
      now,
      lifetimeShare: 0,
      published,
    };
    assert.ok(
      has(certificateFields("device", { ...issuance, subjectAltName: [device] }).extensions),
    );
    assert.equal(has(certificateFields("ocspResponder", issuance).extensions), false);
  });

  test("gives no certificate that outlives its issuer", () => {
    const notAfter = now + dayMs;
    assert.equal(
      fieldsFor("device", { ...issuing, notAfter }, leaf, [device]).validity.notAfter,
      notAfter,
    );
  });

  test("lets CAs sign only, and clients and servers be only what they are", () => {
    assert.deepEqual(certificateProfiles.device.extendedKeyUsage, ["clientAuth"]);
    assert.deepEqual(certificateProfiles.service.extendedKeyUsage, ["clientAuth"]);
    assert.deepEqual(certificateProfiles.operator.extendedKeyUsage, ["clientAuth"]);
    assert.deepEqual(certificateProfiles.ocspResponder.extendedKeyUsage, ["OCSPSigning"]);
    assert.deepEqual(certificateProfiles.server.extendedKeyUsage, ["serverAuth"]);
    for (const { basicConstraints, keyUsage } of Object.values(certificateProfiles)) {
      assert.equal(keyUsage.includes("keyCertSign" as never), basicConstraints.ca);
    }
  });
});

describe("a certificate", () => {
  for (const [name, serialNumber] of [
    ["zero", "00"],
    ["none", ""],
    ["of 21 octets", "01".repeat(21)],
    ["of 20 octets that need a sign", "ff".repeat(20)],
  ] as const) {
    test(`is refused with the serial number ${name}`, () =>
      assert.throws(
        () =>
          tbsCertificate(
            { ...someFields(leaf.signer.publicKey), serialNumber: bytes(serialNumber) },
            "Ed25519",
          ),
        X509Error,
      ));
  }

  test("is refused with a name beyond 64 characters or of none", () => {
    for (const commonName of ["", "x".repeat(65), "a\nb"])
      assert.throws(() => encodeName({ commonName }), X509Error);
  });

  test("says what was put in, whatever that is", async () => {
    const time = fc
      .integer({ min: 0, max: Date.UTC(2150, 0, 1) / 1000 })
      .map((seconds) => seconds * 1000);
    const extension = fc.record(
      {
        oid: fc.integer({ min: 0, max: 99_999 }).map((arc) => `1.3.6.1.4.1.${arc}`),
        critical: fc.boolean(),
        value: fc.uint8Array({ maxLength: 200 }),
      },
      { noNullPrototype: true },
    );
    const fields = fc.record({
      serialNumber: fc.bigInt({ min: 1n, max: 2n ** 159n - 1n }),
      notBefore: time,
      notAfter: time,
      commonName: fc.string({ minLength: 1, maxLength: 64, unit: "grapheme-ascii" }),
      extensions: fc.uniqueArray(extension, { selector: ({ oid }) => oid, maxLength: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fields,
        async ({ serialNumber, notBefore, notAfter, commonName, extensions }) => {
          const digits = serialNumber.toString(16);
          const put = {
            ...someFields(leaf.signer.publicKey),
            serialNumber: bytes(digits.padStart(digits.length + (digits.length % 2), "0")),
            validity: { notBefore, notAfter },
            subject: encodeName({ commonName }),
            extensions,
          };
          const der = await certificate(put, issuing.signer);
          const {
            tbsCertificate: tbs,
            signature,
            signatureAlgorithm,
            signatureIdentifier,
            der: whole,
            ...read
          } = decodeCertificate(der);
          assert.deepEqual(read, put);
          assert.deepEqual(whole, der);
          assert.equal(signatureAlgorithm, "ecdsa-with-SHA256");
          assert.equal(signatureAlgorithmOf(signatureIdentifier), signatureAlgorithm);
          const key = {
            key: Buffer.from(issuing.signer.publicKey),
            format: "der",
            type: "spki",
          } as const;
          assert.ok(verify("sha256", tbs, key, signature));
          assert.deepEqual(tbsCertificate(read, issuing.signer.algorithm), tbs);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("is read or refused with an X509Error whatever bytes of it are changed", async () => {
    const der = await certificate(fieldsFor("device", issuing, leaf, [device]), issuing.signer);
    fc.assert(
      fc.property(
        fc.nat(der.length - 1),
        fc.integer({ min: 0, max: 255 }),
        fc.nat(der.length),
        (at, octet, length) => {
          const changed = Uint8Array.from(der);
          changed[at] = octet;
          for (const input of [changed, changed.subarray(0, length)]) {
            try {
              const read = decodeCertificate(input);
              subjectKeyIdentifierOf(read);
            } catch (error) {
              assert.ok(error instanceof X509Error, String(error));
            }
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe("openssl and our certificates", { skip: opensslIsMissing }, () => {
  const folder = mkdtempSync(join(tmpdir(), "x509-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, der: Uint8Array) => {
    const path = join(folder, name);
    writeFileSync(path, encodePem("CERTIFICATE", der));
    return path;
  };

  /** What `openssl verify -x509_strict` says about a leaf below root and issuing CA. */
  async function judge(
    der: Uint8Array,
    purpose: "sslclient" | "sslserver",
    ...more: readonly string[]
  ) {
    const anchor = write(
      "root.pem",
      await certificate(fieldsFor("rootCa", root, root), root.signer),
    );
    const between = write(
      "issuing.pem",
      await certificate(fieldsFor("issuingCa", root, issuing), root.signer),
    );
    const options = [
      "-x509_strict",
      "-purpose",
      purpose,
      "-CAfile",
      anchor,
      "-untrusted",
      between,
      ...more,
    ];
    return openssl("verify", ...options, write("leaf.pem", der));
  }

  const deviceFields = fieldsFor("device", issuing, leaf, [device]);
  const without = (oid: string) =>
    deviceFields.extensions.filter((extension) => extension.oid !== oid);
  const withNames = (...names: readonly GeneralName[]) => ({
    ...deviceFields,
    extensions: [...without(extensionOids.subjectAltName), subjectAltName(names)],
  });
  const refused: readonly (readonly [string, typeof deviceFields, Signer, RegExp])[] = [
    [
      "that has expired",
      { ...deviceFields, validity: { notBefore: now - 2 * dayMs, notAfter: now - dayMs } },
      issuing.signer,
      /expired/,
    ],
    [
      "that is not valid yet",
      { ...deviceFields, validity: { notBefore: now + dayMs, notAfter: now + 2 * dayMs } },
      issuing.signer,
      /not yet valid/,
    ],
    [
      "for servers",
      {
        ...deviceFields,
        extensions: [...without(extensionOids.extendedKeyUsage), extendedKeyUsage(["serverAuth"])],
      },
      issuing.signer,
      /purpose/,
    ],
    [
      "of a foreign CA with the same name",
      deviceFields,
      signerOf(newKey()),
      /signature|unable to get local issuer/,
    ],
    [
      "of another trust domain, by the name constraints",
      withNames({ uri: `spiffe://prod.other/device/${uuid}` }),
      issuing.signer,
      /permitted subtree/,
    ],
    [
      "of a trust domain below, by the name constraints",
      withNames({ uri: `spiffe://x.prod.hospital_1/device/${uuid}` }),
      issuing.signer,
      /permitted subtree/,
    ],
    [
      "with a second identity of another trust domain",
      withNames(device, { uri: `spiffe://prod.other/device/${uuid}` }),
      issuing.signer,
      /permitted subtree/,
    ],
  ];
  for (const [name, fields, signer, because] of refused) {
    test(`refuses a certificate ${name}`, async () => {
      const { code, said } = await judge(await certificate(fields, signer), "sslclient");
      assert.notEqual(code, 0);
      assert.match(said, because);
    });
  }

  test("refuses a certificate below a device's", async () => {
    const below = await certificate(
      fieldsFor("device", leaf, authority("below"), [device]),
      leaf.signer,
    );
    const between = write("device.pem", await certificate(deviceFields, issuing.signer));
    const { code } = await judge(below, "sslclient", "-untrusted", between);
    assert.notEqual(code, 0);
  });

  test("accepts a device and a service as clients, strictly", async () => {
    for (const [profile, name] of [
      ["device", device],
      ["service", service],
    ] as const) {
      const der = await certificate(fieldsFor(profile, issuing, leaf, [name]), issuing.signer);
      const { code, said } = await judge(der, "sslclient");
      assert.equal(code, 0, said);
    }
  });

  test("accepts a server below the constrained CA by DNS name and by address", async () => {
    const names = [host, { ip: "127.0.0.1" }, { ip: "::1" }];
    const der = await certificate(fieldsFor("server", issuing, leaf, names), issuing.signer);
    for (const asked of [
      ["-verify_hostname", "mqtt.hospital.example"],
      ["-verify_ip", "127.0.0.1"],
      ["-verify_ip", "::1"],
    ]) {
      const { code, said } = await judge(der, "sslserver", ...asked);
      assert.equal(code, 0, said);
    }
    const { code } = await judge(der, "sslserver", "-verify_hostname", "other.example");
    assert.notEqual(code, 0);
  });

  test("accepts certificates that do not fit our profiles too, so that the door has to look", async () => {
    for (const names of [[device, service], []]) {
      const { code, said } = await judge(
        await certificate(withNames(...names), issuing.signer),
        "sslclient",
      );
      if (names.length > 0) assert.equal(code, 0, said);
    }
  });

  test("prints every field as meant", async () => {
    const der = await certificate(deviceFields, issuing.signer);
    const { said } = openssl("x509", "-in", write("printed.pem", der), "-noout", "-text");
    for (const text of [
      "Version: 3 (0x2)",
      "f0:e1:d2:c3:b4:a5:96:87:78:69:5a:4b:3c:2d:1e:0f",
      "Issuer: O = Hospital_1, CN = issuing",
      "Subject: O = Hospital_1, CN = leaf",
      "ecdsa-with-SHA256",
      "X509v3 Basic Constraints: critical",
      "CA:FALSE",
      "X509v3 Key Usage: critical",
      "Digital Signature",
      "TLS Web Client Authentication",
      `URI:spiffe://prod.hospital_1/device/${uuid}`,
      Buffer.from(keyIdentifier(leaf.signer.publicKey))
        .toString("hex")
        .toUpperCase()
        .match(/../g)
        ?.join(":") ?? "-",
      Buffer.from(keyIdentifier(issuing.signer.publicKey))
        .toString("hex")
        .toUpperCase()
        .match(/../g)
        ?.join(":") ?? "-",
    ]) {
      assert.ok(said.includes(text), `${text} is not in:\n${said}`);
    }
    assert.ok(!said.includes("TLS Web Server Authentication"));
  });
});
