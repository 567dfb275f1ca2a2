import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ForeignCas } from "../src/door/foreign-cas.ts";
import { type Handshake, identify } from "../src/door/identity.ts";
import { Subjects } from "../src/enforcement/subjects.ts";
import { deviceRecord, settings } from "./broker-parts.ts";

const uuid = "00000000-0000-4000-8000-000000000001";
const fingerprint = "AB:CD:01";
const bound = { fingerprint: "abcd01", notAfter: 1, state: "active" } as const;
const record = { ...deviceRecord(uuid), certificates: [bound] };

const good: Handshake = {
  certificate: { fingerprint256: fingerprint, subjectaltname: `URI:${record.spiffeId}` },
  der: () => assert.fail("the certificate is read where no foreign CA is"),
  cipherSuite: "TLS_AES_256_GCM_SHA384",
  isAuthorized: true,
  authorizationError: undefined,
  serverName: "localhost",
};

function check(handshake: Partial<Handshake>, change: Partial<typeof record> = {}): string {
  const subjects = new Subjects();
  subjects.put({ ...record, ...change });
  const foreign = new ForeignCas({ subjects, own: () => settings, now: () => 0 });
  const found = identify({ ...good, ...handshake }, settings, subjects, "certificate", foreign);
  return "check" in found ? found.check : found.subject.id;
}

const names = (subjectaltname: string) => ({
  certificate: { fingerprint256: fingerprint, subjectaltname },
});

/** What is wrong with a handshake or its record, and the check that says so. */
const refusals: readonly (readonly [
  string,
  string,
  Partial<Handshake>,
  Partial<typeof record>?,
])[] = [
  ["no host", "sni", { serverName: undefined }],
  ["an empty host", "sni", { serverName: "" }],
  ["another host", "sni", { serverName: "localhost.evil.example" }],
  [
    "a cipher suite outside the profile",
    "cipher-suite",
    { cipherSuite: "TLS_CHACHA20_POLY1305_SHA256" },
  ],
  ["no certificate", "client-certificate", { certificate: {} }],
  [
    "a path that leads nowhere",
    "certification-path",
    { isAuthorized: false, authorizationError: "X\n" },
  ],
  [
    "a certificate of no record",
    "certificate-bound",
    { certificate: { fingerprint256: "AB:CD:02" } },
  ],
  [
    "a revoked certificate",
    "certificate-active",
    {},
    { certificates: [{ ...bound, state: "revoked" as "active" }] },
  ],
  ["a revoked subject", "subject-active", {}, { state: "revoked" }],
  ["no name", "subject-alt-name", { certificate: { fingerprint256: fingerprint } }],
  ["another name", "subject-alt-name", names("URI:spiffe://prod.hospital/device/other")],
  ["the name in other letters", "subject-alt-name", names(`URI:${record.spiffeId.toUpperCase()}`)],
  ["a second name behind", "subject-alt-name", names(`URI:${record.spiffeId}, DNS:localhost`)],
  ["a second name before", "subject-alt-name", names(`DNS:localhost, URI:${record.spiffeId}`)],
  ["the name twice", "subject-alt-name", names(`URI:${record.spiffeId}, URI:${record.spiffeId}`)],
  ["the name as another kind", "subject-alt-name", names(`DNS:${record.spiffeId}`)],
];

describe("identify", () => {
  for (const [what, expected, handshake, change] of refusals) {
    test(`refuses ${what}`, () => assert.equal(check(handshake, change), expected));
  }

  test("gives the subject of a certificate that passes every check", () => {
    assert.equal(check({}), `device:${uuid}`);
    assert.equal(check({ serverName: "LOCALHOST" }), `device:${uuid}`);
  });
});
