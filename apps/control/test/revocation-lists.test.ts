import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { keySigner } from "@wardmq/keys";
import {
  type Certificate,
  decodeCertificate,
  decodeCertificateList,
  decodePems,
  encodePem,
} from "@wardmq/x509";
import { caIdOf } from "../src/ca/certificate-authority.ts";
import { horizonOf } from "../src/ca/horizon.ts";
import { OcspResponder } from "../src/ca/ocsp-responder.ts";
import { publicObject } from "../src/ca/public-objects.ts";
import {
  publishRevocationList,
  RevocationLists,
  registrySerialNumber,
} from "../src/ca/revocation-lists.ts";
import { issueServerCertificate } from "../src/ca/server-certificate.ts";
import { enterDeployment } from "../src/deployment.ts";
import { openSigner } from "../src/keys.ts";
import {
  newDeployment,
  newKey,
  oneShot,
  openRegistry,
  requestFor,
  type TestFolder,
} from "./control-under-test.ts";

const opensslIsMissing =
  spawnSync("openssl", ["version"]).status === 0 ? false : "openssl is not installed";

function openssl(...words: readonly string[]): { code: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync("openssl", words, { encoding: "utf8", input: "" });
  return { code: status, said: stdout + stderr };
}

function authorityOf(folder: TestFolder): Certificate {
  const text = readFileSync(folder.in("control/issuing-ca.pem"), "utf8");
  const [pem = new Uint8Array()] = decodePems("CERTIFICATE", text);
  return decodeCertificate(pem);
}

describe("what is revoked", { skip: opensslIsMissing }, () => {
  let folder: TestFolder;
  before(async () => {
    folder = await newDeployment();
    for (const name of ["revoked", "good"]) {
      await oneShot(folder.deployment, "service.add", { name });
      const subject = `service:${name}`;
      const certificateRequest = await requestFor(newKey());
      const response = await oneShot(folder.deployment, "credential", {
        subject,
        certificateRequest,
      });
      assert.ok(response.ok);
      const { certificateChain } = response.result as { certificateChain: string };
      writeFileSync(folder.in(`${name}.pem`), certificateChain);
    }
    await oneShot(folder.deployment, "revoke", { subject: "service:revoked" });
  });
  after(() => folder[Symbol.dispose]());

  test("is in the CRL, with which openssl refuses the revoked certificate and no other", async () => {
    const response = await oneShot(folder.deployment, "crl", {});
    assert.ok(response.ok);
    const [crl] = (response.result as { crls: { der: string; crlNumber: number }[] }).crls;
    assert.ok(crl);
    const der = new Uint8Array(Buffer.from(crl.der, "base64"));
    writeFileSync(folder.in("crl.pem"), encodePem("X509 CRL", der));
    const verify = (name: string) =>
      openssl(
        "verify",
        "-partial_chain",
        "-crl_check",
        "-CRLfile",
        folder.in("crl.pem"),
        "-trusted",
        folder.in("control/issuing-ca.pem"),
        folder.in(`${name}.pem`),
      );
    assert.match(verify("revoked").said, /certificate revoked/);
    assert.equal(verify("good").code, 0, verify("good").said);

    const again = await oneShot(folder.deployment, "crl", {});
    assert.ok(again.ok);
    const [next] = (again.result as { crls: { der: string }[] }).crls;
    const [one, two] = [der, new Uint8Array(Buffer.from(next?.der ?? "", "base64"))].map(
      decodeCertificateList,
    );
    assert.ok(one && two && two.thisUpdate > one.thisUpdate);
    assert.equal(two.crlNumber, (one.crlNumber ?? 0) + 1);
  });

  test("takes no number back when the file of the former CRL is lost or damaged", async () => {
    const registry = openRegistry(folder);
    const certificate = authorityOf(folder);
    const issuer = { certificate, signer: openSigner(folder.in("control/issuing-ca.key")) };
    const former = process.cwd();
    enterDeployment(folder.deployment);
    try {
      const now = Date.now() + 3_600_000;
      const { crlNumber } = await publishRevocationList(issuer, registry, now);
      const file = folder.in(`control/crl/${caIdOf(certificate)}.crl`);
      for (const [lose, later] of [
        [() => rmSync(file), 60_000],
        [() => writeFileSync(file, "damaged"), 120_000],
      ] as const) {
        lose();
        const next = await publishRevocationList(issuer, registry, now + later);
        assert.ok(next.crlNumber > crlNumber);
      }
      rmSync(file); // it is of a time to come
    } finally {
      process.chdir(former);
      registry.close();
    }
  });

  test("is in the next CRL after one that could not be written", async () => {
    const registry = openRegistry(folder);
    const certificate = authorityOf(folder);
    const signer = openSigner(folder.in("control/issuing-ca.key"));
    const former = process.cwd();
    enterDeployment(folder.deployment);
    let broken = true;
    const lists = new RevocationLists({
      issuers: () => {
        if (broken) throw new Error("the token was pulled out");
        return [{ certificate, signer }];
      },
      registry,
      now: Date.now,
      failed: assert.ifError,
    });
    try {
      await assert.rejects(lists.publish(), /pulled out/);
      broken = false;
      const [list] = await lists.publish();
      const [next] = await lists.publish();
      assert.equal(list?.revoked, 1);
      assert.equal(next?.crlNumber, list.crlNumber + 1);
      assert.equal(lists.of(caIdOf(certificate)), next);
    } finally {
      process.chdir(former);
      registry.close();
    }
  });

  test("is what the OCSP responder says, and openssl believes it", async () => {
    const registry = openRegistry(folder);
    const certificate = authorityOf(folder);
    const issuer = { certificate, signer: openSigner(folder.in("control/issuing-ca.key")) };
    const { publicKey } = keySigner(newKey().privateKey);
    const path = await issueServerCertificate(
      { issuer, cross: [] },
      publicKey,
      ["localhost"],
      Date.now(),
    );
    writeFileSync(folder.in("server.pem"), path);
    const server = new X509Certificate(path);
    const responder = new OcspResponder({
      issuers: () => [issuer],
      registry,
      isOwnCertificate: (caId, serial) =>
        caId === caIdOf(certificate) && serial === server.serialNumber,
      now: Date.now,
    });
    const lists = new RevocationLists({
      issuers: () => [],
      registry,
      now: Date.now,
      failed: assert.ifError,
    });
    const ask = async (cert: string, issuerFile = folder.in("control/issuing-ca.pem")) => {
      const asked = ["ocsp", "-sha256", "-issuer", issuerFile, "-cert", cert];
      assert.equal(openssl(...asked, "-reqout", folder.in("request.der")).code, 0);
      const body = new Uint8Array(readFileSync(folder.in("request.der")));
      const on = { lists, responder, cas: () => [certificate] };
      const answer = await publicObject(on, { method: "POST", path: "/ocsp", body });
      const path = `/ocsp/${encodeURIComponent(Buffer.from(body).toString("base64"))}`;
      const got = await publicObject(on, { method: "GET", path, body: new Uint8Array() });
      assert.deepEqual([answer.status, got.status], [200, 200]);
      writeFileSync(folder.in("response.der"), answer.body);
      return openssl(
        ...asked,
        "-no_nonce",
        "-respin",
        folder.in("response.der"),
        "-CAfile",
        folder.in("control/root-ca.pem"),
        "-verify_other",
        folder.in("control/issuing-ca.pem"),
      ).said;
    };
    try {
      const revoked = await ask(folder.in("revoked.pem"));
      assert.match(revoked, /Response verify OK/);
      assert.match(revoked, /: revoked/);
      assert.match(await ask(folder.in("good.pem")), /: good/);
      assert.match(await ask(folder.in("server.pem")), /: good/);
      // A certificate of the root: another CA, of which the responder of the issuing CA knows nothing.
      const root = folder.in("control/root-ca.pem");
      assert.match(await ask(folder.in("control/issuing-ca.pem"), root), /: unknown/);
    } finally {
      registry.close();
    }
  });

  test("is asked for with bytes that are none, and gets an answer that says so", async () => {
    const registry = openRegistry(folder);
    try {
      const on = {
        lists: new RevocationLists({
          issuers: () => [],
          registry,
          now: Date.now,
          failed: assert.ifError,
        }),
        responder: new OcspResponder({
          issuers: () => [],
          registry,
          isOwnCertificate: () => false,
          now: Date.now,
        }),
        cas: () => [],
      };
      const body = Uint8Array.of(1, 2, 3);
      const { status, body: answer } = await publicObject(on, {
        method: "POST",
        path: "/ocsp",
        body,
      });
      assert.equal(status, 200);
      assert.deepEqual([...answer], [0x30, 3, 0x0a, 1, 1]); // malformedRequest
      for (const path of [
        "/crl/../registry.db.crl",
        `/crl/${"a".repeat(40)}.crl`,
        "/ca/x.cer",
        "/",
      ]) {
        assert.equal((await publicObject(on, { method: "GET", path, body })).status, 404);
      }
    } finally {
      registry.close();
    }
  });
});

test("a serial number of a CRL is the registry's", () => {
  assert.equal(registrySerialNumber(Uint8Array.of(0x0a, 0xbc)), "0ABC");
});

describe("the horizon", () => {
  const day = (number: number) => Date.UTC(2027, 0, number, 12);
  test("marks a day with over 5 % of a class, and none of a class too small to have clusters", () => {
    const devices = Array.from({ length: 94 }, (_, i) => ({
      class: "device" as const,
      notAfter: day(2 + (i % 30)),
    }));
    const cluster = Array.from({ length: 6 }, () => ({
      class: "device" as const,
      notAfter: day(1),
    }));
    const server = { class: "server" as const, notAfter: day(1) };
    const rows = horizonOf([...devices, ...cluster, server]);
    assert.deepEqual(rows[0], {
      day: "2027-01-01",
      class: "device",
      expiring: 6,
      share: 0.06,
      isCluster: true,
    });
    assert.deepEqual(
      rows.filter(({ isCluster }) => isCluster).map((row) => row.day),
      ["2027-01-01"],
    );
    assert.equal(rows.find((row) => row.class === "server")?.share, 1);
  });
});
