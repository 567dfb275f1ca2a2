import assert from "node:assert/strict";
import { verify } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  bitString,
  certificateRequest,
  decodeCertificateRequest,
  decodePem,
  decodePublicKey,
  element,
  encodeName,
  encodePem,
  extensionOids,
  requestAttributes,
  sequence,
  signatureAlgorithmIdentifier,
  signatureAlgorithms,
  subjectAltNames,
  unsignedInteger,
  X509Error,
} from "../src/index.ts";
import { hex, newKey, openssl, opensslIsMissing, signerOf } from "./keys.ts";

const refuses = (work: () => unknown) => assert.throws(work, X509Error);

async function requestOf(key = newKey()) {
  return { key, der: await certificateRequest(key.publicKey, signerOf(key).sign) };
}

describe("a public key", () => {
  for (const type of ["RSA", "P-521"] as const) {
    test(`of type ${type} is refused`, () =>
      refuses(() => decodePublicKey(newKey(type).publicKey)));
  }
  for (const type of ["P-256", "P-384", "Ed25519"] as const) {
    test(`of type ${type} is taken`, () =>
      assert.equal(decodePublicKey(newKey(type).publicKey).type, type));
  }
  test("with a compressed point is refused: one key has one encoding", () => {
    const { publicKey } = newKey();
    const algorithm = publicKey.subarray(2, 23);
    const compressed = sequence(
      algorithm,
      bitString(Uint8Array.of(2, ...publicKey.subarray(27, 59))),
    );
    refuses(() => decodePublicKey(compressed));
  });
  test("with a point in the hybrid form is refused", () => {
    const hybrid = Uint8Array.from(newKey().publicKey);
    hybrid[26] = 0x06 | ((hybrid.at(-1) ?? 0) & 1);
    refuses(() => decodePublicKey(hybrid));
  });
  test("with something behind it is refused", () =>
    refuses(() => decodePublicKey(Uint8Array.of(...newKey().publicKey, 0))));
});

describe("a certificate request", () => {
  test("is refused when the signature algorithm is not one of the key", async () => {
    const { der } = await requestOf();
    const ecdsa = signatureAlgorithmIdentifier("ecdsa-with-SHA256");
    const at = hex(der).indexOf(hex(ecdsa)) / 2;
    const { certificationRequestInfo, signature } = decodeCertificateRequest(der);
    assert.ok(at > 0);
    const other = signatureAlgorithmIdentifier("Ed25519");
    refuses(() =>
      decodeCertificateRequest(sequence(certificationRequestInfo, other, bitString(signature))),
    );
  });

  test("is refused in another version", () => {
    const info = sequence(
      unsignedInteger(Uint8Array.of(1)),
      sequence(),
      newKey().publicKey,
      element(0xa0),
    );
    const algorithm = signatureAlgorithmIdentifier("ecdsa-with-SHA256");
    refuses(() =>
      decodeCertificateRequest(sequence(info, algorithm, bitString(new Uint8Array(70)))),
    );
  });

  for (const type of ["P-256", "P-384", "Ed25519"] as const) {
    test(`with a ${type} key proves that its maker holds the private key`, async () => {
      const { key, der } = await requestOf(newKey(type));
      const request = decodeCertificateRequest(der);
      assert.deepEqual(request.publicKey, key.publicKey);
      const { hash } = signatureAlgorithms[request.signatureAlgorithm];
      const spki = { key: Buffer.from(request.publicKey), format: "der", type: "spki" } as const;
      assert.ok(verify(hash, request.certificationRequestInfo, spki, request.signature));
    });
  }

  test("gives nothing of the subject it asks for", async () => {
    const key = newKey();
    const info = sequence(
      unsignedInteger(Uint8Array.of(0)),
      encodeName({ commonName: "device:someone-else" }),
      key.publicKey,
      element(0xa0),
    );
    const algorithm = signatureAlgorithmIdentifier("ecdsa-with-SHA256");
    const signature = await signerOf(key).sign(info);
    const request = decodeCertificateRequest(sequence(info, algorithm, bitString(signature)));
    assert.deepEqual(Object.keys(request).sort(), [
      "attributes",
      "certificationRequestInfo",
      "key",
      "publicKey",
      "requestedExtensions",
      "signature",
      "signatureAlgorithm",
    ]);
  });

  test("gives a request or an X509Error whatever bytes of it are changed", async () => {
    const { der } = await requestOf();
    const change = fc.record({
      at: fc.nat(der.length - 1),
      kind: fc.constantFrom("set", "remove", "insert", "cut"),
      octet: fc.integer({ min: 0, max: 255 }),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const octets = [...der];
        for (const { at, kind, octet } of changes) {
          if (kind === "set") octets[at % Math.max(1, octets.length)] = octet;
          else if (kind === "remove") octets.splice(at, 1);
          else if (kind === "insert") octets.splice(at, 0, octet);
          else octets.length = Math.min(octets.length, at);
        }
        try {
          decodeCertificateRequest(Uint8Array.from(octets));
        } catch (error) {
          assert.ok(error instanceof X509Error, String(error));
        }
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("openssl and certificate requests", { skip: opensslIsMissing }, () => {
  test("verifies ours", async () => {
    const folder = mkdtempSync(join(tmpdir(), "x509-"));
    try {
      for (const type of ["P-256", "P-384", "Ed25519"] as const) {
        const file = join(folder, "request.pem");
        writeFileSync(file, encodePem("CERTIFICATE REQUEST", (await requestOf(newKey(type))).der));
        const { code, said } = openssl("req", "-in", file, "-verify", "-noout");
        assert.equal(code, 0, said);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("makes requests that we read, with what else they ask for", () => {
    const words =
      "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj /CN=x/O=y";
    const { said, code } = openssl(
      ...words.split(" "),
      "-addext",
      "subjectAltName=URI:spiffe://other/device/x",
    );
    assert.equal(code, 0, said);
    const [pem = ""] =
      /-----BEGIN CERTIFICATE REQUEST[\s\S]*END CERTIFICATE REQUEST-----/.exec(said) ?? [];
    const request = decodeCertificateRequest(decodePem("CERTIFICATE REQUEST", pem));
    assert.equal(request.key.type, "P-256");
    assert.deepEqual(request.attributes, [requestAttributes.extensionRequest]);
    const [asked] = request.requestedExtensions;
    assert.equal(asked?.oid, extensionOids.subjectAltName);
    assert.deepEqual(subjectAltNames(asked?.value ?? new Uint8Array(), "uri"), [
      "spiffe://other/device/x",
    ]);
  });
});
