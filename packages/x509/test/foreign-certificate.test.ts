import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  allowsKeyUsage,
  basicConstraints,
  basicConstraintsOf,
  type Certificate,
  certificate,
  decodeCertificate,
  type Extension,
  encodeName,
  extendedKeyUsage,
  isAcceptedForeignKey,
  keyUsage,
  type MappingRule,
  type NameAttributes,
  objectIdentifier,
  readForeignCertificate,
  sequence,
  subjectAltName,
  X509Error,
} from "../src/index.ts";
import { bytes, newKey, signerOf, someFields, type TestKey } from "./keys.ts";

const own = { org: "Hospital", trustDomain: "prod.hospital" };
const uuid = "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";
const fingerprint = "ab".repeat(32);
const byCommonName = { field: "common-name", equals: "uuid" } as const;
const clientAuth = extendedKeyUsage(["clientAuth"]);
const signer = signerOf(newKey());

interface Wanted {
  readonly subject?: NameAttributes | Uint8Array;
  readonly extensions?: readonly Extension[];
  readonly key?: TestKey;
}

async function make({ subject = { commonName: uuid }, extensions = [clientAuth], key }: Wanted) {
  const { publicKey } = newKey(key);
  const name = subject instanceof Uint8Array ? subject : encodeName(subject);
  return decodeCertificate(
    await certificate({ ...someFields(publicKey), subject: name, extensions }, signer),
  );
}

const read = (one: Certificate, rule: MappingRule = byCommonName) =>
  readForeignCertificate(one, fingerprint, rule, own);
const san = (...names: Parameters<typeof subjectAltName>[0]) => [clientAuth, subjectAltName(names)];
const twoNames = (() => {
  const one = (commonName: string) => encodeName({ commonName }).subarray(2);
  return sequence(one(uuid), one("0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c12"));
})();

describe("a certificate of a foreign CA", () => {
  const refused: readonly (readonly [string, string, Wanted, MappingRule?])[] = [
    ["a P-521 key", "foreign-key", { key: "P-521" }],
    [
      "the bit of a CA",
      "foreign-basic-constraints",
      { extensions: [basicConstraints({ ca: true }), clientAuth] },
    ],
    [
      "a keyUsage without digitalSignature",
      "foreign-key-usage",
      { extensions: [keyUsage(["keyCertSign"]), clientAuth] },
    ],
    ["no extendedKeyUsage", "foreign-extended-key-usage", { extensions: [] }],
    [
      "an extendedKeyUsage for servers",
      "foreign-extended-key-usage",
      { extensions: [extendedKeyUsage(["serverAuth"])] },
    ],
    [
      "anyExtendedKeyUsage",
      "foreign-extended-key-usage",
      { extensions: [{ ...clientAuth, value: sequence(objectIdentifier("2.5.29.37.0")) }] },
    ],
    [
      "our own SPIFFE ID",
      "foreign-own-name",
      { extensions: san({ uri: `spiffe://prod.hospital/device/${uuid}` }) },
    ],
    [
      "our own trust domain in capitals",
      "foreign-own-name",
      { extensions: san({ uri: "SPIFFE://Prod.Hospital/device/x" }) },
    ],
    [
      "our other environment",
      "foreign-own-name",
      { extensions: san({ uri: "spiffe://test.hospital/device/x" }) },
    ],
    [
      "our trust domain with a port",
      "foreign-own-name",
      { extensions: san({ uri: "spiffe://prod.hospital:1/device/x" }) },
    ],
    [
      "our trust domain behind a user",
      "foreign-own-name",
      { extensions: san({ uri: "spiffe://u@prod.hospital/x" }) },
    ],
    [
      "our trust domain percent-encoded",
      "foreign-own-name",
      { extensions: san({ uri: "spiffe://prod%2ehospital/x" }) },
    ],
    [
      "our name beside a good one",
      "foreign-own-name",
      { extensions: san({ uri: `urn:uuid:${uuid}` }, { uri: "spiffe://prod.hospital/x" }) },
      { field: "san-uri", equals: "uuid" },
    ],
    ["no commonName", "foreign-mapping", { subject: { serialNumber: uuid } }],
    ["two commonNames", "foreign-mapping", { subject: twoNames }],
    ["a commonName that is no uuid", "foreign-mapping", { subject: { commonName: "pump-7" } }],
    ["a uuid with something behind it", "foreign-mapping", { subject: { commonName: `${uuid}.` } }],
    [
      "no subjectAltName",
      "foreign-mapping",
      {},
      { field: "san-dns", equals: "serial", maker: "acme" },
    ],
    [
      "two DNS names",
      "foreign-mapping",
      { extensions: san({ dns: "a.example" }, { dns: "b.example" }) },
      { field: "san-dns", equals: "serial", maker: "acme" },
    ],
    [
      "a fingerprint that is to be a uuid",
      "foreign-mapping",
      {},
      { field: "fingerprint", equals: "uuid" },
    ],
  ];
  for (const [name, check, wanted, rule] of refused) {
    test(`with ${name} is refused`, async () => {
      const found = read(await make(wanted), rule);
      assert.ok("check" in found, JSON.stringify(found));
      assert.equal(found.check, check);
      assert.ok(!found.why.includes(uuid), "text of the certificate in the reason");
    });
  }

  test("is refused for a signature that is not one of ours, and for an RSA key that is too short or too long", async () => {
    const good = await make({});
    const sha1WithRsa = bytes("300d06092a864886f70d0101050500");
    const found = read({ ...good, signatureIdentifier: sha1WithRsa });
    assert.ok("check" in found && found.check === "foreign-algorithm");
    const sha256WithRsa = bytes("300d06092a864886f70d01010b0500");
    assert.ok("value" in read({ ...good, signatureIdentifier: sha256WithRsa }));
    for (const [bits, isAccepted] of [
      [1024, false],
      [2040, false],
      [2048, true],
      [3072, true],
    ] as const) {
      const { publicKey } = generateKeyPairSync("rsa", { modulusLength: bits });
      const spki = new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
      assert.equal(isAcceptedForeignKey(spki), isAccepted, `${bits} bits`);
    }
  });

  const accepted: readonly (readonly [string, Wanted, MappingRule, string])[] = [
    ["its commonName", {}, byCommonName, uuid],
    ["a uuid in capitals", { subject: { commonName: uuid.toUpperCase() } }, byCommonName, uuid],
    [
      "the serialNumber",
      { subject: { commonName: "x", serialNumber: "SN 1" } },
      { field: "serial-number", equals: "serial", maker: "acme" },
      "SN 1",
    ],
    [
      "a urn:uuid",
      { extensions: san({ uri: `urn:uuid:${uuid}` }) },
      { field: "san-uri", equals: "uuid" },
      uuid,
    ],
    [
      "a URI of another trust domain",
      { extensions: san({ uri: "spiffe://acme.example/pump/1" }) },
      { field: "san-uri", equals: "serial", maker: "acme" },
      "spiffe://acme.example/pump/1",
    ],
    [
      "its DNS name",
      { extensions: san({ dns: "pump-1.acme.example" }) },
      { field: "san-dns", equals: "serial", maker: "acme" },
      "pump-1.acme.example",
    ],
    ["its fingerprint", {}, { field: "fingerprint", equals: "serial", maker: "acme" }, fingerprint],
    ["an RSA key", { key: "RSA" }, byCommonName, uuid],
    [
      "keyUsage digitalSignature",
      { extensions: [keyUsage(["digitalSignature"]), clientAuth] },
      byCommonName,
      uuid,
    ],
  ];
  for (const [name, wanted, rule, value] of accepted) {
    test(`is read by ${name}`, async () => {
      assert.deepEqual(read(await make(wanted), rule), { value });
    });
  }

  test("gives a value or a refusal, whatever its extensions hold", async () => {
    const oids = ["2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.37"];
    const good = await make({});
    const any = fc.array(fc.tuple(fc.constantFrom(...oids), fc.uint8Array({ maxLength: 24 })));
    fc.assert(
      fc.property(any, (all) => {
        const extensions = all.map(([oid, value]) => ({ oid, critical: false, value }));
        const found = read({ ...good, extensions });
        assert.ok("value" in found || found.check.startsWith("foreign-"));
      }),
    );
  });
});

test("the readers of extensions read back what is written", () => {
  fc.assert(
    fc.property(
      fc.option(fc.integer({ min: 0, max: 255 }), { nil: undefined }),
      (pathLenConstraint) => {
        const constraints = {
          ca: true,
          ...(pathLenConstraint === undefined ? {} : { pathLenConstraint }),
        };
        assert.deepEqual(basicConstraintsOf([basicConstraints(constraints)]), constraints);
      },
    ),
  );
  assert.deepEqual(basicConstraintsOf([]), { ca: false });
  assert.throws(
    () => basicConstraintsOf([{ ...basicConstraints({ ca: true }), value: bytes("30030101ff00") }]),
    X509Error,
  );
  const usages = ["digitalSignature", "keyCertSign", "cRLSign"] as const;
  for (const one of usages) {
    for (const other of usages)
      assert.equal(allowsKeyUsage([keyUsage([one])], other), one === other);
    assert.ok(allowsKeyUsage([], one));
  }
});
