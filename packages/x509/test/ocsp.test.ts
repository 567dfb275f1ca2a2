import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  type CertStatus,
  decodeOcspRequest,
  element,
  encodeName,
  objectIdentifier,
  ocspErrorResponse,
  ocspResponse,
  octetString,
  sequence,
  unsignedInteger,
  X509Error,
} from "../src/index.ts";
import { Files, issueBy, rootAuthority } from "./authority.ts";
import { bytes, newKey, openssl, opensslIsMissing, signerOf } from "./keys.ts";

const sha1 = sequence(objectIdentifier("1.3.14.3.2.26"), bytes("0500"));
const certId = sequence(
  sha1,
  octetString(bytes("11".repeat(20))),
  octetString(bytes("22".repeat(20))),
  unsignedInteger(bytes("7a01")),
);

function requestOf(certIds: readonly Uint8Array[], nonce?: Uint8Array): Uint8Array {
  const extensions =
    nonce === undefined
      ? []
      : [
          element(
            0xa2,
            sequence(sequence(objectIdentifier("1.3.6.1.5.5.7.48.1.2"), octetString(nonce))),
          ),
        ];
  return sequence(sequence(sequence(...certIds.map((id) => sequence(id))), ...extensions));
}

describe("an OCSP request", () => {
  for (const [name, der] of [
    ["for no certificate", requestOf([])],
    ["for 33 certificates", requestOf(Array.from({ length: 33 }, () => certId))],
    ["with an empty nonce", requestOf([certId], octetString(bytes("")))],
    ["with a nonce of 129 octets", requestOf([certId], octetString(bytes("aa".repeat(129))))],
    ["with a nonce that is no octet string", requestOf([certId], bytes("020101"))],
    ["with something behind it", Uint8Array.of(...requestOf([certId]), 0)],
  ] as const) {
    test(`${name} is refused`, () => assert.throws(() => decodeOcspRequest(der), X509Error));
  }

  test("gives the certificates it asks about, and its nonce", () => {
    const read = decodeOcspRequest(requestOf([certId], octetString(bytes("aabb"))));
    const [one] = read.certIds;
    assert.equal(one?.hash, "sha1");
    assert.deepEqual(one?.serialNumber, bytes("7a01"));
    assert.deepEqual(one?.issuerNameHash, bytes("11".repeat(20)));
    assert.deepEqual(one?.issuerKeyHash, bytes("22".repeat(20)));
    assert.deepEqual(one?.der, certId);
    assert.deepEqual(read.nonce, octetString(bytes("aabb")));
  });

  test("with a hash we do not know asks about a certificate that nobody knows", () => {
    const md5 = sequence(objectIdentifier("1.2.840.113549.2.5"), bytes("0500"));
    const other = sequence(
      md5,
      octetString(bytes("11")),
      octetString(bytes("22")),
      unsignedInteger(bytes("01")),
    );
    assert.equal(decodeOcspRequest(requestOf([other])).certIds[0]?.hash, undefined);
  });

  test("gives a request or an X509Error whatever bytes of it are changed", () => {
    const der = requestOf([certId, certId], octetString(bytes("aabb")));
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.nat(255), (at, octet) => {
        const changed = Uint8Array.from(der);
        changed[at] = octet;
        try {
          decodeOcspRequest(changed);
        } catch (error) {
          assert.ok(error instanceof X509Error, String(error));
        }
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("openssl and OCSP", { skip: opensslIsMissing }, () => {
  const statuses: readonly (readonly [CertStatus, RegExp])[] = [
    [
      { is: "revoked", at: Date.now() - 5_000, reason: "keyCompromise" },
      /: revoked[\s\S]*Reason: keyCompromise/,
    ],
    [{ is: "revoked", at: Date.now() - 5_000, reason: "unspecified" }, /: revoked/],
    [{ is: "unknown" }, /: unknown/],
    [{ is: "good" }, /: good/],
  ];
  for (const hash of ["sha1", "sha256"] as const) {
    for (const [status, says] of statuses) {
      test(`accepts our answer ${status.is} to a request with ${hash}`, async () => {
        using files = new Files();
        const by = await rootAuthority();
        const responderKey = signerOf(newKey());
        const name = encodeName({ commonName: "responder" });
        const responder = await issueBy(by, "ocspResponder", name, responderKey.publicKey);
        const uri = "spiffe://prod.hospital/service/dashboard";
        const subject = encodeName({ commonName: "dashboard" });
        const leaf = await issueBy(by, "service", subject, newKey().publicKey, [{ uri }]);
        const ca = files.certificate("ca.pem", by.certificate);
        const cert = files.certificate("leaf.pem", leaf);
        const request = `${files.folder}/request.der`;
        const asked = ["ocsp", `-${hash}`, "-issuer", ca, "-cert", cert];
        const made = openssl(...asked, "-reqout", request);
        assert.equal(made.code, 0, made.said);

        const { certIds, nonce } = decodeOcspRequest(files.read("request.der"));
        const [certId] = certIds;
        assert.ok(certId && nonce);
        assert.equal(certId.hash, hash);
        const nameHash = createHash(hash).update(by.certificate.subject).digest();
        assert.deepEqual(Buffer.from(certId.issuerNameHash), nameHash);
        assert.deepEqual(certId.serialNumber, leaf.serialNumber);
        const at = Date.now();
        const answer = await ocspResponse(
          {
            responder: responder.subject,
            producedAt: at,
            responses: [
              { certId: certId.der, status, thisUpdate: at - 1000, nextUpdate: at + 3_600_000 },
            ],
            nonce,
            certificate: responder.der,
          },
          responderKey,
        );
        const response = files.write("response.der", answer);
        // The request as it was, for its nonce; then the certificate by name, for what is said about it.
        for (const about of [
          ["ocsp", "-reqin", request],
          [...asked, "-no_nonce"],
        ]) {
          const { code, said } = openssl(...about, "-respin", response, "-CAfile", ca);
          assert.match(said, /Response verify OK/);
          assert.doesNotMatch(said, /nonce/i);
          assert.equal(code, 0, said);
          if (about.includes("-cert")) assert.match(said, says);
        }
      });
    }
  }

  test("reads an error", () => {
    using files = new Files();
    const response = files.write("response.der", ocspErrorResponse("malformedRequest"));
    assert.match(openssl("ocsp", "-respin", response, "-noverify").said, /malformedrequest \(1\)/i);
  });
});
