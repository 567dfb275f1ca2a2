import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { after, before, describe, test } from "node:test";
import { decodeCertificate, decodePems, encodePem } from "@wardmq/x509";
import { caIdOf } from "../src/ca/certificate-authority.ts";
import {
  eventually,
  newDeployment,
  newKey,
  RunningControl,
  refusal,
  requestFor,
  type TestFolder,
} from "./control-under-test.ts";

const opensslIsMissing =
  spawnSync("openssl", ["version"]).status === 0 ? false : "openssl is not installed";
const dayMs = 24 * 60 * 60 * 1000;

describe("the CRLs of CAs", { skip: opensslIsMissing }, () => {
  let folder: TestFolder;
  let control: RunningControl;
  before(async () => {
    folder = await newDeployment();
    control = await RunningControl.start(folder.deployment);
  });
  after(async () => {
    await control.end();
    folder[Symbol.dispose]();
  });

  const done: RunningControl["result"] = (name, values) => control.result(name, values);

  /** The CA that signs, or the root, as it stands now. */
  function caOf(name: "issuing-ca" | "root-ca") {
    const pem = readFileSync(folder.in(`control/${name}.pem`), "utf8");
    const [der = new Uint8Array()] = decodePems("CERTIFICATE", pem);
    const certificate = decodeCertificate(der);
    return { id: caIdOf(certificate), notAfter: certificate.validity.notAfter };
  }

  async function credential(subject: string): Promise<string> {
    const certificateRequest = await requestFor(newKey());
    const { certificateChain } = await done("credential", { subject, certificateRequest });
    const path = folder.in(`${subject.replace(":", "-")}-${Math.random()}.pem`);
    writeFileSync(path, certificateChain);
    return path;
  }

  /** What anybody gets from control, in DER; empty where there is none. */
  function served(caId: string): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const where = { port: control.port("est"), path: `/crl/${caId}.crl`, agent: false };
      const ca = readFileSync(folder.in("control/root-ca.pem"));
      request({ host: "127.0.0.1", servername: "localhost", ca, ...where }, (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("end", () =>
          resolve(response.statusCode === 200 ? Buffer.concat(parts) : new Uint8Array()),
        );
      })
        .on("error", reject)
        .end();
    });
  }

  /** What openssl says of the CRL that is served, after verifying its signature by the CAs in this file. */
  async function crlText(caId: string, cas: string): Promise<string> {
    writeFileSync(folder.in("one.der"), await served(caId));
    const words = ["crl", "-inform", "DER", "-in", folder.in("one.der"), "-CAfile", cas];
    const { stdout, stderr } = spawnSync("openssl", [...words, "-noout", "-text"], {
      encoding: "utf8",
    });
    assert.match(stderr, /verify OK/);
    return stdout;
  }

  /** openssl looks at the whole path, each certificate by the CRL of its issuer, at a time. */
  async function verify(
    chain: string,
    caIds: readonly string[],
    { at = Date.now(), instead = [] }: { at?: number; instead?: readonly Uint8Array[] } = {},
  ) {
    const crls = [...(await Promise.all(caIds.map(served))), ...instead];
    writeFileSync(folder.in("crls.pem"), crls.map((der) => encodePem("X509 CRL", der)).join(""));
    const { status, stderr } = spawnSync(
      "openssl",
      [
        "verify",
        "-crl_check_all",
        "-attime",
        String(Math.ceil(at / 1000) + 5), // thisUpdate runs ahead by a second with each CRL
        "-CRLfile",
        folder.in("crls.pem"),
        "-CAfile",
        folder.in("control/root-ca.pem"),
        "-untrusted",
        chain,
        chain,
      ],
      { encoding: "utf8" },
    );
    return status === 0 ? "OK" : stderr;
  }

  test("one of the root is not made without its key, nor by anything but the command", async () => {
    const root = caOf("root-ca").id;
    const to = folder.in("../root.key");
    await done("root-key.remove", { to });
    assert.equal(refusal(await control.ask("root.crl", {})).code, "ERR_ROOT_KEY");
    await done("root-key.restore", { from: to });
    const { crls } = await done("crl", {});
    assert.deepEqual(
      crls.map(({ ca }) => ca),
      [caOf("issuing-ca").id],
    );
    assert.equal((await served(root)).length, 0);
    assert.ok(!existsSync(folder.in(`control/crl/${root}.crl`)));
  });

  test("one of the root is of CAs only, empty at first, and its number grows", async () => {
    const root = caOf("root-ca").id;
    const pem = folder.in("control/root-ca.pem");
    const from = Math.floor(Date.now() / 1000);
    let first: number | undefined;
    for (const more of [0, 1]) {
      const { crls } = await done("root.crl", {});
      first ??= crls[0]?.crlNumber ?? 0;
      const number = first + more;
      assert.ok(first >= from, "the first is the second it was made in");
      assert.deepEqual(
        crls.map(({ ca, crlNumber, revoked }) => [ca, crlNumber, revoked]),
        [[root, number, 0]],
      );
      const text = await crlText(root, pem);
      assert.match(text, /Issuing Distribution Point: critical\s+Only CA Certificates/);
      assert.match(text, new RegExp(`X509v3 CRL Number: \\s+${number}\\n`));
      assert.match(text, /No Revoked Certificates/);
    }
    await done("service.add", { name: "first" });
    const chain = await credential("service:first");
    assert.match(await verify(chain, [caOf("issuing-ca").id]), /unable to get certificate CRL/);
    assert.equal(await verify(chain, [root, caOf("issuing-ca").id]), "OK");
  });

  test("the last one of a retired CA is good for longer than what the CA signed, and stays", async () => {
    const former = caOf("issuing-ca");
    const root = caOf("root-ca").id;
    const formerPem = folder.in("former.pem");
    writeFileSync(formerPem, readFileSync(folder.in("control/issuing-ca.pem")));
    await done("service.add", { name: "old" });
    const old = await credential("service:old");
    await done("rotation.step", { what: "issuing-ca" });
    await done("rotation.step", { what: "issuing-ca" });
    const refused = refusal(await control.ask("rotation.step", { what: "issuing-ca" }));
    assert.equal(refused.code, "ERR_ROTATION");
    const [, ordinary] = (await done("crl", {})).crls; // the new CA's comes first
    assert.equal(ordinary?.ca, former.id);
    assert.ok(ordinary.nextUpdate < Date.now() + 2 * dayMs);

    for (const name of ["old", "first"]) await done("revoke", { subject: `service:${name}` });
    assert.equal((await done("rotation.step", { what: "issuing-ca" })).step, "idle");
    assert.ok(!existsSync(folder.in("control/issuing-ca.key")));
    const last = await served(former.id);
    const { crls } = await done("crl", {});
    assert.deepEqual(
      crls.map(({ ca }) => ca),
      [caOf("issuing-ca").id],
    );
    const next = /Next Update: (.+)/.exec(await crlText(former.id, formerPem))?.[1] ?? "";
    assert.equal(Date.parse(next), former.notAfter + dayMs);
    // Half of a certificate's least life later the CRL is what refuses it still; a CA that retired in peace is not revoked.
    await done("root.crl", {});
    const later = Date.now() + 15 * dayMs;
    assert.match(await verify(old, [root, former.id], { at: later }), /error 23 at 0 .*revoked/);

    await control.end();
    control = await RunningControl.start(folder.deployment);
    assert.deepEqual(await served(former.id), last);
  });

  test("one of the root names a CA that an emergency left, once it is gone, and no other", async () => {
    const former = caOf("issuing-ca");
    const root = caOf("root-ca").id;
    const device = (await done("device.add", { site: "main", ward: "icu" })).id;
    const old = await credential(device);
    await done("fleet.rotate", { because: "the key was copied" });
    const next = caOf("issuing-ca").id;
    await eventually(() => existsSync(folder.in(`control/crl/${next}.crl`))); // without anything revoked
    const before = (await done("root.crl", {})).crls[0];
    assert.equal(before?.revoked, 0);
    const instead = [await served(former.id)];
    assert.equal(await verify(old, [root], { instead }), "OK");

    const fresh = await credential(device);
    // The next look of control, some seconds later, ends it.
    await eventually(() => !existsSync(folder.in("control/fleet.sealed")));
    assert.match(await verify(old, [root, former.id]), /error 23 at 0 .*revoked/);
    assert.equal(await verify(old, [root], { instead }), "OK"); // the root has said nothing yet
    const listed = (await done("root.crl", {})).crls[0];
    assert.deepEqual([listed?.revoked, listed?.crlNumber], [1, before.crlNumber + 1]);
    // Also with a CRL of the former CA from before, as who has its key could sign one.
    assert.match(await verify(old, [root], { instead }), /error 23 at 1 .*revoked/);
    assert.equal(await verify(fresh, [root, next]), "OK");
    await control.end();
    control = await RunningControl.start(folder.deployment);
    assert.match(await verify(old, [root], { instead }), /error 23 at 1 .*revoked/);
    assert.equal((await done("root.crl", {})).crls[0]?.revoked, 1);
  });
});
