import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { connect } from "node:net";
import { after, before, describe, mock, test } from "node:test";
import { type Authority, openAuthority } from "../src/ca/authority.ts";
import { Issuance, type Issued } from "../src/ca/issuance.ts";
import { newDevice } from "../src/commands/subject-acts.ts";
import { enterDeployment } from "../src/deployment.ts";
import { Failure } from "../src/failure.ts";
import type { Registry } from "../src/registry/registry.ts";
import type { RegistryChange } from "../src/registry/rows.ts";
import {
  eventually,
  newDeployment,
  newKey,
  oneShot,
  openRegistry,
  RunningControl,
  requestFor,
  type TestFolder,
  wards,
} from "./control-under-test.ts";

const doing = { actor: "test", at: Date.now() };
const cwd = process.cwd();
let folder: TestFolder;
let registry: Registry;
let authority: Authority;

before(async () => {
  folder = await newDeployment();
  enterDeployment(folder.deployment);
  registry = openRegistry(folder);
  authority = openAuthority(doing.at, { crl: [], ocsp: [], caIssuers: [] });
});

after(() => {
  registry.close();
  process.chdir(cwd);
  folder[Symbol.dispose]();
});

/** Issuance whose signatures and confirmations a test holds back. */
class Held {
  readonly changes: RegistryChange[] = [];
  readonly refusals: string[] = [];
  #signs = Promise.resolve();
  #confirms = Promise.resolve();
  readonly issuance = new Issuance({
    registry,
    servers: { hasKey: () => false },
    authority: () => {
      const { issuer } = authority;
      const sign = async (tbs: Uint8Array) => {
        await this.#signs;
        return issuer.signer.sign(tbs);
      };
      return { ...authority, issuer: { ...issuer, signer: { ...issuer.signer, sign } } };
    },
    publisher: {
      publish: (change) => {
        this.changes.push(change);
        return () => this.#confirms;
      },
    },
    record: (event) => {
      if (event.type === "certificate-refused") this.refusals.push(event.check ?? "");
    },
  });

  /** Nothing is signed until the function that comes back is called. */
  holdSignatures(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#signs = promise;
    return resolve;
  }

  holdConfirmations(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#confirms = promise;
    return resolve;
  }
}

const newDevices = (count: number) =>
  registry
    .addSubjects(
      Array.from({ length: count }, () => newDevice(registry, wards)),
      doing,
    )
    .map(({ id }) => id);
const request = () => requestFor(newKey());
const isFailure = (code: string) => (error: unknown) =>
  error instanceof Failure && error.code === code;
const intents = (subject: string) =>
  registry.history(subject, 100).filter(({ action }) => action === "certificate.intent").length;
const certificatesOf = (subject: string) => registry.subject(subject)?.certificates ?? [];

describe("certificates that are asked for together", () => {
  test("are not given to one that is refused, and to all others they are", async () => {
    const held = new Held();
    const [first = "", second = "", third = ""] = newDevices(3);
    registry.revokeSubject(second, doing);
    const [one, two, three, four] = await Promise.allSettled([
      held.issuance.issue(first, await request(), doing),
      held.issuance.issue(second, await request(), doing),
      held.issuance.issue(third, "nothing of the kind", doing),
      held.issuance.issue(third, await request(), doing),
    ]);
    assert.deepEqual(
      [one, two, three, four].map((each) => each?.status),
      ["fulfilled", "rejected", "rejected", "fulfilled"],
    );
    assert.deepEqual(held.refusals, ["subject-revoked", "request"]);
    assert.equal(intents(second), 0);
    assert.equal(certificatesOf(second).length, 0);
  });

  test("are one change of the feed", async () => {
    const held = new Held();
    const devices = newDevices(20);
    const requests = await Promise.all(devices.map(request));
    const issued = await Promise.all(
      devices.map((id, i) => held.issuance.issue(id, requests[i] ?? "", doing)),
    );
    assert.equal(held.changes.length, 1);
    assert.deepEqual(
      held.changes[0]?.subjects?.map(({ id }) => id),
      devices,
    );
    for (const [i, id] of devices.entries()) {
      const { subjectAltName, fingerprint256 } = new X509Certificate(
        issued[i]?.certificateChain ?? "",
      );
      assert.equal(subjectAltName, `URI:${registry.subject(id)?.spiffeId}`);
      const [bound, ...more] = certificatesOf(id);
      assert.equal(bound?.fingerprint, fingerprint256.replaceAll(":", "").toLowerCase());
      assert.deepEqual(more, []);
    }
  });

  test("for one key go to one subject only", async () => {
    const held = new Held();
    const [one = "", other = ""] = newDevices(2);
    const same = await request();
    const outcomes = await Promise.allSettled(
      [one, other].map((id) => held.issuance.issue(id, same, doing)),
    );
    const refused = outcomes.filter((outcome) => outcome.status === "rejected");
    assert.equal(refused.length, 1);
    assert.ok(isFailure("ERR_KEY_IN_USE")(refused[0]?.reason));
    assert.equal(certificatesOf(one).length + certificatesOf(other).length, 1);
  });

  test("for one device leave the two newest active", async () => {
    const held = new Held();
    const [device = ""] = newDevices(1);
    const requests = await Promise.all([1, 2, 3].map(request));
    await Promise.all(requests.map((each) => held.issuance.issue(device, each, doing)));
    const states = certificatesOf(device).map(({ state }) => state);
    assert.deepEqual(states, ["superseded", "active", "active"]);
    assert.deepEqual(held.changes[0]?.subjects?.at(-1), registry.subject(device));
  });

  test("are all refused, and none counts, when the disk does not take them", async () => {
    const held = new Held();
    const devices = newDevices(2);
    const sign = held.holdSignatures();
    const asked = Promise.allSettled(
      devices.map(async (id) => held.issuance.issue(id, await request(), doing)),
    );
    await eventually(() => devices.every((id) => intents(id) === 1));
    const full = mock.method(registry, "together", () => {
      throw new Error("the disk is full");
    });
    sign();
    const outcomes = await asked;
    full.mock.restore();
    assert.ok(outcomes.every(({ status }) => status === "rejected"));
    assert.deepEqual(devices.flatMap(certificatesOf), []);
    assert.equal(held.changes.length, 0);
    await held.issuance.issue(devices[0] ?? "", await request(), doing);
  });

  test("wait for nobody who asks later while a broker does not confirm", async () => {
    const held = new Held();
    const [one = "", other = ""] = newDevices(2);
    const confirm = held.holdConfirmations();
    let isHanded = false;
    const first = held.issuance.issue(one, await request(), doing).then((issued) => {
      isHanded = true;
      return issued;
    });
    await eventually(() => held.changes.length === 1);
    held.holdConfirmations()();
    await held.issuance.issue(other, await request(), doing);
    assert.ok(!isHanded, "it was handed over before the brokers knew it");
    confirm();
    assert.equal((await first).fingerprint, certificatesOf(one)[0]?.fingerprint);
  });
});

describe("while a certificate is being signed", () => {
  test("a revocation keeps it from being bound", async () => {
    const held = new Held();
    const [revoked = "", other = ""] = newDevices(2);
    const sign = held.holdSignatures();
    const asked = Promise.allSettled([
      held.issuance.issue(revoked, await request(), doing),
      held.issuance.issue(other, await request(), doing),
    ]);
    await eventually(() => intents(revoked) === 1 && intents(other) === 1);
    registry.revokeSubject(revoked, doing);
    sign();
    const [refused, issued] = await asked;
    assert.ok(refused.status === "rejected" && isFailure("ERR_SUBJECT_REVOKED")(refused.reason));
    assert.equal(issued.status, "fulfilled");
    assert.deepEqual(certificatesOf(revoked), []);
    assert.deepEqual(
      held.changes[0]?.subjects?.map(({ id }) => id),
      [other],
    );
  });
});

test("no certificate that left control is lost by SIGKILL", async () => {
  using at = await newDeployment();
  const killed = await RunningControl.start(at.deployment);
  const { added } = await killed.result("device.import", {
    devices: Array.from({ length: 200 }, () => wards),
    dryRun: false,
  });
  assert.equal(added, 200);
  const { subjects } = await killed.result("list", {});
  const received: Pick<Issued, "fingerprint">[] = [];
  await Promise.all(
    subjects.map(async ({ id: subject }) => {
      const certificateRequest = await request();
      const socket = connect(at.in("run/control.sock"));
      let heard = "";
      socket.setEncoding("utf8").on("error", () => {});
      socket.on("data", (chunk: string) => {
        heard += chunk;
      });
      socket.write(
        `${JSON.stringify({ command: "credential", arguments: { subject, certificateRequest } })}\n`,
      );
      const ended = new Promise((done) => socket.once("close", done));
      socket.on("data", () => {
        if (!heard.endsWith("\n")) return;
        received.push(
          (JSON.parse(heard) as { result: { certificate: Issued } }).result.certificate,
        );
        socket.destroy();
        if (received.length === 40) killed.process.kill("SIGKILL");
      });
      await ended;
    }),
  );
  await killed.end("SIGKILL");
  assert.ok(received.length >= 40 && received.length < 200, `${received.length} were received`);
  const listed = await oneShot(at.deployment, "list", {});
  assert.ok(listed.ok);
  const { subjects: kept } = listed.result as {
    subjects: { certificates: { fingerprint: string }[] }[];
  };
  const fingerprints = new Set(
    kept.flatMap(({ certificates }) => certificates).map((one) => one.fingerprint),
  );
  assert.deepEqual(
    received.filter(({ fingerprint }) => !fingerprints.has(fingerprint)),
    [],
  );
});
