import assert from "node:assert/strict";
import { constants } from "node:crypto";
import { describe, test } from "node:test";
import { environmentFaults } from "../src/door/environment.ts";
import { type Handshake, identify } from "../src/door/identity.ts";
import {
  hasCipherSuite,
  listenerOptions,
  profiles,
  secureContextOptions,
} from "../src/door/tls-options.ts";
import { Subjects } from "../src/enforcement/subjects.ts";
import { deviceRecord, settings } from "./broker-parts.ts";

const uuid = "00000000-0000-4000-8000-000000000001";
const fingerprint = "AB:CD:01";
const bound = { fingerprint: "abcd01", serialNumber: "1", notAfter: 1, state: "active" } as const;
const record = { ...deviceRecord(uuid), certificates: [bound] };

const good: Handshake = {
  certificate: { fingerprint256: fingerprint, subjectaltname: `URI:${record.spiffeId}` },
  cipherSuite: "TLS_AES_256_GCM_SHA384",
  isAuthorized: true,
  authorizationError: undefined,
  serverName: "localhost",
};

function check(handshake: Partial<Handshake>, change: Partial<typeof record> = {}): string {
  const subjects = new Subjects();
  subjects.put({ ...record, ...change });
  const found = identify({ ...good, ...handshake }, settings, subjects);
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

describe("environmentFaults", () => {
  const weakening = [
    "NODE_OPTIONS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "NODE_EXTRA_CA_CERTS",
    "SSLKEYLOGFILE",
    "SSL_CERT_FILE",
    "OPENSSL_CONF",
    "BUN_OPTIONS",
    "BUN_INSPECT",
  ];
  const flags = [
    "--tls-keylog=/tmp/keys",
    "--tls-min-v1.0",
    "--tls-cipher-list=ALL",
    "--inspect",
    "--inspect-brk=0.0.0.0:1",
    "--use-openssl-ca",
    "--security-revert=CVE-0",
    "--require",
    "--require=/tmp/x.js",
    "-r",
    "--import",
    "--import=data:text/javascript,0",
    "--preload=/tmp/x.js",
  ];

  test("names every variable and flag that weakens or exposes TLS, and never its value", () => {
    for (const name of weakening) {
      const [fault = "", ...more] = environmentFaults({ [name]: "secret-value" }, []);
      assert.ok(fault.startsWith(`${name} is set`) && more.length === 0, name);
      assert.ok(!fault.includes("secret-value"));
    }
    for (const flag of flags) {
      const faults = environmentFaults({}, [flag]);
      assert.equal(faults.length, 1, flag);
      assert.ok(!faults[0]?.includes("/tmp") && !faults[0]?.includes("0.0.0.0"), flag);
    }
  });

  test("says nothing where nothing is set, set to nothing, or harmless", () => {
    const empty = Object.fromEntries(weakening.map((name) => [name, ""]));
    assert.deepEqual(environmentFaults({ ...empty, PATH: "/bin" }, ["--no-warnings"]), []);
  });
});

describe("the options of TLS", () => {
  const credentials = { key: "k", certificate: "c", trustAnchors: ["a"] };
  const all = (tls: typeof settings.tls) => [
    listenerOptions(tls, credentials, "mqtt", 1_000),
    secureContextOptions(tls, credentials),
  ];

  test("never offer more than the profile says, in the listener and in its context", () => {
    for (const profile of ["nist", "modern"] as const) {
      for (const options of all({ profile, minVersion: "TLSv1.3" })) {
        assert.deepEqual([options.minVersion, options.maxVersion], ["TLSv1.3", "TLSv1.3"]);
        assert.equal(options.ciphers, profiles[profile].tls13);
        assert.equal(options.ecdhCurve, profiles[profile].groups);
        assert.deepEqual(options.ca, ["a"]);
        // BoringSSL never renegotiates as a server: there the flag is 0.
        const { SSL_OP_NO_TICKET, SSL_OP_NO_RENEGOTIATION } = constants;
        const never = SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION;
        assert.ok(SSL_OP_NO_TICKET > 0);
        assert.equal(Number(options.secureOptions) & never, never);
      }
    }
    const { tls13, tls12, groups } = profiles.nist;
    assert.doesNotMatch(
      `${tls13}:${tls12}`,
      /CHACHA|CBC|SHA$|SHA:|RSA-AES.*-SHA:|^AES|:AES|NULL|RC4|DHE-RSA-DES/,
    );
    assert.ok(`${tls13}:${tls12}`.split(":").every((suite) => suite.includes("GCM")));
    assert.ok(!groups.split(":").includes("X25519"));
  });

  test("ask for a certificate, and go down to TLS 1.2 only where that is written out", () => {
    const [listener] = all({ profile: "nist", minVersion: "TLSv1.2" });
    assert.equal(listener?.minVersion, "TLSv1.2");
    assert.ok(listener !== undefined && "requestCert" in listener && listener.requestCert === true);
    assert.ok(!hasCipherSuite({ profile: "nist", minVersion: "TLSv1.2" }, "AES256-SHA"));
    assert.ok(
      hasCipherSuite({ profile: "modern", minVersion: "TLSv1.3" }, "TLS_CHACHA20_POLY1305_SHA256"),
    );
  });
});
