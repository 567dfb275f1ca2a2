import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { connect, createSecureContext, createServer, type TLSSocket } from "node:tls";
import { keySigner } from "@wardmq/keys";
import {
  certificate,
  certificateFields,
  decodeCertificate,
  decodePems,
  encodeName,
  encodePem,
  subjectAltName,
} from "@wardmq/x509";
import { keyIdentifierOf, randomSerialNumber } from "../src/ca/certificate-authority.ts";
import { renewServerCertificate } from "../src/ca/server-certificate.ts";
import { openSigner } from "../src/keys.ts";
import { newDeployment, newKey, type TestFolder, uuid } from "./control-under-test.ts";

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

function authorityOf(folder: TestFolder) {
  const issuer = issuerOf(folder);
  return { issuer, cross: [], issuers: [issuer.certificate] };
}

const filesOf = (folder: TestFolder) => ({
  keyPath: folder.in("broker/server.key"),
  certificatePath: folder.in("broker/server.pem"),
});

describe("the server certificate", () => {
  const renew = (folder: TestFolder, hosts: readonly string[], now: number) =>
    renewServerCertificate(authorityOf(folder), filesOf(folder), hosts, now);
  const pem = (folder: TestFolder) => readFileSync(folder.in("broker/server.pem"), "utf8");

  test("stays while more than a third of its life is left", async () => {
    using folder = await newDeployment();
    const before = pem(folder);
    assert.equal(await renew(folder, ["localhost"], Date.now() + 19 * dayMs), false);
    assert.equal(pem(folder), before);
  });

  for (const days of [21, 29, 31, 400]) {
    test(`is issued again with the same key after ${days} days`, async () => {
      using folder = await newDeployment();
      const now = Date.now() + days * dayMs;
      assert.equal(await renew(folder, ["localhost"], now), true);
      const [leaf = new Uint8Array(), issuing = new Uint8Array()] = decodePems(
        "CERTIFICATE",
        pem(folder),
      );
      const { validity } = decodeCertificate(leaf);
      assert.ok(validity.notBefore <= now && validity.notAfter - now > 29 * dayMs);
      const read = new X509Certificate(Buffer.from(leaf));
      assert.ok(
        read.checkPrivateKey(createPrivateKey(readFileSync(folder.in("broker/server.key")))),
      );
      assert.ok(read.verify(new X509Certificate(Buffer.from(issuing)).publicKey));
      assert.equal(await renew(folder, ["localhost"], now), false);
    });
  }

  test("is issued again when the clock went wrong before", async () => {
    using folder = await newDeployment();
    await renew(folder, ["localhost"], Date.now() + 400 * dayMs);
    assert.equal(await renew(folder, ["localhost"], Date.now()), true);
    assert.ok(Date.parse(new X509Certificate(pem(folder)).validFrom) <= Date.now());
  });

  test("is issued again when the hosts are others, in whatever order they come", async () => {
    using folder = await newDeployment(["a.example", "b.example"]);
    assert.equal(await renew(folder, ["b.example", "a.example"], Date.now()), false);
    assert.equal(await renew(folder, ["a.example", "c.example"], Date.now()), true);
    assert.match(
      new X509Certificate(pem(folder)).subjectAltName ?? "",
      /^DNS:a\.example, DNS:c\.example$/,
    );
  });

  test("of another CA is the operator's: it stays, and is refused when it has expired", async () => {
    using folder = await newDeployment();
    using other = await newDeployment();
    writeFileSync(folder.in("broker/server.key"), readFileSync(other.in("broker/server.key")));
    writeFileSync(folder.in("broker/server.pem"), pem(other));
    assert.equal(await renew(folder, ["other.example"], Date.now() + 29 * dayMs), false);
    assert.equal(pem(folder), pem(other));
    await assert.rejects(
      renew(folder, ["localhost"], Date.now() + 31 * dayMs),
      /server\.pem expired on \d{4}-\d\d-\d\d/,
    );
  });

  test("is not issued by a CA that has expired", async () => {
    using folder = await newDeployment();
    const { validity } = issuerOf(folder).certificate;
    await assert.rejects(renew(folder, ["localhost"], validity.notAfter + 1), /the CA has expired/);
  });

  test("never outlives the issuing CA", async () => {
    using folder = await newDeployment();
    const { validity } = issuerOf(folder).certificate;
    await renew(folder, ["localhost"], validity.notAfter - dayMs);
    const [leaf = new Uint8Array()] = decodePems("CERTIFICATE", pem(folder));
    assert.equal(decodeCertificate(leaf).validity.notAfter, validity.notAfter);
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
  const trust = {
    key: readFileSync(folder.in("broker/server.key")),
    cert: readFileSync(folder.in("broker/server.pem")),
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
