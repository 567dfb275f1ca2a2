import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connect, createSecureContext, createServer, type TLSSocket } from "node:tls";
import type { SecurityEvent } from "@wardmq/events";
import { keySigner } from "@wardmq/keys";
import {
  basicConstraints,
  bitString,
  certificate,
  certificateFields,
  contextTag,
  decodeCertificate,
  decodePem,
  decodePems,
  type Extension,
  element,
  encodeExtension,
  encodeName,
  encodePem,
  extendedKeyUsage,
  keyUsage,
  objectIdentifier,
  requestAttributes,
  sameBytes,
  sequence,
  signatureAlgorithmIdentifier,
  subjectAltName,
  tags,
  unsignedInteger,
} from "@wardmq/x509";
import {
  isIssuedBy,
  keyIdentifierOf,
  randomSerialNumber,
  sha256Hex,
} from "../src/ca/certificate-authority.ts";
import { issueServerCertificate, signForBroker } from "../src/ca/server-certificate.ts";
import { ServerCertificates } from "../src/ca/server-certificates.ts";
import { Failure } from "../src/failure.ts";
import { openSigner } from "../src/keys.ts";
import {
  newDeployment,
  newKey,
  oneShot,
  openRegistry,
  requestFor,
  type TestFolder,
  uuid,
} from "./control-under-test.ts";

const dayMs = 86_400_000;

function issuerOf(folder: TestFolder) {
  const [der = new Uint8Array()] = decodePems(
    "CERTIFICATE",
    readFileSync(folder.in("control/issuing-ca.pem"), "utf8"),
  );
  return {
    certificate: decodeCertificate(der),
    signer: openSigner(folder.in("control/issuing-ca.key")),
  };
}

/** Signs for a broker of the deployment in a folder; `events` says what came of it. */
function signing(folder: TestFolder, hosts: readonly string[] = ["localhost"]) {
  const issuer = issuerOf(folder);
  const registry = openRegistry(folder);
  const servers = new ServerCertificates(folder.in("control/server-certificates.pem"));
  const events: Omit<SecurityEvent, "at">[] = [];
  const ownKeys = new Set([sha256Hex(issuer.certificate.publicKey)]);
  let left = 10;
  const on = {
    registry,
    authority: () => ({ issuer, cross: [], ownKeys }),
    servers,
    hosts: () => hosts,
    isAllowed: () => left-- > 0,
    record: (event: Omit<SecurityEvent, "at">) => events.push(event),
  };
  return {
    servers,
    events,
    issuer,
    registry,
    sign: (request: Uint8Array, now = Date.now()) =>
      signForBroker(on, request, { actor: "broker", at: now }),
    [Symbol.dispose]: () => registry.close(),
  };
}

type Key = ReturnType<typeof newKey>;

async function request(key: Key, signedBy = key): Promise<Uint8Array> {
  return decodePem("CERTIFICATE REQUEST", await requestFor(key, signedBy));
}

/** A request that asks for extensions, as a certificate has them. */
function requestWith(key: Key, ...asked: readonly Extension[]): Uint8Array {
  const publicKey = new Uint8Array(key.publicKey.export({ type: "spki", format: "der" }));
  const attribute = sequence(
    objectIdentifier(requestAttributes.extensionRequest),
    element(tags.set, sequence(...asked.map(encodeExtension))),
  );
  const version = unsignedInteger(Uint8Array.of(0));
  const info = sequence(
    version,
    sequence(),
    publicKey,
    element(contextTag(0, "constructed"), attribute),
  );
  const { sign, algorithm } = keySigner(key.privateKey);
  return sequence(info, signatureAlgorithmIdentifier(algorithm), bitString(sign(info)));
}

const leafOf = (pem: string) =>
  decodeCertificate(decodePems("CERTIFICATE", pem)[0] ?? new Uint8Array());

/** What a broker that was taken over could try: the check that stops it. */
const attacks: readonly (readonly [string, string, () => Uint8Array | Promise<Uint8Array>])[] = [
  ["of random bytes", "request", () => new Uint8Array(randomBytes(300))],
  ["without an end", "request", async () => (await request(newKey())).subarray(0, -1)],
  [
    "for another key than the one that signed it",
    "proof-of-possession",
    () => request(newKey(), newKey()),
  ],
  [
    "for an Ed25519 key, which most devices can not verify",
    "key-type",
    () => request(newKey("Ed25519")),
  ],
  [
    "for an RSA key of 1024 bits",
    "key-type",
    () => {
      const made = spawnSync(
        "openssl",
        ["req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=x"],
        { encoding: "utf8" },
      );
      return decodePem("CERTIFICATE REQUEST", made.stdout);
    },
  ],
  ["to be a CA", "ca-bits", () => requestWith(newKey(), basicConstraints({ ca: true }))],
  ["to sign certificates", "ca-bits", () => requestWith(newKey(), keyUsage(["keyCertSign"]))],
  [
    "for the name of another server",
    "requested-extensions",
    () => requestWith(newKey(), subjectAltName([{ dns: "evil.example" }])),
  ],
  [
    "for its own host and one more",
    "requested-extensions",
    () => requestWith(newKey(), subjectAltName([{ dns: "localhost" }, { dns: "evil.example" }])),
  ],
  [
    "for the identity of a device",
    "requested-extensions",
    () =>
      requestWith(newKey(), subjectAltName([{ uri: `spiffe://prod.hospital_1/device/${uuid}` }])),
  ],
  [
    "to be a TLS client",
    "requested-extensions",
    () => requestWith(newKey(), extendedKeyUsage(["clientAuth"])),
  ],
  [
    "to answer for the CA by OCSP",
    "requested-extensions",
    () => requestWith(newKey(), extendedKeyUsage(["OCSPSigning"])),
  ],
];

describe("a broker's request for a certificate", () => {
  for (const [name, check, make] of attacks) {
    test(`is refused ${name}`, async () => {
      using folder = await newDeployment();
      using on = signing(folder);
      await assert.rejects(on.sign(await make()), (error) => error instanceof Failure);
      assert.deepEqual(
        on.events.map((event) => [event.type, event.check]),
        [["certificate-refused", check]],
      );
      assert.equal(on.servers.newest, undefined);
    });
  }

  test("never gets it more than the profile has, whatever bytes of a good one are changed", async () => {
    using folder = await newDeployment();
    using on = signing(folder);
    const good = await request(newKey());
    let signed = 0;
    for (let at = 0; at < good.length; at += 1) {
      const bad = Uint8Array.from(good);
      bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
      await on.sign(bad).then(
        () => signed++,
        (error: unknown) => assert.ok(error instanceof Failure, String(error)),
      );
    }
    assert.equal(signed, 0);
  });

  test("is refused for a key that a device has, and for one that a broker ever had", async () => {
    using folder = await newDeployment();
    await oneShot(folder.deployment, "service.add", { name: "dashboard" });
    const ofService = newKey();
    const certificateRequest = await requestFor(ofService);
    const values = { subject: "service:dashboard", certificateRequest };
    const issued = await oneShot(folder.deployment, "credential", values);
    assert.ok(issued.ok);
    using on = signing(folder);
    await assert.rejects(on.sign(await request(ofService)), { code: "ERR_KEY_IN_USE" });
    const key = newKey();
    await on.sign(await request(key));
    await on.sign(await request(newKey()));
    await assert.rejects(on.sign(await request(key)), { code: "ERR_KEY_IN_USE" });
    assert.deepEqual(
      on.events.map(({ check }) => check),
      ["server-key", undefined, undefined, "own-key"],
    );
  });

  test("is refused when too many came before", async () => {
    using folder = await newDeployment();
    using on = signing(folder);
    for (let i = 0; i < 10; i++) await on.sign(await request(newKey()));
    await assert.rejects(on.sign(await request(newKey())), /too many certificates/);
  });

  test("is refused by a CA that has expired", async () => {
    using folder = await newDeployment();
    using on = signing(folder);
    const end = on.issuer.certificate.validity.notAfter;
    await assert.rejects(on.sign(await request(newKey()), end + 1), /the CA has expired/);
  });

  for (const kind of ["P-256", "P-384"] as const) {
    test(`gets a ${kind} key one for the hosts of the settings, for 30 days, in the history before it exists`, async () => {
      using folder = await newDeployment();
      using on = signing(folder, ["b.example", "a.example"]);
      const key = newKey(kind);
      const now = Date.now();
      const pem = await on.sign(await request(key), now);
      const leaf = leafOf(pem);
      const read = new X509Certificate(pem);
      assert.ok(read.checkPrivateKey(key.privateKey));
      assert.equal(read.subjectAltName, "DNS:b.example, DNS:a.example");
      assert.match(read.subject, /^CN=WardMQ broker$/);
      assert.ok(leaf.extensions.some((one) => isSame(one, extendedKeyUsage(["serverAuth"]))));
      assert.ok(leaf.extensions.some((one) => isSame(one, basicConstraints({ ca: false }))));
      const { notBefore, notAfter } = leaf.validity;
      assert.ok(notBefore <= now && notAfter > now && notAfter - notBefore <= 30 * dayMs);
      assert.ok(isIssuedBy(leaf, on.issuer.certificate));
      const serialNumber = read.serialNumber;
      assert.deepEqual(
        on.registry.history(undefined, 1).map(({ action, details }) => [action, details]),
        [["server-certificate.intent", { serialNumber, publicKeyHash: sha256Hex(leaf.publicKey) }]],
      );
      const again = new ServerCertificates(folder.in("control/server-certificates.pem"));
      assert.ok(again.find(serialNumber));
      assert.ok(again.hasKey(sha256Hex(leaf.publicKey)));
    });
  }

  test("may ask for what it gets anyway", async () => {
    using folder = await newDeployment();
    using on = signing(folder);
    const names = subjectAltName([{ dns: "localhost" }]);
    await on.sign(requestWith(newKey(), names, extendedKeyUsage(["serverAuth"])));
    assert.equal(on.events[0]?.type, "certificate-issued");
  });

  test("gets none that outlives the issuing CA", async () => {
    using folder = await newDeployment();
    using on = signing(folder);
    const end = on.issuer.certificate.validity.notAfter;
    const leaf = leafOf(await on.sign(await request(newKey()), end - dayMs));
    assert.equal(leaf.validity.notAfter, end);
  });
});

const isSame = (one: Extension, other: Extension) =>
  one.oid === other.oid && sameBytes(one.value, other.value);

describe("the certificates that control has signed for brokers", () => {
  test("are forgotten when they have ended, and the oldest where there are far too many", async () => {
    using folder = await newDeployment();
    using on = signing(folder);
    const first = leafOf(await on.sign(await request(newKey())));
    const second = leafOf(await on.sign(await request(newKey())));
    const servers = new ServerCertificates(join(folder.path, "certificates.pem"));
    const { notAfter } = first.validity;
    servers.add(first, notAfter - 1);
    servers.add(second, notAfter - 1);
    assert.ok(servers.hasKey(sha256Hex(first.publicKey)));
    for (let i = 0; i < 200; i++) servers.add(second, notAfter - 1);
    assert.ok(!servers.hasKey(sha256Hex(first.publicKey)));
    servers.add(first, notAfter + dayMs);
    assert.ok(!servers.hasKey(sha256Hex(second.publicKey)));
  });
});

/** How TLS of the runtime at hand judges a client that has a certificate with these URIs, signed by the deployment's CA. */
async function handshake(
  folder: TestFolder,
  uris: readonly string[],
): Promise<{ authorized: boolean; why: string }> {
  const issuer = issuerOf(folder);
  const key = newKey();
  const signer = keySigner(key.privateKey);
  const fields = certificateFields("device", {
    serialNumber: randomSerialNumber(),
    issuer: issuer.certificate.subject,
    authorityKeyIdentifier: keyIdentifierOf(issuer.signer.publicKey),
    subject: encodeName({ commonName: uuid }),
    subjectKeyIdentifier: keyIdentifierOf(signer.publicKey),
    publicKey: signer.publicKey,
    now: Date.now(),
    lifetimeShare: 1,
    subjectAltName: [{ uri: `spiffe://prod.hospital_1/device/${uuid}` }],
  });
  const names = subjectAltName(uris.map((uri) => ({ uri })));
  const extensions = fields.extensions.map((extension) =>
    extension.oid === names.oid ? names : extension,
  );
  const leaf = encodePem(
    "CERTIFICATE",
    await certificate({ ...fields, extensions }, issuer.signer),
  );
  const ca = readFileSync(folder.in("control/root-ca.pem"));
  const issuing = readFileSync(folder.in("control/issuing-ca.pem"), "utf8");
  // As the broker has it: clients are trusted for the issuing CA alone, which Node heeds in the context of a host.
  const ofServer = newKey();
  const publicKey = keySigner(ofServer.privateKey).publicKey;
  const by = { issuer, cross: [] };
  const trust = {
    key: ofServer.privateKey.export({ type: "pkcs8", format: "pem" }),
    cert: await issueServerCertificate(by, publicKey, ["localhost"], Date.now()),
    ca: issuing,
    allowPartialTrustChain: true,
  };
  const context = createSecureContext(trust);
  const server = createServer({
    ...trust,
    SNICallback: (_, answer) => answer(null, context),
    requestCert: true,
    rejectUnauthorized: false,
  });
  server.on("tlsClientError", () => {});
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, "secureConnection") as Promise<[TLSSocket]>;
  const client = connect({
    host: "127.0.0.1",
    port,
    servername: "localhost",
    ca,
    key: key.privateKey.export({ type: "pkcs8", format: "pem" }),
    cert: leaf + issuing,
  });
  try {
    await once(client, "secureConnect");
    assert.ok(client.authorized, String(client.authorizationError));
    const [socket] = await accepted;
    return { authorized: socket.authorized, why: String(socket.authorizationError) };
  } finally {
    client.destroy();
    server.close();
  }
}

describe("the issuing CA, in TLS of this runtime", () => {
  for (const uri of [
    `spiffe://prod.other/device/${uuid}`,
    `spiffe://a.prod.hospital-1/device/${uuid}`,
  ]) {
    test(`can not vouch for ${uri}`, async () => {
      using folder = await newDeployment(["localhost"], "Hospital-1");
      assert.equal((await handshake(folder, [uri])).authorized, false);
    });
  }

  for (const org of ["Hospital-1", "Hospital_1", "1", "-", "x".repeat(64)]) {
    test(`vouches for a client and a server of the organisation ${org.slice(0, 12)}`, async () => {
      using folder = await newDeployment(["localhost"], org);
      const { authorized, why } = await handshake(folder, [
        `spiffe://prod.${org.toLowerCase()}/device/${uuid}`,
      ]);
      assert.ok(authorized, why);
    });
  }
});
