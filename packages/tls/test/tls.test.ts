import assert from "node:assert/strict";
import { constants } from "node:crypto";
import { describe, test } from "node:test";
import {
  environmentFaults,
  hasCipherSuite,
  listenerOptions,
  profiles,
  secureContextOptions,
  type TlsSettings,
} from "../src/index.ts";

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
  const all = (tls: TlsSettings) => [
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
