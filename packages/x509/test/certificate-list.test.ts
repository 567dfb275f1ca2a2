import assert from "node:assert/strict";
import { verify } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  boolean,
  type CertificateListFields,
  certificateList,
  contextTag,
  DerReader,
  decodeCertificateList,
  type Extension,
  element,
  elementsOf,
  encodeExtension,
  encodeName,
  encodePem,
  encodeRevoked,
  encodeTime,
  extensionOids,
  type RevocationReason,
  type RevokedCertificate,
  revocationReasons,
  sequence,
  tags,
  unsignedInteger,
  verifyingHashOf,
  X509Error,
} from "../src/index.ts";
import { Files, issueBy, rootAuthority, type TestAuthority } from "./authority.ts";
import { bytes, keyIdentifier, newKey, openssl, opensslIsMissing } from "./keys.ts";

const hourMs = 3_600_000;
const now = Date.now();
const uuid = "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";

function fieldsOf(
  by: TestAuthority,
  revoked: readonly RevokedCertificate[],
): CertificateListFields {
  return {
    issuer: by.certificate.subject,
    authorityKeyIdentifier: keyIdentifier(by.signer.publicKey),
    crlNumber: 4711,
    thisUpdate: now - hourMs,
    nextUpdate: now + 23 * hourMs,
    scope: "userCertificates",
    revoked: revoked.length === 0 ? [] : [encodeRevoked(revoked)],
  };
}

const revokedOf = (serialNumber: string): RevokedCertificate => ({
  serialNumber,
  revocationDate: now - hourMs,
  reason: "keyCompromise",
});

/** The CRL with its last part, the extensions, replaced; its signature fits no more. */
function withExtensions(der: Uint8Array, extensions: readonly Extension[]): Uint8Array {
  const [tbs, algorithm, signature] = elementsOf(new DerReader(der).read(tags.sequence).content);
  assert.ok(tbs && algorithm && signature);
  const parts = elementsOf(tbs.content).slice(0, -1);
  const list = element(contextTag(0, "constructed"), sequence(...extensions.map(encodeExtension)));
  return sequence(
    sequence(...parts.map((part) => part.bytes), list),
    algorithm.bytes,
    signature.bytes,
  );
}

const distributionPoint = (...flags: readonly Uint8Array[]): Extension => ({
  oid: extensionOids.issuingDistributionPoint,
  critical: true,
  value: sequence(...flags),
});
const flag = (number: number) =>
  element(contextTag(number, "primitive"), boolean(true).subarray(2));

const refuses = (der: Uint8Array, why: RegExp) =>
  assert.throws(
    () => decodeCertificateList(der),
    (error) => error instanceof X509Error && why.test(error.message),
  );

describe("a CRL", () => {
  const cases: readonly (readonly [string, Extension, RegExp])[] = [
    [
      "a delta CRL",
      { oid: "2.5.29.27", critical: true, value: bytes("020101") },
      /extension 2\.5\.29\.27/,
    ],
    [
      "a critical extension nobody knows",
      { oid: "1.2.3.4", critical: true, value: bytes("0500") },
      /1\.2\.3\.4/,
    ],
    ["CA certificates only", distributionPoint(flag(2)), /no user certificates/],
    [
      "some reasons only",
      distributionPoint(element(contextTag(3, "primitive"), bytes("0640"))),
      /reasons/,
    ],
    ["the certificates of others", distributionPoint(flag(4)), /indirect/],
    ["attribute certificates only", distributionPoint(flag(5)), /no user certificates/],
  ];
  for (const [name, extension, why] of cases) {
    test(`is refused for ${name}`, async () => {
      const by = await rootAuthority();
      const der = await certificateList(fieldsOf(by, []), by.signer);
      refuses(withExtensions(der, [extension]), why);
    });
  }

  test("with the extensions of a full CRL is taken", async () => {
    const by = await rootAuthority();
    const der = await certificateList(fieldsOf(by, []), by.signer);
    const read = decodeCertificateList(withExtensions(der, [distributionPoint(flag(1))]));
    assert.deepEqual(read.revokedSerialNumbers, []);
  });

  test("is refused when it does not say when the next one comes", async () => {
    const by = await rootAuthority();
    const der = await certificateList(fieldsOf(by, []), by.signer);
    const [tbs, algorithm, signature] = elementsOf(new DerReader(der).read(tags.sequence).content);
    assert.ok(tbs && algorithm && signature);
    const parts = elementsOf(tbs.content).filter((_, at) => at !== 4);
    const without = sequence(...parts.map((part) => part.bytes));
    refuses(sequence(without, algorithm.bytes, signature.bytes), /nextUpdate/);
  });

  test("is refused with an entry whose critical extension says that another CA issued it", async () => {
    const by = await rootAuthority();
    const der = await certificateList(fieldsOf(by, [revokedOf("01")]), by.signer);
    const reason = encodeExtension({
      oid: extensionOids.reasonCode,
      critical: false,
      value: bytes("0a0101"),
    });
    const other = encodeExtension({ oid: "2.5.29.29", critical: true, value: bytes("") });
    assert.equal(other.length, reason.length);
    const at = Buffer.from(der).indexOf(reason);
    const changed = Uint8Array.from(der);
    changed.set(other, at);
    refuses(changed, /2\.5\.29\.29 of an entry/);
  });

  test("says which serial numbers are revoked, whatever they are, and verifies", async () => {
    const by = await rootAuthority();
    const serials = fc.uniqueArray(fc.bigInt({ min: 1n, max: 2n ** 127n - 1n }), { maxLength: 50 });
    await fc.assert(
      fc.asyncProperty(serials, async (numbers) => {
        const hexes = numbers.map((one) => {
          const digits = one.toString(16);
          return digits.padStart(digits.length + (digits.length % 2), "0");
        });
        const der = await certificateList(fieldsOf(by, hexes.map(revokedOf)), by.signer);
        const read = decodeCertificateList(der);
        assert.deepEqual(read.revokedSerialNumbers, hexes);
        assert.equal(read.crlNumber, 4711);
        assert.deepEqual(read.issuer, by.certificate.subject);
        assert.equal(read.thisUpdate, Math.floor((now - hourMs) / 1000) * 1000);
        assert.equal(read.nextUpdate, Math.floor((now + 23 * hourMs) / 1000) * 1000);
        const key = { key: Buffer.from(by.signer.publicKey), format: "der", type: "spki" } as const;
        const hash = verifyingHashOf(read.signatureAlgorithm);
        assert.ok(hash !== undefined && verify(hash, read.tbsCertList, key, read.signature));
      }),
      { numRuns: 100 },
    );
  });

  test("gives a list or an X509Error whatever bytes of it are changed", async () => {
    const by = await rootAuthority();
    const der = await certificateList(fieldsOf(by, ["01", "02"].map(revokedOf)), by.signer);
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.nat(255), (at, octet) => {
        const changed = Uint8Array.from(der);
        changed[at] = octet;
        try {
          decodeCertificateList(changed);
        } catch (error) {
          assert.ok(error instanceof X509Error, String(error));
        }
      }),
      { numRuns: 3_000 },
    );
  });

  test("holds a hundred thousand entries", async () => {
    const by = await rootAuthority();
    const serialNumbers = Array.from(
      { length: 100_000 },
      (_, i) => `${"5a".repeat(12)}${i.toString(16).padStart(8, "0")}`,
    );
    const der = await certificateList(fieldsOf(by, serialNumbers.map(revokedOf)), by.signer);
    assert.deepEqual(decodeCertificateList(der).revokedSerialNumbers, serialNumbers);
  });

  test("has entries as plain DER has them, encoded in one part or in several", () => {
    const plain = ({ serialNumber, revocationDate, reason }: RevokedCertificate) => {
      const code = element(tags.enumerated, Uint8Array.of(revocationReasons[reason]));
      const extension = { oid: extensionOids.reasonCode, critical: false, value: code };
      return sequence(
        unsignedInteger(bytes(serialNumber)),
        encodeTime(revocationDate),
        ...(reason === "unspecified" ? [] : [sequence(encodeExtension(extension))]),
      );
    };
    const entry = fc.record({
      serialNumber: fc
        .uint8Array({ minLength: 1, maxLength: 20 })
        .map((octets) => Buffer.from(octets).toString("hex")),
      revocationDate: fc.integer({ min: 0, max: Date.UTC(2060) }),
      reason: fc.constantFrom(...(Object.keys(revocationReasons) as RevocationReason[])),
    });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 20 }), fc.boolean(), (revoked, isUpper) => {
        const given = revoked.map((one) => ({
          ...one,
          serialNumber: isUpper ? one.serialNumber.toUpperCase() : one.serialNumber,
        }));
        const expected = Buffer.concat(revoked.map(plain));
        assert.deepEqual(Buffer.from(encodeRevoked(given)), expected);
        assert.deepEqual(Buffer.concat(given.map((one) => encodeRevoked([one]))), expected);
      }),
    );
  });

  for (const serialNumber of ["", "0", "0g", "zz", "1".repeat(42), "80".repeat(21)]) {
    test(`is not made with the serial number "${serialNumber}"`, () => {
      assert.throws(() => encodeRevoked([revokedOf(serialNumber)]), X509Error);
    });
  }
});

describe("openssl and CRLs", { skip: opensslIsMissing }, () => {
  test("reads ours with number, authority key identifier and scope", async () => {
    using files = new Files();
    const by = await rootAuthority();
    const der = await certificateList(fieldsOf(by, [revokedOf("7a01")]), by.signer);
    const crl = files.write("crl.pem", encodePem("X509 CRL", der));
    const ca = files.certificate("ca.pem", by.certificate);
    const { code, said } = openssl("crl", "-in", crl, "-CAfile", ca, "-text", "-noout");
    assert.equal(code, 0, said);
    assert.match(said, /verify OK/);
    assert.match(said, /CRL Number:\s+4711/);
    assert.match(said, /Authority Key Identifier/);
    assert.match(said, /Issuing Distribution Point: critical\s+Only User Certificates/);
    assert.match(said, /Serial Number: 7A01[\s\S]*Key Compromise/);
  });

  test("lets a certificate in that is not in the list, and refuses the one that is", async () => {
    using files = new Files();
    const by = await rootAuthority();
    const leafOf = async (serialNumber: string) => {
      const names = [{ uri: `spiffe://prod.hospital/device/${uuid}` }];
      const subject = encodeName({ commonName: uuid });
      return issueBy(by, "device", subject, newKey().publicKey, names, bytes(serialNumber));
    };
    const der = await certificateList(fieldsOf(by, [revokedOf("7a01")]), by.signer);
    const crl = files.write("crl.pem", encodePem("X509 CRL", der));
    const ca = files.certificate("ca.pem", by.certificate);
    const check = async (serialNumber: string) => {
      const leaf = files.certificate(`${serialNumber}.pem`, await leafOf(serialNumber));
      return openssl("verify", "-crl_check", "-CAfile", ca, "-CRLfile", crl, leaf);
    };
    const revoked = await check("7a01");
    assert.notEqual(revoked.code, 0);
    assert.match(revoked.said, /certificate revoked/);
    const good = await check("7a02");
    assert.equal(good.code, 0, good.said);
  });

  test("makes a CRL that we read, with RSA too", () => {
    using files = new Files();
    const key = files.write("key.pem", "");
    const ca = files.write("ca.pem", "");
    const made = openssl(
      ..."req -x509 -newkey rsa:2048 -nodes -subj /CN=foreign -days 1 -keyout".split(" "),
      key,
      "-out",
      ca,
    );
    assert.equal(made.code, 0, made.said);
    files.write(
      "index.txt",
      "R\t301231235959Z\t261101000000Z,keyCompromise\t0ABC\tunknown\t/CN=x\n",
    );
    files.write("number", "01\n");
    const config = files.write(
      "ca.cnf",
      `[ca]\ndefault_ca=d\n[d]\ndatabase=${files.folder}/index.txt\ncrlnumber=${files.folder}/number\ndefault_md=sha256\ndefault_crl_days=1\ncrl_extensions=x\n[x]\nauthorityKeyIdentifier=keyid\n`,
    );
    const crl = `${files.folder}/crl.der`;
    const words = ["ca", "-gencrl", "-config", config, "-keyfile", key, "-cert", ca, "-out", crl];
    const { code, said } = openssl(...words, "-crlhours", "2");
    assert.equal(code, 0, said);
    const der = openssl("crl", "-in", crl, "-outform", "DER", "-out", crl);
    assert.equal(der.code, 0, der.said);
    const read = decodeCertificateList(files.read("crl.der"));
    assert.deepEqual(read.revokedSerialNumbers, ["0abc"]);
    assert.equal(verifyingHashOf(read.signatureAlgorithm), "sha256");
  });
});
