import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Commands } from "@wardmq/commands";
import { eventWhere } from "../authorization/events.ts";
import type { Issued } from "../support/certificates.ts";
import { type Deployment, startDeployment } from "../support/deployment.ts";
import { readEvents } from "../support/events.ts";
import { type CrlServer, crlPem, OtherCa, serveCrl } from "../support/other-ca.ts";
import { RawClient } from "../support/raw-client.ts";
import { openTls, tlsWire } from "../support/wire.ts";

const soon = { timeout: 120_000 };

let deployment: Deployment;
let acme: OtherCa;
let server: CrlServer;
let ownCa: string;

before(async () => {
  deployment = await startDeployment({ services: ["tester"], devices: 0 });
  ownCa = deployment.credential("tester").ca;
  acme = await OtherCa.make();
  server = await serveCrl();
  server.answer = await acme.crl();
  await deployment.command("foreign-ca.add", {
    name: "acme",
    certificate: acme.pem,
    site: "north",
    mapping: { field: "common-name", equals: "serial", maker: "acme" },
    crl: server.url,
  });
}, soon);
after(async () => {
  await deployment?.stop();
  await server?.[Symbol.asyncDispose]();
});

let serials = 0;

/** A device of the fleet: its record, and a certificate that its own CA has given it. */
async function newDevice(wanted: Partial<Commands["device.add"]["arguments"]> = {}) {
  serials += 1;
  const serial = `SN-${serials}`;
  const where = { site: "north", ward: "icu", maker: "acme", serial, ...wanted };
  const { id } = await deployment.command("device.add", where);
  return { id, uuid: id.slice("device:".length), serial, issued: await acme.device(serial) };
}

type Device = Awaited<ReturnType<typeof newDevice>>;

/** What a device may send and where; throws where it is not let in. */
async function connect({ uuid, issued }: Pick<Device, "uuid" | "issued">): Promise<RawClient> {
  const credential = { subject: "", key: issued.key, cert: issued.pem, ca: ownCa };
  const client = new RawClient(tlsWire(await openTls(deployment.mqtts, credential)), 5);
  const { reasonCode } = await client.connect({ clientId: uuid });
  assert.equal(reasonCode, 0);
  return client;
}

const topicOf = (uuid: string) => `hospital/north/icu/device/${uuid}/telemetry`;

/** How often the door has refused by this check; refusals alike within a second are one event with their number. */
const refusals = (check: string) =>
  readEvents(deployment.directory)
    .filter((event) => event.type === "handshake-refused" && event.check === check)
    .reduce((sum, { count = 1 }) => sum + count, 0);

/** The device is refused at the door, by this check. */
async function isRefused(issued: Issued, check: string): Promise<void> {
  const before = refusals(check);
  await assert.rejects(connect({ uuid: "nobody", issued }));
  await until(async () => refusals(check) > before, `a handshake refused by ${check}`);
}

const recordOf = async (id: string) =>
  (await deployment.command("list", {})).subjects.find((one) => one.id === id);

/** Polls, for at most ten seconds. */
async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (await holds()) return;
    await delay(25);
  }
  throw new Error(`it did not come true: ${what}`);
}

const isBound = ({ id, issued }: Device) =>
  until(
    async () =>
      (await recordOf(id))?.certificates.some(
        ({ fingerprint, state }) => fingerprint === issued.fingerprint && state === "active",
      ) === true,
    "the certificate is bound to the record",
  );

describe("a fleet with certificates of a foreign CA", soon, () => {
  test("connects as its records, may do what the policy says of them and no more, and is bound to them", async () => {
    const device = await newDevice();
    const neighbour = await newDevice();
    assert.equal((await recordOf(device.id))?.state, "registered");
    const client = await connect(device);
    assert.equal(await client.publish(topicOf(device.uuid), "1", { qos: 1 }), 0x10);
    assert.equal(await client.publish(topicOf(neighbour.uuid), "1", { qos: 1 }), 0x87);
    await isBound(device);
    assert.equal((await recordOf(device.id))?.state, "active");
    assert.equal((await recordOf(neighbour.id))?.state, "registered");
    const { devices, ca, crl } = await deployment.command("foreign-ca.show", { name: "acme" });
    assert.equal(devices, 1);
    assert.equal(crl.freshness, "fresh");
    const { subjects } = await deployment.command("list", { ca });
    assert.deepEqual(
      subjects.map(({ id }) => id),
      [device.id],
    );
    await client.settle();
    const again = await connect(device);
    assert.equal(await again.publish(topicOf(device.uuid), "2", { qos: 1 }), 0x10);
  });

  test("gets nobody else in", async () => {
    const device = await newDevice();
    const { serial } = device;
    const impostor = await OtherCa.make();
    await isRefused(await impostor.device(serial), "certification-path");
    await isRefused(await acme.device("SN-unknown"), "foreign-mapping");
    await isRefused(await acme.device(serial, { usages: ["serverAuth"] }), "certification-path");
    await isRefused(await acme.device(serial, { usages: [] }), "foreign-extended-key-usage");
    const uri = `spiffe://test.hospital/device/${device.uuid}`;
    await isRefused(await acme.device(serial, { names: [{ uri }] }), "foreign-own-name");
    const admin = { names: [{ uri: "spiffe://test.hospital/service/tester" }] };
    await isRefused(await acme.device("tester", admin), "foreign-own-name");
    const twin = await newDevice({ serial });
    await isRefused(device.issued, "foreign-mapping");
    await deployment.command("retire", { subject: twin.id, because: "a test" });
    (await connect(device)).drop();
    const south = await newDevice({ site: "south" });
    await isRefused(south.issued, "foreign-site");
    const other = await newDevice({ maker: "other" });
    await isRefused(other.issued, "foreign-mapping");
  });

  test("is revoked with its record, at once, and its certificate never comes back", async () => {
    const [device, kept] = [await newDevice(), await newDevice()];
    const [client, other] = [await connect(device), await connect(kept)];
    await isBound(device);
    const { brokers } = await deployment.command("revoke", { subject: device.id });
    assert.equal(brokers[0]?.connectionsClosed, 1);
    await client.expectRefusal(0x98);
    await isRefused(device.issued, "subject-active");
    const { uuid: id, serial } = device;
    await deployment.command("device.add", {
      id,
      site: "north",
      ward: "icu",
      maker: "acme",
      serial,
    });
    await isRefused(device.issued, "certificate-active");
    (await connect({ uuid: id, issued: await acme.device(serial) })).drop();
    await other.settle();
  });

  test("is refused a key that was revoked, in another certificate", async () => {
    const device = await newDevice();
    (await connect(device)).drop();
    await isBound(device);
    await deployment.command("revoke", { subject: device.id });
    const { uuid: id, serial, issued } = device;
    await deployment.command("device.add", {
      id,
      site: "north",
      ward: "icu",
      maker: "acme",
      serial,
    });
    const sameKey = await acme.device(serial, { key: issued.key });
    const client = await connect({ uuid: id, issued: sameKey }).catch(() => undefined);
    await client?.expectRefusal(0x98).catch(() => {});
    await until(
      () =>
        isRefused(sameKey, "foreign-revoked").then(
          () => true,
          () => false,
        ),
      "the key that was revoked is refused",
    );
  });

  test("may speak on its lifecycle topic only while it is in quarantine", async () => {
    const device = await newDevice();
    const client = await connect(device);
    await isBound(device);
    await deployment.command("quarantine", { subject: device.id, because: "a test" });
    assert.equal(await client.publish(topicOf(device.uuid), "1", { qos: 1 }), 0x87);
    const lifecycle = `hospital/north/icu/device/${device.uuid}/lifecycle`;
    assert.equal(await client.publish(lifecycle, "1", { qos: 1 }), 0x10);
    await deployment.command("release", { subject: device.id, because: "a test" });
    assert.equal(await client.publish(topicOf(device.uuid), "1", { qos: 1 }), 0x10);
  });
});

describe("the CRL of a foreign CA", soon, () => {
  const refresh = () => deployment.command("foreign-ca.refresh", { name: "acme" });

  test("ends live connections when it is read, and keeps them out", async () => {
    const [revoked, kept] = [await newDevice(), await newDevice()];
    const [client, other] = [await connect(revoked), await connect(kept)];
    server.answer = await acme.crl([revoked.issued]);
    const { brokers, foreignCa } = await refresh();
    assert.equal(brokers[0]?.connectionsClosed, 1);
    assert.equal(foreignCa.crl.revoked, 1);
    await client.expectRefusal(0x98);
    await isRefused(revoked.issued, "foreign-revoked");
    await other.settle();
    (await connect(kept)).drop();
  });

  test("changes nothing where it is not the CA's, older than before, or can not be read; an event says why", async () => {
    const device = await newDevice();
    const client = await connect(device);
    const stranger = await OtherCa.make();
    const { crl: before } = await deployment.command("foreign-ca.show", { name: "acme" });
    const answers: readonly (readonly [string, CrlServer["answer"], RegExp])[] = [
      ["signature", await acme.crl([device.issued], { by: stranger.authority }), /signature/],
      ["number", await acme.crl([device.issued], { number: 1 }), /older than the one/],
      ["next-update", await acme.crl([device.issued], { ageMs: 7_200_000 }), /too old/],
      ["this-update", await acme.crl([device.issued], { ageMs: -3_600_000 }), /not in force/],
      ["crl", Buffer.from("no CRL"), /ERR|CRL|DER/],
      ["crl", Buffer.alloc(8 * 1024 * 1024), /DER|CRL/],
      ["source", Buffer.alloc(8 * 1024 * 1024 + 1), /too long/],
      ["source", 500, /answered 500/],
      ["source", server.url, /redirects too often/],
      ["source", "file:///etc/passwd", /redirects, and/],
    ];
    for (const [check, answer, why] of answers) {
      server.answer = answer;
      await assert.rejects(refresh(), (error) => why.test(String(error)), check);
      await eventWhere(
        deployment,
        `the CRL refused by ${check}`,
        (event) =>
          event.type === "crl-refused" && event.check === check && why.test(event.why ?? ""),
      );
    }
    const { crl } = await deployment.command("foreign-ca.show", { name: "acme" });
    assert.equal(crl.crlNumber, before.crlNumber);
    assert.ok(crl.failure !== undefined && crl.freshness === "fresh");
    await client.settle();
    acme.crlNumber += 1;
    server.answer = await acme.crl();
    await refresh();
  });

  test("that becomes too old ends everybody and lets nobody in; one that comes lets them in again", async () => {
    await using mine = await serveCrl();
    const fleet = await OtherCa.make("Another fleet's CA");
    const { id } = await deployment.command("device.add", { site: "south", ward: "icu" });
    const uuid = id.slice("device:".length);
    const issued = await fleet.device(uuid);
    mine.answer = await fleet.crl([], { ageMs: 60_000, lifeMs: 65_000 });
    await deployment.command("foreign-ca.add", {
      name: "short",
      certificate: fleet.pem,
      mapping: { field: "common-name", equals: "uuid" },
      crl: mine.url,
    });
    const client = await connect({ uuid, issued });
    mine.answer = 503;
    for (const check of ["ageing", "stale"]) {
      const { subject } = await eventWhere(
        deployment,
        `the alarm: ${check}`,
        (event) => event.type === "crl-stale" && event.check === check,
      );
      assert.equal(subject, "foreign CA short");
    }
    await client.expectRefusal(0x98);
    await isRefused(issued, "foreign-crl");
    mine.answer = await fleet.crl();
    await deployment.command("foreign-ca.refresh", { name: "short" });
    const again = await connect({ uuid, issued });
    await deployment.command("foreign-ca.remove", { name: "short" });
    await again.expectRefusal(0x98);
    await isRefused(issued, "certification-path");
  });

  test("is read from a file, and again when the file changes", async () => {
    const folder = await mkdtemp(join(tmpdir(), "crl-"));
    try {
      const path = join(folder, "fleet.pem");
      const fleet = await OtherCa.make("A fleet with a file");
      await writeFile(path, crlPem(await fleet.crl()));
      const { id } = await deployment.command("device.add", { site: "south", ward: "icu" });
      const uuid = id.slice("device:".length);
      const issued = await fleet.device("any", { names: [{ uri: `urn:uuid:${uuid}` }] });
      await deployment.command("foreign-ca.add", {
        name: "file",
        certificate: fleet.pem,
        mapping: { field: "san-uri", equals: "uuid" },
        crl: path,
      });
      const client = await connect({ uuid, issued });
      await writeFile(path, await fleet.crl([issued]));
      await client.expectRefusal(0x98);
      await isRefused(issued, "foreign-revoked");
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("a foreign CA is not taken", soon, () => {
  const add = (wanted: Partial<Commands["foreign-ca.add"]["arguments"]>) =>
    deployment.command("foreign-ca.add", {
      name: "wrong",
      certificate: acme.pem,
      mapping: { field: "common-name", equals: "uuid" },
      crl: server.url,
      ...wanted,
    });

  test("twice, with our own name or key, or when it is none", async () => {
    const fleet = await OtherCa.make("One more CA");
    server.answer = await fleet.crl();
    await assert.rejects(
      add({}),
      /ERR_FOREIGN_CA .*name or the key of a CA that is trusted already/,
    );
    const namesake = await OtherCa.make();
    await assert.rejects(add({ certificate: namesake.pem }), /ERR_FOREIGN_CA .*trusted already/);
    await assert.rejects(add({ certificate: ownCa }), /ERR_FOREIGN_CA .*trusted already/);
    const leaf = await fleet.device("leaf");
    await assert.rejects(add({ certificate: leaf.pem }), /ERR_FOREIGN_CA .*no CA/);
    await assert.rejects(add({ certificate: "no" }), /ERR_FOREIGN_CA .*PEM/);
    await assert.rejects(
      add({ certificate: fleet.pem, crl: "relative.crl" }),
      /ERR_CRL .*absolute/,
    );
    await assert.rejects(add({ certificate: fleet.pem, crl: "ftp://a/b.crl" }), /ERR_CRL .*HTTP/);
    await assert.rejects(add({ certificate: fleet.pem, crl: "/dev/zero" }), /ERR_CRL .*no file/);
    server.answer = 404;
    await assert.rejects(add({ certificate: fleet.pem }), /ERR_CRL .*answered 404/);
    server.answer = await acme.crl();
    const { foreignCas } = await deployment.command("foreign-ca.list", {});
    assert.deepEqual(
      foreignCas.filter(({ name }) => name === "wrong"),
      [],
    );
  });
});

test(
  "a fleet is served with its CRL after a restart of the broker, and by a control that starts again",
  soon,
  async () => {
    const device = await newDevice();
    (await connect(device)).drop();
    await isBound(device);
    await deployment.killBroker();
    await deployment.startBroker();
    (await connect(device)).drop();
    await isRefused(await acme.device("SN-nobody"), "foreign-mapping");
  },
);
