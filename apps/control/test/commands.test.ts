import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import { after, before, describe, test } from "node:test";
import type { Commands } from "@wardmq/commands";
import { openPrivateKeyFile } from "@wardmq/keys";
import {
  bitString,
  decodePem,
  element,
  encodePem,
  sequence,
  signatureAlgorithmIdentifier,
  unsignedInteger,
} from "@wardmq/x509";
import { keyProviders } from "../src/keys.ts";
import {
  eventually,
  FakeBroker,
  newDeployment,
  newKey,
  RunningControl,
  refusal,
  requestFor,
  type TestFolder,
  wards,
} from "./control-under-test.ts";

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

let made = 0;
/** A subject that only one test knows. */
async function newService(): Promise<string> {
  made += 1;
  return (await control.result("service.add", { name: `service-${made}` })).id;
}

async function credential(subject: string, key = newKey(), signedBy = key) {
  return control.ask("credential", {
    subject,
    certificateRequest: await requestFor(key, signedBy),
  });
}

describe("device.add", () => {
  const wrong: readonly (readonly [string, object, string])[] = [
    ["a site with a slash", { site: "a/b" }, "ERR_ATTRIBUTE"],
    ["a ward that is a wildcard", { ward: "+" }, "ERR_ATTRIBUTE"],
    ["a ward with braces", { ward: "{org}" }, "ERR_ATTRIBUTE"],
    ["an empty model", { model: "" }, "ERR_ATTRIBUTE"],
    ["a site of 65 characters", { site: "x".repeat(65) }, "ERR_ATTRIBUTE"],
    ["an id that is no uuid", { id: "1" }, "ERR_DEVICE_ID"],
    ["a uuid in upper case", { id: "0B1E6F3A-8A8E-4A53-9D5C-2F1F6B8F4C11" }, "ERR_DEVICE_ID"],
  ];
  for (const [name, change, code] of wrong) {
    test(`refuses ${name}`, async () => {
      const refused = refusal(await control.ask("device.add", { ...wards, ...change }));
      assert.deepEqual([refused.code, refused.exitCode], [code, 2]);
    });
  }

  test("prints nothing untrusted as it came", async () => {
    const { message } = refusal(
      await control.ask("device.add", { ...wards, ward: "\u001b[31m\u202e\n" }),
    );
    assert.match(message, /^[\x20-\x7e]*$/);
  });

  test("refuses an id that is taken", async () => {
    const { id } = await control.result("device.add", wards);
    const again = await control.ask("device.add", { ...wards, id: id.slice("device:".length) });
    assert.equal(refusal(again).code, "ERR_SUBJECT_EXISTS");
  });

  test("makes a random uuid of version 4 when none is given", async () => {
    const { id } = await control.result("device.add", wards);
    assert.match(
      id,
      /^device:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
  });
});

describe("service.add", () => {
  test("refuses a name outside the alphabet", async () => {
    for (const name of ["", "a.b", "a b", "*", "../x"]) {
      assert.equal(refusal(await control.ask("service.add", { name })).code, "ERR_ATTRIBUTE", name);
    }
  });

  test("takes a revoked name again, with all its certificates still revoked", async () => {
    const subject = await newService();
    await credential(subject);
    await control.result("revoke", { subject });
    const again = await control.result("service.add", { name: subject.slice("service:".length) });
    assert.equal(again.state, "registered");
    assert.deepEqual(
      again.certificates.map(({ state }) => state),
      ["revoked"],
    );
  });
});

describe("revoke", () => {
  test("refuses a subject nobody knows, and what names none", async () => {
    const unknown = refusal(await control.ask("revoke", { subject: "service:nobody" }));
    assert.deepEqual([unknown.code, unknown.exitCode], ["ERR_SUBJECT_UNKNOWN", 1]);
    for (const subject of ["", "dashboard", "device:1", "service:a/b", "service:x\n", "person:x"]) {
      assert.equal(refusal(await control.ask("revoke", { subject })).code, "ERR_SUBJECT", subject);
    }
  });

  test("may be said twice", async () => {
    const subject = await newService();
    await credential(subject);
    assert.equal((await control.result("revoke", { subject })).certificatesRevoked, 1);
    assert.equal((await control.result("revoke", { subject })).certificatesRevoked, 0);
    const { subjects } = await control.result("list", {});
    assert.equal(subjects.find(({ id }) => id === subject)?.state, "revoked");
  });
});

describe("credential", () => {
  test("refuses a request that is signed by another key", async () => {
    const refused = await credential(await newService(), newKey(), newKey());
    assert.equal(refusal(refused).code, "ERR_PROOF_OF_POSSESSION");
  });

  test("refuses a key of another kind", async () => {
    const key = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const spki = new Uint8Array(key.publicKey.export({ type: "spki", format: "der" }));
    const info = sequence(unsignedInteger(Uint8Array.of(0)), sequence(), spki, element(0xa0));
    const signature = new Uint8Array(sign("sha256", info, key.privateKey));
    const der = sequence(
      info,
      signatureAlgorithmIdentifier("ecdsa-with-SHA256"),
      bitString(signature),
    );
    const certificateRequest = encodePem("CERTIFICATE REQUEST", der);
    const refused = refusal(
      await control.ask("credential", { subject: await newService(), certificateRequest }),
    );
    assert.match(refused.message, /P-256, P-384, Ed25519/);
  });

  test("refuses a point that is not on its curve", async () => {
    const key = newKey();
    const spki = new Uint8Array(key.publicKey.export({ type: "spki", format: "der" }));
    spki.fill(0x11, 40);
    const info = sequence(unsignedInteger(Uint8Array.of(0)), sequence(), spki, element(0xa0));
    const signature = new Uint8Array(sign("sha256", info, key.privateKey));
    const der = sequence(
      info,
      signatureAlgorithmIdentifier("ecdsa-with-SHA256"),
      bitString(signature),
    );
    const certificateRequest = encodePem("CERTIFICATE REQUEST", der);
    const refused = await control.ask("credential", {
      subject: await newService(),
      certificateRequest,
    });
    assert.equal(refusal(refused).code, "ERR_PROOF_OF_POSSESSION");
  });

  test("refuses what is no request", async () => {
    const subject = await newService();
    for (const certificateRequest of [
      "",
      "x",
      encodePem("CERTIFICATE REQUEST", Uint8Array.of(0x30, 0)),
    ]) {
      const refused = await control.ask("credential", { subject, certificateRequest });
      assert.equal(refusal(refused).code, "ERR_CERTIFICATE_REQUEST");
    }
  });

  test("refuses the key of another subject, and takes it again from its own", async () => {
    const key = newKey();
    const [mine, other] = [await newService(), await newService()];
    assert.ok((await credential(mine, key)).ok);
    assert.equal(refusal(await credential(other, key)).code, "ERR_KEY_IN_USE");
    assert.ok((await credential(mine, key)).ok);
  });

  test("refuses the keys of the CAs and of the broker", async () => {
    using broker = new FakeBroker(folder.deployment);
    broker.say({ type: "hello" });
    await eventually(() => broker.heard.length > 0);
    const ofBroker = newKey();
    const request = decodePem("CERTIFICATE REQUEST", await requestFor(ofBroker));
    broker.say({ type: "certificate-request", request: Buffer.from(request).toString("base64") });
    await eventually(() => broker.heard.some(({ type }) => type === "server-certificate"));
    const ofCas = ["control/root-ca.key", "control/issuing-ca.key"].map((path) => {
      const privateKey = openPrivateKeyFile(folder.in(path), keyProviders);
      return { privateKey, publicKey: createPublicKey(privateKey) };
    });
    for (const key of [...ofCas, ofBroker]) {
      assert.equal(refusal(await credential(await newService(), key)).code, "ERR_KEY_IN_USE");
    }
  });

  test("refuses a revoked subject, and a revoked key for ever", async () => {
    const key = newKey();
    const subject = await newService();
    await credential(subject, key);
    await control.result("revoke", { subject });
    assert.equal(refusal(await credential(subject)).code, "ERR_SUBJECT_REVOKED");
    await control.result("service.add", { name: subject.slice("service:".length) });
    assert.equal(refusal(await credential(subject, key)).code, "ERR_KEY_REVOKED");
    assert.ok((await credential(subject)).ok);
  });

  test("refuses a subject nobody knows", async () =>
    assert.equal(refusal(await credential("service:nobody")).code, "ERR_SUBJECT_UNKNOWN"));

  for (const kind of ["P-256", "P-384", "Ed25519"] as const) {
    test(`certifies a ${kind} key with the identity of the record`, async () => {
      const device = await control.result("device.add", wards);
      const key = newKey(kind);
      const response = await credential(device.id, key);
      assert.ok(response.ok, JSON.stringify(response));
      const { certificateChain, trustAnchors, certificate } =
        response.result as Commands["credential"]["result"];
      const leaf = new X509Certificate(certificateChain);
      const uuid = device.attributes["id"];
      assert.equal(leaf.subject, `CN=${uuid}`);
      assert.equal(leaf.subjectAltName, `URI:spiffe://prod.hospital_1/device/${uuid}`);
      assert.equal(leaf.fingerprint256.replaceAll(":", "").toLowerCase(), certificate.fingerprint);
      assert.equal(leaf.serialNumber, certificate.serialNumber);
      assert.equal(Date.parse(leaf.validTo), certificate.notAfter);
      assert.ok(leaf.checkPrivateKey(key.privateKey));
      const [, issuing = ""] = certificateChain.split(/(?<=END CERTIFICATE-----\n)/);
      const issuer = new X509Certificate(issuing);
      assert.ok(leaf.verify(issuer.publicKey));
      assert.ok(issuer.verify(new X509Certificate(trustAnchors).publicKey));
      const { subjects } = await control.result("list", {});
      assert.deepEqual(subjects.find(({ id }) => id === device.id)?.certificates, [certificate]);
    });
  }
});

describe("events", () => {
  test("refuses to give none, or too many", async () => {
    for (const last of [0, -1, 10_001]) {
      assert.equal(refusal(await control.ask("events", { last })).exitCode, 2);
    }
  });

  test("gives the last ones, oldest first, with who did it", async () => {
    const [first, second] = [await newService(), await newService()];
    const { events } = await control.result("events", { last: 2 });
    assert.deepEqual(
      (events as { subject: string }[]).map(({ subject }) => subject),
      [first, second],
    );
    assert.equal(
      (events as { details: { actor: string } }[])[0]?.details.actor,
      `uid:${process.getuid?.()}`,
    );
  });
});

describe("the command socket", () => {
  test("answers what is no request, and goes on", async () => {
    const twice = '{"command":"list","command":"reload","arguments":{}}';
    const reload = '{"command":"reload","arguments":{}}';
    const more = '{"command":"reload","arguments":{},"role":"local"}';
    const lines = `nonsense\n${twice}\n${more}\n${reload}\n`;
    const [wrong, repeated, unknown, right] = await control.say(lines);
    assert.match(unknown ?? "", /ERR_REQUEST.*a request has no role/);
    assert.match(wrong ?? "", /"ok":false.*ERR_REQUEST/);
    assert.match(repeated ?? "", /ERR_REQUEST.*the key command stands twice/);
    assert.match(right ?? "", /"ok":true/);
  });

  test("refuses a line over its limit and bytes that are no UTF-8, and ends the connection", async () => {
    for (const bytes of [Buffer.alloc(17_000_000, 0x61), Buffer.from([0xff, 0x0a])]) {
      const [answer, ...more] = await control.say(bytes);
      assert.match(answer ?? "", /ERR_REQUEST/);
      assert.deepEqual(more, []);
    }
  });

  test("answers requests of one connection in their order", async () => {
    const lines = Array.from({ length: 20 }, (_, i) =>
      JSON.stringify({ command: "service.add", arguments: { name: `order-${i}` } }),
    );
    const answers = await control.say(`${lines.join("\n")}\n`);
    assert.deepEqual(
      answers.map((answer) => (JSON.parse(answer) as { result: { id: string } }).result.id),
      lines.map((_, i) => `service:order-${i}`),
    );
  });

  test("refuses init: the deployment is made", async () => {
    const again = await control.ask("init", { org: "x", environment: "y", hosts: ["z"] });
    assert.equal(refusal(again).code, "ERR_FOLDER_NOT_EMPTY");
  });

  test("adds and lists a thousand devices", async () => {
    const line = JSON.stringify({ command: "device.add", arguments: wards });
    const all = async () => {
      const ids: string[] = [];
      for (let after: { cursor?: string } | undefined = {}; after !== undefined; ) {
        const page: Commands["list"]["result"] = await control.result("list", after);
        ids.push(...page.subjects.map(({ id }) => id));
        after = page.next === undefined ? undefined : { cursor: page.next };
      }
      assert.equal(new Set(ids).size, ids.length);
      return ids.length;
    };
    const before = await all();
    const answers = await control.say(`${line}\n`.repeat(1000));
    assert.equal(answers.filter((answer) => answer.startsWith('{"ok":true')).length, 1000);
    assert.equal(await all(), before + 1000);
  });
});
